"""Reading what a process costs, with a name that tries to look like the fields behind it."""

import os
import subprocess
import sys
from pathlib import Path

from kvsync.adapters.processes import cost_of


def test_a_running_process_has_a_cost() -> None:
    cost = cost_of(os.getpid())
    assert cost is not None
    assert cost.resident_bytes > 1 << 20
    assert cost.cpu_seconds > 0
    assert cost.open_fds >= 3


def test_a_name_with_parentheses_and_spaces_is_no_field(tmp_path: Path) -> None:
    odd = tmp_path / "a) 1 2 (b"
    odd.symlink_to(sys.executable)
    with subprocess.Popen([odd, "-c", "input()"], stdin=subprocess.PIPE) as process:
        cost = cost_of(process.pid)
        process.communicate(b"\n")
    assert cost is not None
    assert 0 <= cost.cpu_seconds < 60
    assert cost.resident_bytes < 1 << 30


def test_one_that_is_gone_has_none(tmp_path: Path) -> None:
    assert cost_of(1, proc=tmp_path) is None
