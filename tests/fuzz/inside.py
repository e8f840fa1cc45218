"""One target under libFuzzer, in a process of its own: ``python -m fuzz.inside TARGET [options]``."""

import shlex
import sys

import atheris

# Coverage is seen of what is imported here for the first time.
with atheris.instrument_imports(include=["kvsync.core", "kvsync.adapters"]):
    from fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    _, name, *options = sys.argv
    # To merge, libFuzzer has a shell start this again, with options after it.
    itself = f"{shlex.quote(sys.executable)} -m fuzz.inside {name}"
    atheris.Setup([itself, *options], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
