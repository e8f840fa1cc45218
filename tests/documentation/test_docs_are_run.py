"""Every command of the documentation is run as a reader would, and prints what the page says."""

import time
from collections.abc import Iterator

import pytest

from documentation.markdown import Page, pages
from documentation.printed import missing
from documentation.scenes import SCENES, SHARED, Stage, stage
from documentation.steps import scene_of, steps_of
from documentation.terminal import Terminal

pytestmark = [pytest.mark.bed, pytest.mark.timeout(240)]

ORDER = list(SCENES)
AS_IT_WAS = "kves/my-model -n default --for=condition=Ready --timeout=60s"


def rank(page: Page) -> tuple[int, str]:
    """Pages of one scene follow each other."""
    return ORDER.index(scene_of(page) or ""), page.name


RUN = sorted((page for page in pages() if scene_of(page)), key=rank)


@pytest.fixture(scope="module")
def theatre() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_a_page_does_what_it_says(theatre: Stage, page: Page) -> None:
    scene = scene_of(page) or ""
    terminal = theatre.set(scene)
    try:
        follow(page, terminal)
        if scene in SHARED:
            kept = terminal.type(f"kubectl wait {AS_IT_WAS}")
            assert kept.code == 0, f"{page.name} is to leave the scene as it was: {kept.output}"
    except BaseException:
        # The next page is not to begin with what is left of this one.
        theatre.clear()
        raise


def follow(page: Page, terminal: Terminal) -> None:
    """Do what a page says, and compare what comes with what it says."""
    for step in steps_of(page):
        begun = time.monotonic()
        came = terminal.take(step)
        told = f"{page.name}:{step.line}\n$ {step.command}\n{came.output}"
        print(f"{time.monotonic() - begun:.1f} s  {told}")
        assert came.code == 0, f"{told}\nexit code {came.code}"
        if step.printed:
            absent = missing(step.printed, came.output)
            assert not absent, f"{told}\nwas to print:\n{absent}"
