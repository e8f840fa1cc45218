"""What counts as printed, and what does not."""

import pytest

from documentation.printed import missing

CAME = """\
Looking: 1 of 2 sources are clear; 13 s at most.
   1.2s  models 0/1
   3.0s  models 1/1
my-model-6f7c9d8b5-x2xkq   0     Publishing  3.1/s  7ms
my-model-6f7c9d8b5-x2xkq_18a2 leads

10.244.0.9:5557 refuses connections.
"""


@pytest.mark.parametrize(
    "page",
    [
        CAME.splitlines()[1:],
        [" 0.9s models 0/1", "…", "10.244.0.3:5557 refuses connections."],
        ["…", "my-model-7bd9c6f5d4-abcde 0 Publishing 10/s 12ms", "…"],
        ["…", "my-model-7bd9c6f5d4-abcde_… leads", "…"],
        ["2s models …", "4s models 1/1", "…"],
        ["…"],
    ],
)
def test_what_was_printed(page: list[str]) -> None:
    assert missing(page, CAME) == ""


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (["2s models 0/1"], "TIME models 0/1"),
        (["2s models 1/1", "…"], "TIME models 1/1"),
        (["…", "my-model-7bd9c6f5d4-abcde 1 Publishing 10/s 12ms", "…"], "my-model-POD 1"),
        (["…", "4s models 1/1", "2s models 0/1", "…"], "TIME models 0/1"),
        (["…", "4s models 1/1"], "TIME models 1/1"),
        ([], "(nothing more)"),
        (["…", "10.0.0.1:5557 refuses connections. Or not …"], "Or not"),
    ],
)
def test_what_was_not_printed(page: list[str], said: str) -> None:
    assert said in missing(page, CAME)
