"""`make relay-table`: what a gateway knows of the prompts that engines hold, with and without a relay.

Exit code 0 only if with a relay all of it was known, also after the gateway was restarted.
"""

import argparse
import sys
from collections.abc import Sequence

from testbed.bed import Bed
from testbed.hits.manifests import Relay
from testbed.hits.measure import BLOCKS, LOADING, Row, load, measure
from testbed.hits.place import INITIALISED, Place

NAMESPACE = "hits"
PROMPTS = 48
"""Prompts sent to each engine."""


def show(plain: Sequence[Row], relayed: Sequence[Row], loading: Sequence[str]) -> str:
    """The table, as it stands in docs/relay.md."""
    lines = [
        "| engine | without | with a relay | after a gateway restart: without | with | all again after |",
        "|---|---|---|---|---|---|",
    ]
    for without, beside in zip(plain, relayed, strict=True):
        name, seconds = without.kind.says, f"{beside.whole_after:.1f} s"
        hits = (without.first, beside.first, without.again, beside.again)
        lines.append("| " + " | ".join((name, *map(str, hits), seconds)) + " |")
        if without.kind.ranks > 1:
            hits = (without.first_further, beside.first_further, without.further, beside.further)
            lines.append("| " + " | ".join(("of it, rank 1", *map(str, hits), seconds)) + " |")
    without_relay, with_relay = loading
    lines += [
        "",
        f"Gateway started beside {LOADING} engines that load, without relays: {without_relay}.",
    ]
    return "\n".join([*lines, f"With relays: {with_relay}."])


def say(text: str) -> None:
    """One line, so that it is seen to go on."""
    print(f"  {text}", flush=True)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m testbed.hits.table", description=__doc__)
    parser.add_argument("--gateway", default="v0.7.0", metavar="TAG", help="the gateway's release")
    options = parser.parse_args()
    with Bed(nodes=2, gpus=16) as bed:
        bed.create_namespace(NAMESPACE)
        place = Place(bed.api, NAMESPACE)
        place.install_gateway(options.gateway)
        plain, relayed = (
            measure(place, PROMPTS, say, Relay.NONE),
            measure(place, PROMPTS, say, Relay.RENDERED),
        )
        began = place.gateway.seconds_to(INITIALISED)
        loading = [load(place, say, relay) for relay in (Relay.NONE, Relay.RENDERED)]
    print(
        f"\nAIBrix {options.gateway}; {PROMPTS} prompts of {BLOCKS} blocks to each engine; of the blocks"
    )
    print("that the engine then holds, so many are matched by the gateway's own index:\n")
    print(show(plain, relayed, loading))
    print(f"\nThe restarted gateway itself had begun to listen {began:.1f} s after its first line.")
    return 0 if all(row.first.whole and row.again.whole for row in relayed) else 1


if __name__ == "__main__":
    sys.exit(main())
