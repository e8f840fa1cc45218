"""One word by the quoting rules of POSIX: quotes removed, what is known expanded and split."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kvsync.core.script.budget import Budget
from kvsync.core.script.layers import Layer, Part
from kvsync.core.script.pasting import UNKNOWN_REFERENCE

_VARIABLE = re.compile(
    r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?-)([^{}\"'\\$`]*))?\})"
)

_SPECIAL = re.compile(r"\$[@*#?$!0-9-]")
_BARE_RUN = re.compile(r"[^\\'\"$`\s;&|()<>*?\[\]{},.~]+")
_QUOTED_RUN = re.compile(r"[^\\\"$`]+")
_IFS = re.compile(r"[ \t\n]+")


@dataclass(frozen=True, slots=True)
class Values:
    """What is known of variables while a script runs."""

    known: Mapping[str, str]
    assigned: frozenset[str]
    odd_globs: bool
    budget: Budget

    def of(self, name: str, operator: str, default: str) -> str | None:
        """The value of an expansion; None where it is not known."""
        if name in self.assigned or name not in self.known:
            return None
        value = self.known[name] or (default if operator == ":-" else "")
        return value if self.budget.takes(len(value)) else None

    @property
    def odd_splitting(self) -> bool:
        """Whether a value may be split elsewhere than at blanks."""
        return "IFS" in self.assigned


@dataclass(slots=True)
class Field:
    """A word as a command gets it."""

    parts: list[Part] = field(default_factory=list)
    glob: bool = False
    uncertain: bool = False
    brace: str = ""  # of an unquoted brace expansion, as far as it was seen

    @property
    def text(self) -> str:
        """As the command gets it; what is not known as it is written."""
        return "".join(part.text for part in self.parts)

    @property
    def variable(self) -> str:
        """The variable that it, or the first part of it, came from; empty if none."""
        return next((part.variable for part in self.parts if part.variable), "")

    @property
    def literal(self) -> bool:
        """Whether it is known; a pattern in an option is, as no file is named like an option."""
        pattern = self.glob and not self.text.startswith("-")
        return not (self.uncertain or pattern) and all(part.known for part in self.parts)


def scan(
    layer: Layer, opaque: Mapping[int, int], values: Values, start: int, end: int
) -> list[Field] | None:
    """The fields that a shell word becomes, often one; None if it is no word by the shell's rules.

    Args:
        layer: the text that it stands in.
        opaque: where parts of words start and end that only a running shell can tell.
        values: what is known of variables.
        start: where it starts in the layer's text.
        end: where it ends there.
    """
    return _WordScanner(layer, opaque, values, start, end).scan()


class _WordScanner:
    """Reads one shell word: removes quotes, expands and splits what is known."""

    def __init__(
        self, layer: Layer, opaque: Mapping[int, int], values: Values, start: int, stop: int
    ) -> None:
        self._layer = layer
        self._masked = layer.masked
        self._opaque = opaque
        self._values = values
        self._at = start
        self._stop = stop
        self._fields: list[Field] = []
        self._open: Field | None = None

    def scan(self) -> list[Field] | None:
        while self._at < self._stop:
            if not self._step():
                return None
        self._close()
        return self._fields

    def _step(self) -> bool:
        sign = self._masked[self._at]
        if sign in " \t\n;&|()":
            return False
        taken = _TAKEN.get(sign)
        if taken:
            return taken(self)
        run = _BARE_RUN.match(self._masked, self._at, self._stop)
        self._copy(run.end() if run else self._at + 1)
        if not run:
            self._mark(sign)
        return True

    def _field(self) -> Field:
        if self._open is None:
            self._open = Field()
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            self._fields.append(self._open)
        self._open = None

    def _copy(self, end: int) -> None:
        """Take the text up to ``end`` as it stands."""
        self._field().parts += self._layer.parts(self._at, end)
        self._at = end

    def _mark(self, sign: str) -> None:
        """Note what an unquoted sign may do: ``* ? [`` match files, braces and ``~`` expand."""
        each = self._field()
        if sign in "*?[":
            self._mark_glob()
        elif sign == "~":
            each.uncertain = each.uncertain or each.text[:-1][-1:] in ("", "=", ":")
        elif sign == "{":
            each.brace = "{"
        elif each.brace and sign in ",.":
            each.brace += sign
        elif sign == "}":
            each.uncertain = each.uncertain or "," in each.brace or ".." in each.brace

    def _mark_glob(self) -> None:
        each = self._field()
        each.glob = True
        each.uncertain = each.uncertain or self._values.odd_globs

    def _escape(self) -> bool:
        if self._at + 1 >= self._stop:
            return False
        self._at += 1
        if self._masked[self._at] == "\n":
            self._at += 1
        else:
            self._copy(self._at + 1)
        return True

    def _single(self) -> bool:
        end = self._masked.find("'", self._at + 1, self._stop)
        self._field()
        self._at += 1
        if end >= 0:
            self._copy(end)
            self._at += 1
        return end >= 0

    def _double(self) -> bool:
        self._field()
        self._at += 1
        while self._at < self._stop:
            sign = self._masked[self._at]
            if sign == '"':
                self._at += 1
                return True
            if not self._quoted_step(sign):
                return False
        return False

    def _quoted_step(self, sign: str) -> bool:
        if sign == "$":
            return self._dollar(quoted=True)
        if sign == "`":
            return self._unknown_span()
        if sign == "\\":
            if self._masked[self._at + 1 : self._at + 2] in tuple('$`"\\\n'):
                return self._escape()
            self._copy(self._at + 1)
            return True
        run = _QUOTED_RUN.match(self._masked, self._at, self._stop)
        self._copy(run.end() if run else self._at + 1)
        return True

    def _dollar(self, *, quoted: bool = False) -> bool:
        match = _VARIABLE.match(self._masked, self._at, self._stop)
        if match:
            return self._variable(match, quoted=quoted)
        if self._at in self._opaque:
            return self._unknown_span()
        special = _SPECIAL.match(self._masked, self._at, self._stop)
        if special:
            return self._unknown(special.end(), "")
        self._copy(self._at + 1)
        following = self._masked[self._at : min(self._at + 1, self._stop)]
        if not quoted and following in ("'", '"'):
            self._field().uncertain = True  # bash translates $"…"
        return following not in ("(", "{")  # which should have been in the tree

    def _variable(self, match: re.Match[str], *, quoted: bool) -> bool:
        name, default = match.group(1) or match.group(2), self._layer.text[slice(*match.span(4))]
        value = self._values.of(name, match.group(3) or "", default)
        if value is None or (self._values.odd_splitting and not quoted):
            known_name = "" if name in self._values.assigned else name
            return self._unknown(match.end(), known_name)
        self._at = match.end()
        if quoted:
            self._add(value, name)
        else:
            self._split(value, name)
        return True

    def _split(self, value: str, name: str) -> None:
        for index, chunk in enumerate(_IFS.split(value)):
            if index:
                self._close()
            if chunk:
                self._add(chunk, name)
            if any(sign in chunk for sign in "*?["):
                self._mark_glob()

    def _add(self, text: str, name: str) -> None:
        known = UNKNOWN_REFERENCE.search(text) is None
        self._field().parts.append(Part(text, name, known))

    def _unknown_span(self) -> bool:
        end = self._opaque.get(self._at, self._stop + 1)
        return end <= self._stop and self._unknown(end, "")

    def _unknown(self, end: int, name: str) -> bool:
        # Nested $(…) would be kept once for each of its levels.
        text = self._layer.text[self._at : end] if self._values.budget.takes(end - self._at) else ""
        self._field().parts.append(Part(text, name, known=False))
        self._at = end
        return True


_TAKEN: Mapping[str, Callable[[_WordScanner], bool]] = {
    "\\": _WordScanner._escape,
    "'": _WordScanner._single,
    '"': _WordScanner._double,
    "$": _WordScanner._dollar,
    "`": _WordScanner._unknown_span,
    "<": _WordScanner._unknown_span,
    ">": _WordScanner._unknown_span,
}
