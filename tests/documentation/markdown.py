"""A Markdown page as far as the tests read it: comments, fenced blocks, links, headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^(\s*)```(\S*)\s*$")
_LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(([^()\s]+(?:\([^()]*\)[^()\s]*)?)\)")
_CODE = re.compile(r"`+[^`]*`+")
_HEADING = re.compile(r"^(#{1,6}) (.+?)\s*$")
_ANCHOR = re.compile(r'<a (?:id|name)="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block, with the comments that stand directly above it (blank lines aside)."""

    line: int
    language: str
    text: str
    comments: tuple[str, ...] = ()

    def told(self, word: str) -> list[str]:
        """What the comments ``<!-- WORD: … -->`` above say."""
        start = f"{word}:"
        return [c.removeprefix(start).strip() for c in self.comments if c.startswith(start)]


@dataclass(frozen=True)
class Page:
    """A page's blocks, links (target by line) and anchors."""

    path: Path
    blocks: tuple[Block, ...] = ()
    links: tuple[tuple[int, str], ...] = ()
    anchors: frozenset[str] = field(default_factory=frozenset)
    comments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its path in the repository."""
        return self.path.relative_to(ROOT).as_posix()


def pages() -> list[Page]:
    """Every Markdown page of the repository that is for readers."""
    top = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
    found = [
        *(ROOT / name for name in top),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("charts/**/*.md"),
    ]
    return [read_page(path) for path in sorted(found)]


def read_page(path: Path) -> Page:
    """The page at a path. Raises ValueError for a comment or a block that never ends."""
    return parse_page(path, path.read_text())


def parse_page(path: Path, text: str) -> Page:
    """The page that a text is. Raises ValueError for a comment or a block that never ends."""
    blocks: list[Block] = []
    prose: list[tuple[int, str]] = []
    above: list[str] = []
    comments: list[str] = []
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        fence = _FENCE.match(line)
        if fence:
            body = "\n".join(_until_fence(lines, path, number, len(fence[1])))
            blocks.append(Block(number, fence[2], body, tuple(above)))
            above = []
        elif line.startswith("<!--"):
            above.append(_comment(lines, path, number, line))
            comments.append(above[-1])
        elif line.strip():
            above = []
            prose.append((number, line))
    links = tuple(
        (n, target) for n, line in prose for target in _LINK.findall(_CODE.sub("`", line))
    )
    return Page(path, tuple(blocks), links, frozenset(_anchors(prose)), tuple(comments))


def _until_fence(
    lines: Iterator[tuple[int, str]], path: Path, start: int, indent: int
) -> Iterator[str]:
    for _, line in lines:
        if line.strip() == "```":
            return
        yield line[indent:] if not line[:indent].strip() else line
    raise ValueError(f"{path}:{start}: this block never ends")


def _comment(lines: Iterator[tuple[int, str]], path: Path, start: int, first: str) -> str:
    text = first
    while "-->" not in text:
        try:
            text += "\n" + next(lines)[1]
        except StopIteration:
            raise ValueError(f"{path}:{start}: this comment never ends") from None
    return text.partition("<!--")[2].rpartition("-->")[0].strip()


def _anchors(prose: list[tuple[int, str]]) -> Iterator[str]:
    """As GitHub makes them of headings: lower case, only letters, digits, - and _, blanks as -."""
    seen: dict[str, int] = {}
    for _, line in prose:
        yield from _ANCHOR.findall(line)
        heading = _HEADING.match(line)
        if not heading:
            continue
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[2])
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        yield f"{slug}-{count}" if count else slug
