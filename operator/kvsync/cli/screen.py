"""Where ``top`` writes: a terminal that is drawn anew in place, or paper on which tables follow."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

import click

from kvsync.cli.output import write_line
from kvsync.cli.table import cut

Lines = Sequence[tuple[str, str | None]]
"""Lines, each with its color or None."""

# ECMA-48 and xterm's alternate screen, which keeps what was on the terminal before.
_OPEN, _CLOSE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def _styled(text: str, color: str | None) -> str:
    """In color, where colors are wanted at all."""
    context = click.get_current_context(silent=True)
    plain = color is None or (context is not None and context.color is False)
    return text if plain else click.style(text, fg=color)


class Output(Protocol):
    """What takes one table after the other."""

    def show(self, lines: Lines) -> None:
        """Show it. Raises NobodyReads where the reader is gone."""


class Screen:
    """A terminal. What was shown last stays on it at the end."""

    def __init__(self) -> None:
        self._last: Lines = ()

    def __enter__(self) -> Self:
        click.echo(_OPEN, nl=False, color=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        click.echo(_CLOSE, nl=False, color=True)
        for text, color in self._last:
            click.secho(text, fg=color)

    def show(self, lines: Lines) -> None:
        """Draw it over what was there."""
        self._last = lines
        width, height = shutil.get_terminal_size()
        drawn = (_styled(cut(text, width), color) + _REST_OF_LINE for text, color in lines)
        text = "\r\n".join(list(drawn)[:height])
        click.echo(_HOME + text + _REST_OF_SCREEN, nl=False, color=True)


class Paper:
    """A file, a pipe, or a terminal whose lines shall stay."""

    def __init__(self) -> None:
        self._blocks = 0

    def show(self, lines: Lines) -> None:
        """Write it below what was there, after an empty line."""
        texts = [_styled(text, color) for text, color in lines]
        write_line("\n".join([""] * bool(self._blocks) + texts))
        self._blocks += 1
