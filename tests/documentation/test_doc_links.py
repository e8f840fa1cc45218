"""Every link of the documentation leads somewhere, and every page can be reached from the README."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from documentation.markdown import ROOT, Page, pages, parse_page

PAGES = {page.path: page for page in pages()}
SOURCES = ("operator", "charts", "crds", "templates", "docs")
MENTION = re.compile(r"(?<![\w/.-])(docs/[\w/.-]+\.md)(?:#([\w-]+))?")


def inner(page: Page) -> Iterator[tuple[int, Path, str]]:
    """Links into the repository: line, path, anchor."""
    for line, target in page.links:
        if not re.match(r"[a-z][a-z0-9+.-]*:", target):
            path, _, anchor = target.partition("#")
            yield line, (page.path.parent / path).resolve() if path else page.path, anchor


def outer(page: Page) -> Iterator[tuple[int, str]]:
    """Links out of it."""
    return ((n, target) for n, target in page.links if re.match(r"[a-z][a-z0-9+.-]*:", target))


def anchors_of(page: Page, path: Path) -> frozenset[str]:
    """Those of the file at a path, which may be the page itself."""
    other = page if path == page.path else PAGES.get(path)
    return other.anchors if other else frozenset()


def broken(page: Page) -> list[str]:
    """What is wrong with a page's links into the repository."""
    found = []
    for line, path, anchor in inner(page):
        where = f"{page.name}:{line}"
        if not path.is_relative_to(ROOT) or not path.exists():
            found.append(f"{where}: there is no {path}")
        elif anchor and anchor not in anchors_of(page, path):
            found.append(f"{where}: {path.name} has no #{anchor}")
    return found


@pytest.mark.parametrize("page", PAGES.values(), ids=lambda page: page.name)
def test_links_into_the_repository_resolve(page: Page) -> None:
    assert broken(page) == []


def test_a_broken_link_or_anchor_is_found() -> None:
    text = "# A b\n[x](no.md) [y](#a-b) [z](#c) [`w`](README.md#the-story)\n"
    (first, second, third) = broken(parse_page(ROOT / "CHANGELOG.md", text))
    assert "no.md" in first
    assert "has no #c" in second
    assert "README.md has no #the-story" in third


def test_links_out_are_well_formed() -> None:
    wrong = []
    for page in PAGES.values():
        for line, target in outer(page):
            url = urlsplit(target)
            host = url.hostname or ""
            if url.scheme != "https" or not re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", host):
                wrong.append(f"{page.name}:{line}: {target}")
    assert wrong == []


def test_every_page_is_reached_from_the_readme() -> None:
    start = ROOT / "README.md"
    reached, queue = {start}, [start]
    while queue:
        for _, path, _ in inner(PAGES[queue.pop()]):
            if path in PAGES and path not in reached:
                reached.add(path)
                queue.append(path)
    charts = {path for path in PAGES if path.is_relative_to(ROOT / "charts")}
    assert sorted(page.name for path, page in PAGES.items() if path not in reached | charts) == []


def test_pages_that_programs_and_the_chart_name_exist() -> None:
    wrong = []
    for path in sorted(each for folder in SOURCES for each in (ROOT / folder).rglob("*")):
        if path.suffix not in (".py", ".txt", ".yaml", ".tpl", ".json", ".j2", ".md"):
            continue
        for name, anchor in MENTION.findall(path.read_text(errors="replace")):
            page = PAGES.get(ROOT / name)
            if page is None or (anchor and anchor not in page.anchors):
                wrong.append(f"{path.relative_to(ROOT)}: {name}{anchor and f'#{anchor}'}")
    assert wrong == []
