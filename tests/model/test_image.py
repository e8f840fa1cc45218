"""Image references, taken apart as container runtimes do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.model.image import Image, parse_image

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("reference", "image"),
    [
        ("vllm/vllm-openai:v0.11.0", Image("vllm/vllm-openai", "v0.11.0", "")),
        ("vllm-openai", Image("vllm-openai", "", "")),
        (f"vllm/vllm-openai@{DIGEST}", Image("vllm/vllm-openai", "", DIGEST)),
        (f"a/b:v1.2@{DIGEST}", Image("a/b", "v1.2", DIGEST)),
        ("localhost:5000/vllm", Image("localhost:5000/vllm", "", "")),
        ("localhost:5000/a/vllm:0.9.0", Image("localhost:5000/a/vllm", "0.9.0", "")),
        ("", Image("", "", "")),
    ],
)
def test_parts(reference: str, image: Image) -> None:
    assert parse_image(reference) == image


PARTS = st.from_regex(r"[a-z0-9]{1,8}([._-][a-z0-9]{1,4})?", fullmatch=True)


@given(
    host=st.sampled_from(["", "mirror.example/", "localhost:5000/", "[::1]:5000/"]),
    path=st.lists(PARTS, min_size=1, max_size=3),
    tag=st.just("") | PARTS,
    digest=st.sampled_from(["", DIGEST]),
)
def test_what_was_put_together_comes_apart(
    host: str, path: list[str], tag: str, digest: str
) -> None:
    repository = host + "/".join(path)
    reference = repository + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    assert parse_image(reference) == Image(repository, tag, digest)
    assert parse_image(reference).basename == path[-1]


@pytest.mark.parametrize(
    ("reference", "rolling"),
    [
        ("vllm/vllm-openai:latest", True),
        ("vllm/vllm-openai:nightly", True),
        ("vllm/vllm-openai:nightly-0123abcdef", True),
        ("vllm/vllm-openai:latest-cu129", True),
        ("vllm/vllm-openai", True),
        (f"vllm/vllm-openai@{DIGEST}", False),
        ("vllm/vllm-openai:v0.11.0", False),
        ("vllm/vllm-openai:latestish", False),
    ],
)
def test_which_tags_follow_the_newest_build(reference: str, rolling: bool) -> None:
    assert parse_image(reference).is_rolling is rolling
