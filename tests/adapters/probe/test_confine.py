"""What a process may not do once it has shut itself in; the kernel is asked, in a process of its own."""

import ctypes
import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, os, socket, sys
from kvsync.adapters.probe import confine

path, folder, held = sys.argv[1], sys.argv[2], open(sys.argv[1], "rb")
listening = socket.create_server(("127.0.0.1", 0))

def bind():
    socket.create_server(("127.0.0.1", 0)).close()

def connect():
    socket.create_connection(listening.getsockname()).close()

DEEDS = {
    "read": lambda: open(path, "rb").close(),
    "write": lambda: open(folder + "/new", "wb").close(),
    "remove": lambda: os.remove(path),
    "list": lambda: os.listdir(folder),
    "run": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
    "listen": bind,
    "connect": connect,
    "read what it holds": lambda: held.read(),
}

def refused(deed):
    try:
        deed()
    except PermissionError:
        return True
    return False

before = {name: refused(deed) for name, deed in DEEDS.items() if name != "remove"}
version = confine.shut_in()
print(json.dumps([version, before, {name: refused(deed) for name, deed in DEEDS.items()}]))
"""


def test_it_opens_no_file_starts_no_program_and_goes_on_with_its_connections(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "token"
    secret.write_text("secret")
    # landlock_create_ruleset(2), asked for its version alone.
    known = ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1)
    if known < 1:
        pytest.skip("this kernel has no Landlock, or does not let us have it")
    words = [sys.executable, "-c", PROGRAM, str(secret), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    version, before, after = json.loads(done.stdout)
    assert version == known
    assert not any(before.values()), before
    allowed = {"connect", "read what it holds"} | ({"listen"} if version < 4 else set())
    assert {name for name, no in after.items() if not no} == allowed
    assert secret.read_text() == "secret"
