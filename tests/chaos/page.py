"""The page of a whole run: which calls were broken in which way, and what became of it."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from bench.report import Page
from chaos.cases import PHASES
from chaos.faults import Fault
from chaos.run import Report
from chaos.stand import ANSWER, LEASE, LIST_AGAIN, QUIET, RESYNC, WATCH

TOLD = """
A real API server with its controllers; the operator stands behind a proxy that injects the faults. Each run
tells the whole story: the operator starts; a KVEventSync of two models (two or three pods) and a gateway
comes and is Ready; its topic changes; it goes. Meanwhile a user edits both models. Every call of an
undisturbed run is broken once in every way that suits it, one call of each part of the story in a run, and
{mixtures} runs have 3 to 8 faults by a seed. After each run an independent oracle, which reads only the
API server's objects, is asked whether no user edit was lost, the undo is exact, there were never two event
configurations, no more rollouts than undisturbed, the gateway's flag never on before all was verified, one
model at a time; and no task, no connection and no token id in a log may be left by the operator.

A number is how often the fault happened; a dash, that it did not. Calls that are alike are one line: of each
part of the story, the first three watch events of a kind, the first eight writes of a status, the first three
Events. {unmet} of {planned} planned faults found no call: how often a status is written depends on time."""

_SET = f"""Set otherwise than in a pod: objects are looked at again after {RESYNC:.0f} s (300), a watch lasts
{WATCH} to {2 * WATCH} s (300 to 600), listed anew after {LIST_AGAIN:.0f} s (1,800) and, where silent,
opened again after {QUIET:.0f} s (150); an answer is waited for {ANSWER:.0f} s (30), the Lease lasts
{LEASE:.0f} s (10); sources are watched from the operator's own event loop."""


GOAL = 20 * 60
"""Seconds for all of `make chaos`."""


def page(
    undisturbed: Report, found: Sequence[Report], seconds: float, loads: Sequence[float]
) -> Page:
    """What is told of it."""
    met = Counter(each for report in found for each in report.met)
    planned = {each for report in found for each in report.case.injections}
    table: dict[tuple[str, str], Counter[Fault]] = defaultdict(Counter)
    for injection, times in met.items():
        table[injection.call.verb, injection.call.path][injection.fault] += times
    mixtures = sum(report.case.name.startswith("mixture-") for report in found)
    broken = [report for report in found if report.broken]
    told = TOLD.format(mixtures=mixtures, unmet=len(planned - met.keys()), planned=len(planned))
    faults = list(Fault)
    return Page(
        "chaos",
        "Faults of the API server",
        told,
        ["call", *(fault.value for fault in faults)],
        [
            [f"{verb} {path}", *(table[verb, path][fault] or "-" for fault in faults)]
            for verb, path in sorted(table)
        ],
        remarks=[
            f"Goal: no promise broken, in less than {GOAL // 60} minutes. {len(found)} runs took "
            f"{seconds / 60:.1f} minutes; **{len(broken)}** broke a promise."
            + "".join(f" `{report.case.name}`: {report.broken[0]}" for report in broken),
            f"{sum(met.values())} faults happened, at {len({i.call for i in met})} different calls of "
            f"{len({*undisturbed.calls})}.",
            *(_phase(phase, found) for phase in PHASES),
            _SET.replace("\n", " "),
        ],
        loads=loads,
        command="make chaos",
    )


def _phase(phase: str, found: Sequence[Report]) -> str:
    took = sorted(r.seconds[phase] for r in found if phase in r.seconds)
    if not took:
        return f"{phase}: not run."
    return f"{phase}: true again within {took[len(took) // 2]:.1f} s (median), {took[-1]:.1f} s (longest)."
