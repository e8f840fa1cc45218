"""Tests that fail are run again alone, and what passes then is named."""

import os
import subprocess
import sys
from pathlib import Path

from testbed.attempts import FORGIVEN

FLAKY = """
from pathlib import Path

def test_flaky():
    seen = Path("seen")
    known = seen.exists()
    seen.touch()
    assert known

def test_right():
    with Path("right").open("a") as out:
        out.write("x")
"""
BROKEN = "def test_broken():\n    assert False\n"


def attempt(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit code, and what was printed."""
    path = os.pathsep.join(each for each in sys.path if each)
    ran = subprocess.run(
        [sys.executable, "-m", "testbed.attempts", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ran.returncode, ran.stdout


def test_what_passes_the_second_time_is_named_and_nothing_else_runs_twice(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(FLAKY)
    code, said = attempt(tmp_path, "-p", "xdist.plugin", "-n", "2", "--dist", "loadfile")
    assert code == 0, said
    assert said.endswith("  test_some.py::test_flaky\n")
    assert (tmp_path / "right").read_text() == "x"


def test_what_fails_twice_is_broken(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(FLAKY + BROKEN)
    code, said = attempt(tmp_path)
    assert code == 1
    assert "FLAKY" not in said
    assert said.count("FAILED test_some.py::test_broken") == 2


def test_an_old_failure_is_not_run_again(tmp_path: Path) -> None:
    (tmp_path / "test_old.py").write_text(BROKEN)
    assert attempt(tmp_path)[0] == 1
    (tmp_path / "test_some.py").write_text(FLAKY)
    code, said = attempt(tmp_path, "test_some.py")
    assert code == 0, said


def test_many_failures_are_no_accident(tmp_path: Path) -> None:
    text = "".join(f"def test_{each}():\n    assert False\n" for each in range(FORGIVEN + 1))
    (tmp_path / "test_some.py").write_text(text)
    code, said = attempt(tmp_path)
    assert code == 1
    assert "again" not in said


def test_a_run_that_found_no_tests_is_no_success(tmp_path: Path) -> None:
    assert attempt(tmp_path)[0] == 5
