"""How a page becomes steps, and that every block of commands is run or says why it is not."""

import pytest

from documentation import not_run
from documentation.markdown import ROOT, Page, pages, parse_page
from documentation.steps import PageError, Step, scene_of, steps_of

PAGES = pages()
MOST_NOT_RUN = 30

TEXT = """\
<!-- scene: model -->
# Title
<!-- where: NAME = echo a b -->
<!-- setup:
sleep 0
-->
```console
$ echo NAME \\
    again
a b again
$ true
```
<!-- file: kv.yaml -->

```yaml
kind: X
```
<!-- not run: long -->
```sh
make fuzz
```
"""


def page(text: str) -> Page:
    return parse_page(ROOT / "a.md", text)


def test_a_page_becomes_steps() -> None:
    where = (("NAME", "echo a b"),)
    assert scene_of(page(TEXT)) == "model"
    assert steps_of(page(TEXT)) == [
        Step(7, "sleep 0", None, where),
        Step(7, "echo NAME \\\n    again", ("a b again",), where),
        Step(7, "true", (), where),
        Step(15, "kind: X", None, (), saved="kv.yaml"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```\nls\n```", "a block is one of"),
        ("```console\nls\n```", "begins with"),
        ("<!-- not run: no time -->\n```sh\nls\n```", "is none of"),
        ("<!-- where: X -->\n```sh\nls\n```", "where: TEXT"),
    ],
)
def test_a_page_that_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(PageError, match=said):
        steps_of(page(text))


def test_what_never_ends_is_refused() -> None:
    for text in ("```sh\nls\n", "<!-- setup: ls\n"):
        with pytest.raises(ValueError, match="never ends"):
            page(text)


@pytest.mark.parametrize("each", PAGES, ids=lambda each: each.name)
def test_every_block_of_commands_is_run_or_says_why_not(each: Page) -> None:
    steps = steps_of(each)
    if scene_of(each) is None:
        assert [f"{each.name}:{step.line}: not marked `not run`" for step in steps] == []


def test_what_a_contributor_must_read_is_short() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) <= 30


def test_what_is_not_run_is_listed_with_its_reason() -> None:
    assert not_run.PAGE.read_text() == not_run.written(), "make generate"
    assert len(list(not_run.rows())) <= MOST_NOT_RUN
