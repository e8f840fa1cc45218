"""Manifests as YAML: what was written is read as it was."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.adapters.manifests import dump_manifest, read_manifests

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abny01e.", min_size=1), inner)
    ),
    max_leaves=12,
)


def read(text: str, path: Path) -> object:
    path.write_text(text)
    (document,) = read_manifests([str(path)])
    return document.body


@given(VALUES)
def test_any_value_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    path = tmp_path_factory.mktemp("written") / "m.yaml"
    assert read(dump_manifest({"value": value}), path) == {"value": value}


@pytest.mark.parametrize("text", ["y", "N", "1e3", "7e10", "0o7"])
def test_what_kubectl_takes_for_no_text_is_quoted(text: str) -> None:
    assert dump_manifest([text]) == f"- '{text}'\n"


@pytest.mark.parametrize("text", ["--x", "v1", "1.2.3", "nginx:1.27", "e3", "yes-no"])
def test_what_is_a_text_to_everybody_is_written_bare(text: str) -> None:
    assert dump_manifest([text]) == f"- {text}\n"
