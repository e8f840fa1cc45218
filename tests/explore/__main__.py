"""``make explore``: search the large scenarios, and print how far it came.

Exits with 1 and the moves that led there where a promise is broken.
"""

import argparse
import sys
import time

from explore.scenarios import LARGE, SMALL
from explore.search import BrokenPromiseError, Search


def main() -> int:
    """Search each scenario in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=int, default=20_000, help="at most, of each scenario")
    most = parser.parse_args().states
    print("| scenario | states | moves | deaths | rests | farthest | all of them | seconds |")
    print("|---|--:|--:|--:|--:|--:|---|--:|")
    broken = 0
    for name, scenario in (*SMALL.items(), *LARGE.items()):
        began = time.monotonic()
        try:
            found = Search(scenario, deep=True).run(most)
        except BrokenPromiseError as error:
            broken += 1
            print(f"| {name} | BROKEN | | | | | | |\n\n{error}\n", file=sys.stderr)
            continue
        row = (found.states, found.moves, found.crashes, found.rests, found.depth)
        told = " | ".join(f"{number:,}" for number in row)
        whole = "yes" if found.complete else "no"
        print(f"| {name} | {told} | {whole} | {time.monotonic() - began:.0f} |", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
