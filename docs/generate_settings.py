"""Write docs/settings.md from the options of `kvsync run` and the table of rights: `make generate`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
from markdown_table import table

from kvsync.cli.run import run
from kvsync.core.rights import RIGHTS, Place, Right

NOTHING = "\u2013"
PAGE = Path(__file__).resolve().parent / "settings.md"

_WHERE = {
    Place.SERVED: "namespaces of models",
    Place.GATEWAYS: "the gateway's namespace",
    Place.OWN: "its own namespace",
    Place.CLUSTER: "the cluster",
}

_INTRODUCTION = """\
<!-- Written by docs/generate_settings.py from `kvsync run` and core/rights.py: `make generate`. -->
# Settings and rights of the operator

## Settings

Options of `kvsync run`, or variables of its environment; an option wins. A wrong value ends it with
exit code 2 and says which, and what is allowed. Nothing is read while it runs: a change takes a restart,
which restarts no model. The chart sets them by its [values](../charts/kvsync-operator/values.yaml).

"""

_RIGHTS = """
## Rights

Every right, why, and what does not work without it. The install manifest and the chart grant these and
no others; tests hold them against this table.

"""


def page() -> str:
    """The page, as Markdown."""
    settings = table(("Option", "Variable", "Default", "What it is"), _settings())
    rights = table(("Resource", "Verbs", "Where", "To", "Without it"), map(_right, RIGHTS))
    return _INTRODUCTION + settings + _RIGHTS + rights


def _settings() -> Iterator[tuple[str, ...]]:
    for option in run.params:
        if not isinstance(option, click.Option) or option.hidden or "--help" in option.opts:
            continue
        names = [*option.opts, *option.secondary_opts]
        variable = f"`{option.envvar}`" if option.envvar else NOTHING
        yield ", ".join(f"`{name}`" for name in names), variable, _default(option), _help(option)


def _default(option: click.Option) -> str:
    """As it would be typed, or what it comes to; where nothing is the default, a dash."""
    if isinstance(option.show_default, str):
        return option.show_default
    value = option.default
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value}`" if isinstance(value, (str, int, float)) and value != "" else NOTHING


def _help(option: click.Option) -> str:
    return re.sub(r"\s*\[env: [^]]*\]", "", option.help or "")


def _right(right: Right) -> tuple[str, ...]:
    name = f"`{right}`" + (" (by name)" if right.by_name else "")
    verbs = ", ".join(right.verbs)
    where = ", ".join(_WHERE[place] for place in right.places)
    lost = ("Optional. " if right.optional else "") + right.lost
    return name, verbs, where, right.why, lost


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
