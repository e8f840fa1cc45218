"""Entering namespaces: what is found inside, what dies with whom, what stays, what is refused."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bed.processes import running_with, unique_sleep, wait_until_gone
from testbed import enter, kept
from testbed.api import Api
from testbed.programs import NAMES, find_programs
from testbed.waiting import wait_for

pytestmark = pytest.mark.bed

TESTS = Path(__file__).resolve().parents[1]
NOBODY = 65534

SMALL_BED = """
from testbed.bed import Bed
with Bed() as bed:
    node = bed.api.list("nodes")[0]["metadata"]["name"]
    print(open("/proc/self/uid_map").read().split(), node)
"""


def words(*command: str, options: Sequence[str] = ()) -> list[str]:
    """The command line that runs ``command`` inside."""
    return [sys.executable, "-m", "testbed.enter", *options, "--", *command]


def run(*command: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(*command, options=options), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own cache folder, and as a caller outside would be."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setenv("KVSYNC_CONTROL_PLANE", str(find_programs()))
    monkeypatch.setenv("KVSYNC_CACHE", str(tmp_path / "cache"))
    for name in (enter.INSIDE_VARIABLE, enter.KEEP_VARIABLE, enter.LISTENER_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def _stopped_at_the_end() -> Iterator[None]:
    yield
    enter.stop()


def test_inside_there_is_root_a_loopback_and_an_empty_run() -> None:
    script = "id -u; ip -br link | wc -l; ip -br addr show lo; ls -A /run | wc -l; ps -e | wc -l"
    found = run("sh", "-c", f"{script}; ip netns add one && ip netns exec one ip -br link")
    assert found.returncode == 0, found.stderr
    uid, links, loopback, entries, processes, inner = found.stdout.splitlines()
    assert (uid, links, entries) == ("0", "1", "0")
    assert "127.0.0.1/8" in loopback
    assert int(processes) <= 6, "the host's processes are not seen"
    assert inner.startswith("lo ")


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_the_exit_code_is_the_command_s(script: str, code: int) -> None:
    assert run("sh", "-c", script).returncode == code


def test_a_command_that_is_not_there() -> None:
    done = run("no-such-command")
    assert done.returncode == 127
    assert "no-such-command: No such file or directory" in done.stderr


def test_what_the_command_left_behind_dies_with_it() -> None:
    nap = unique_sleep()
    done = run("sh", "-c", f"setsid sleep {nap} >/dev/null 2>&1 & pgrep -f {nap}")
    assert done.stdout.strip(), "it did run"
    wait_until_gone(nap)


def start_nap(nap: str) -> subprocess.Popen[str]:
    """Enter with a sleep and an orphan beside it; returns when both run."""
    outer = subprocess.Popen(words("sh", "-c", f"setsid sleep {nap} & sleep {nap}; :"), text=True)
    wait_for(lambda: len(running_with(nap)) >= 4, 20.0, what="both sleeps")
    return outer


def test_kill_9_of_the_caller_kills_everything() -> None:
    nap = unique_sleep()
    outer = start_nap(nap)
    outer.kill()
    outer.wait()
    wait_until_gone(nap)


def test_kill_9_of_the_first_process_kills_everything() -> None:
    nap = unique_sleep()
    outer = start_nap(nap)
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    assert outer.wait(10) == 137
    wait_until_gone(nap)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_command_which_may_end_in_order(number: signal.Signals) -> None:
    script = "import signal,sys; signal.sigwait([signal.SIGTERM, signal.SIGINT]); sys.exit(9)"
    block = "import signal; signal.pthread_sigmask(0, [15, 2]); print('up', flush=True);"
    outer = subprocess.Popen(
        words(sys.executable, "-c", block + script), stdout=subprocess.PIPE, text=True
    )
    assert outer.stdout is not None
    assert outer.stdout.readline() == "up\n"
    outer.send_signal(number)
    assert outer.wait(10) == 9


@pytest.mark.usefixtures("_stopped_at_the_end")
def test_what_is_kept_stays_until_it_is_stopped() -> None:
    nap = unique_sleep()
    script = f"setsid sleep {nap} >/dev/null 2>&1 & echo stay > $TESTBED_KEEP; exit 4"
    # Its output is read to the end: nothing that stays may hold the caller's pipes.
    assert run("sh", "-c", script, options=["--keep"]).returncode == 4
    assert running_with(nap)
    found = kept.find()
    assert found is not None
    assert Path(found.directory).is_dir()

    again = run("true", options=["--keep"])
    assert again.returncode == enter.OWN_FAILURE
    assert "still up" in again.stderr
    assert "--stop" in again.stderr

    assert "ended" in run(options=["--stop"]).stdout + run(options=["--stop"]).stdout
    wait_until_gone(nap)
    assert not Path(found.directory).exists()


def test_what_does_not_ask_to_stay_does_not() -> None:
    nap = unique_sleep()
    run("sh", "-c", f"setsid sleep {nap} >/dev/null 2>&1 &", options=["--keep"])
    wait_until_gone(nap)
    assert kept.find() is None


def test_stop_spares_a_process_that_merely_has_the_same_id(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "3600"]) as innocent:
        folder = tmp_path / f"{kept.PREFIX}x"
        folder.mkdir()
        kept.note(kept.Kept(pid=innocent.pid, started=1, directory=str(folder)))
        assert "had ended already" in enter.stop()
        assert innocent.poll() is None
        assert not folder.exists()
        innocent.kill()


@pytest.mark.usefixtures("_stopped_at_the_end")
def test_a_bed_that_stays_is_reached_from_outside_by_kubectl() -> None:
    done = run(sys.executable, "-m", "testbed.bed", "--stay", options=["--keep"])
    assert done.returncode == 0, done.stderr
    kubeconfig = Path(done.stdout.split("KUBECONFIG=")[1].splitlines()[0])
    listed = Api(kubeconfig).kubectl("get", "nodes", "--no-headers").stdout
    assert listed.split()[:2] == ["node-1", "Ready"]
    inside = kubeconfig.with_name("admin.yaml")
    assert Api(inside).kubectl("get", "nodes", check=False).returncode != 0, "not the host's port"


def test_a_missing_program_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "setpriv").symlink_to("/usr/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(enter.EnterError) as failure:
        enter.check_programs()
    assert "ip, nsenter" in str(failure.value)
    assert "apt install iproute2 util-linux" in str(failure.value)


def test_where_namespaces_are_refused_it_says_which_and_the_ways_out() -> None:
    # A root that may not (no CAP_SYS_ADMIN), where nobody may have a user namespace.
    inside = "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-sys_admin"
    script = f"{inside} {shlex.join(words('true'))}"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == enter.OWN_FAILURE
    assert "refused: a user namespace: No space left on device (ENOSPC)" in done.stderr
    assert "sysctl user.max_user_namespaces=" in done.stderr
    assert "as root (sudo)" in done.stderr


def test_without_root_a_whole_bed_runs(tmp_path: Path) -> None:
    if os.geteuid() != 0 or len(Path("/proc/self/uid_map").read_text().split()) != 3:
        pytest.skip("cannot become another user here; but then this run itself is without root")
    if int(Path("/proc/self/uid_map").read_text().split()[2]) <= NOBODY:
        pytest.skip("already in a user namespace of one user: this run itself is without root")
    home = tmp_path / "home"
    home.mkdir()
    bed = words(sys.executable, "-c", SMALL_BED)
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    as_nobody += ["env", f"HOME={home}", "TMPDIR=/tmp", *bed]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", opened_for_nobody() + f"exec {shlex.join(as_nobody)}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"['0', '{NOBODY}', '1'] node-1\n"


def opened_for_nobody() -> str:
    """Shell lines that show what the bed needs in folders that are closed to others, e.g. /root.

    In a mount namespace of its own: the folder itself is not changed.
    """
    programs = find_programs()
    needed = {Path(sys.base_prefix), Path(sys.prefix), TESTS.parent, programs}
    needed |= {(programs / name).resolve().parent for name in NAMES}
    lines = []
    for closed in sorted({folder for path in needed if (folder := closed_above(path))}):
        inner = [path for path in sorted(needed) if closed in path.parents]
        for number, path in enumerate(inner):
            lines.append(f"mkdir -p /run/stash/{number}; mount --bind {path} /run/stash/{number}")
        lines.append(f"mount -t tmpfs -o mode=755 tmpfs {closed}")
        for number, path in enumerate(inner):
            lines.append(f"mkdir -p {path}; mount --bind /run/stash/{number} {path}")
    return "".join(f"{line}\n" for line in lines)


def closed_above(path: Path) -> Path | None:
    """The outermost folder on the way to ``path`` that others may not pass."""
    for folder in reversed(path.parents):
        if not folder.stat().st_mode & 0o001:
            return folder
    return None


def test_the_note_survives_being_read(tmp_path: Path) -> None:
    one = kept.Kept.of(os.getpid(), tmp_path)
    kept.note(one)
    assert kept.find() == one
    assert one.alive
    assert json.loads(kept.record().read_text())["pid"] == os.getpid()
