"""``make explore``: search the scenarios, and print how far it came.

Exits with 1 and the moves that led there where a promise is broken.
"""

import argparse
import sys
import time
from collections.abc import Callable

from explore.community import Scenario
from explore.scenarios import LARGE, SMALL
from explore.search import BrokenPromiseError, Found, Search

COUNTS = "states | moves | deaths | amid writes | rests | farthest | made in full"


def main() -> int:
    """Search each scenario in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=int, default=20_000, help="at most, of each; 0: all")
    parser.add_argument("--scenario", default="", help="only those with this in their name")
    asked = parser.parse_args()
    chosen = {n: s for n, s in (SMALL | LARGE).items() if asked.scenario in n}
    if not chosen:
        parser.error(f"no scenario has {asked.scenario!r} in its name: {', '.join(SMALL | LARGE)}")
    print(f"| scenario | {COUNTS} | all of them | CPU s |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|---|--:|")
    whole = [_is_whole(name, scenario, asked.states) for name, scenario in chosen.items()]
    return 0 if all(whole) else 1


def _is_whole(name: str, scenario: Scenario, states: int) -> bool:
    """Whether every promise is kept; prints the row of a scenario."""
    began = time.process_time()
    # Of a part the ends shall be seen too; of the whole the shortest way to a broken promise.
    search = Search(scenario, deep=states > 0, progress=_progress(name, began))
    try:
        found = search.run(states or None)
    except BrokenPromiseError as error:
        print(f"| {name} | BROKEN | | | | | | | | |\n\n{error}\n", file=sys.stderr)
        return False
    row = (found.states, found.moves, found.crashes, found.amid, found.rests, found.depth)
    told = " | ".join(f"{number:,}" for number in (*row, found.decided))
    whole = "yes" if found.complete else "no"
    print(f"| {name} | {told} | {whole} | {time.process_time() - began:.0f} |", flush=True)
    return True


def _progress(name: str, began: float) -> Callable[[Found], None]:
    def tell(found: Found) -> None:
        waiting = found.states - found.left
        spent = time.process_time() - began
        line = f"{name}: {found.left:,} states left, {waiting:,} wait, {found.depth} moves deep"
        print(f"{line}, {found.decided:,} made in full, {spent:.0f} s", file=sys.stderr, flush=True)

    return tell


if __name__ == "__main__":
    sys.exit(main())
