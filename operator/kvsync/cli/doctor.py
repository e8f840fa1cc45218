"""``kvsync doctor``: what is true of an installation, check by check, with what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

import click

from kvsync.adapters.templates import read_templates
from kvsync.cli.door import Door, door_options
from kvsync.cli.examination.gather import Asked, gather, without_access
from kvsync.cli.marks import COLORS, signs
from kvsync.cli.options import Duration, Gateway, NamespaceName, run_async
from kvsync.cli.table import printable
from kvsync.cli.upshot import output_option, print_data
from kvsync.core.doctor.examine import examine
from kvsync.core.doctor.facts import Facts
from kvsync.core.doctor.finding import Finding, Mark, Report
from kvsync.core.doctor.report_json import report_json
from kvsync.core.gateway_access import GatewayGrant
from kvsync.model.errors import AccessError

Line = tuple[str, str | None]
"""A line, and its color or None."""


@click.command()
@click.argument("name", required=False)
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    multiple=True,
    type=NamespaceName(),
    metavar="NAME",
    help="Look at the objects of this namespace only; repeatable. Default: all, where they may be listed.",
)
@click.option(
    "--operator-namespace",
    type=NamespaceName(optional=True),
    default="",
    metavar="NAME",
    envvar="KVSYNC_OPERATOR_NAMESPACE",
    help="Where the operator runs. Default: where its Deployment is found by label.  "
    "[env: KVSYNC_OPERATOR_NAMESPACE]",
)
@click.option(
    "--lease-name",
    default="",
    metavar="NAME",
    envvar="KVSYNC_LEASE_NAME",
    help="The Lease of its leader. Default: as its Deployment says.  [env: KVSYNC_LEASE_NAME]",
)
@click.option(
    "--gateway",
    "gateways",
    multiple=True,
    type=Gateway(),
    metavar="NAMESPACE/NAME[=NAMESPACE,…]",
    help="A gateway, as kvsync run takes it; repeatable. Default: as its Deployment says.",
)
@click.option(
    "--templates",
    metavar="FOLDER",
    envvar="KVSYNC_TEMPLATES",
    help="The operator's own templates, where it has such.  [env: KVSYNC_TEMPLATES]",
)
@click.option(
    "--timeout", type=Duration(), default="30s", show_default=True, help="Time for all of it."
)
@output_option()
@door_options
def doctor(
    *,
    name: str | None,
    namespaces: tuple[str, ...],
    operator_namespace: str,
    lease_name: str,
    gateways: tuple[GatewayGrant, ...],
    templates: str | None,
    timeout: float,
    output: str,
    door: Door,
) -> None:
    """Check an installation: API server, CRD, rights, operator, gateway, engines, the way to their ports.

    With NAME: of the objects only that KVEventSync, in the namespace of -n or the current one. Each
    check says what was seen from here, and what to do where that is not right. Nothing is written.

    Exit code 0: nothing is wrong (what is not known from here is no fault). 1: something is wrong.
    2: wrong usage, or the API server cannot be asked.
    """
    try:
        texts = read_templates(templates)
    except FileNotFoundError as error:
        raise click.UsageError(str(error)) from error
    asked = Asked(
        namespaces, name, gateways, operator_namespace, lease_name, texts, max(2.0, timeout)
    )
    report = examine(run_async(_gather(asked, door)))
    if output == "table":
        for text, color in lines(report, signs(sys.stdout)):
            click.secho(printable(text), fg=color)
    else:
        print_data(report_json(report), output)
    sys.exit(report.exit_code)


async def _gather(asked: Asked, door: Door) -> Facts:
    try:
        kube = await door.open()
    except AccessError as error:
        return without_access("no API server", str(error))
    async with kube:
        return await gather(kube, asked)


def lines(report: Report, marks: Mapping[Mark, str]) -> Iterator[Line]:
    """The report for people."""
    yield f"Asked {report.seen_from}.", None
    wide = max((len(each.check) for each in report.findings), default=0)
    for each in report.findings:
        yield from _finding(each, wide, marks)
    counts = ", ".join(f"{report.counts[mark]} {marks[mark]}" for mark in Mark)
    yield f"{counts}", COLORS[Mark.WRONG if report.exit_code else Mark.GOOD]


def _finding(found: Finding, wide: int, marks: Mapping[Mark, str]) -> Iterator[Line]:
    margin = max(map(len, marks.values()))
    subject = f"{found.subject}: " if found.subject else ""
    yield (
        f"{marks[found.mark]:{margin}} {found.check:{wide}}  {subject}{found.seen}",
        COLORS[found.mark],
    )
    if found.remedy:
        yield f"{'':{margin}} {'':{wide}}  -> {found.remedy}", None
