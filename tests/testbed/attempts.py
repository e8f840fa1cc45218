"""``python -m testbed.attempts PYTEST-ARGUMENTS``: run tests, and what failed once more, alone.

Many tests are stories of real processes on a clock that they share with whatever else the machine
does. What fails twice, the second time with nothing beside it (and on a new bed), is broken. What
passes then is named at the end, for it is a race in the test or in the operator: never hidden.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FORGIVEN = 5
"""Failed tests that are run again; more than these are no accident."""

_SOME_FAILED = 1  # pytest.ExitCode.TESTS_FAILED
_CACHE = Path(".pytest_cache") / "attempts"
_LAST_FAILED = _CACHE / "v" / "cache" / "lastfailed"
_WORKERS = ("-n", "--dist")


def main(arguments: Sequence[str]) -> int:
    """Run pytest, and where a few tests failed those again; the exit code of what counts."""
    _LAST_FAILED.unlink(missing_ok=True)
    code = _pytest(arguments)
    failed = failures() if code == _SOME_FAILED else []
    if not 0 < len(failed) <= FORGIVEN:
        return code
    print(f"\nrunning {len(failed)} failed tests again, alone", flush=True)
    code = _pytest([*alone(arguments), "--last-failed", "--last-failed-no-failures=none"])
    if code == 0:
        print("\nFLAKY (failed, and passed when run again alone; see CONTRIBUTING.md):")
        print("\n".join(f"  {name}" for name in failed), flush=True)
    return code


def failures() -> list[str]:
    """The tests that failed in the last run, as pytest's cache names them."""
    try:
        return sorted(json.loads(_LAST_FAILED.read_text()))
    except (OSError, ValueError):
        return []


def alone(arguments: Sequence[str]) -> list[str]:
    """The arguments without those that share tests out to workers."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word in _WORKERS:
            next(words, None)
        else:
            kept.append(word)
    return kept


def _pytest(arguments: Sequence[str]) -> int:
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir={_CACHE}", *arguments]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
