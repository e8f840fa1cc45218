"""What the Dockerfile's own steps install, run as a cluster runs it: no container, but all the rest."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from image.bill import as_json, bill, locked
from image.dockerfile import ROOT
from image.replay import USER, Image, shared_image
from testbed.engine.launch import free_ports

# The first test builds the image, and others wait for it.
pytestmark = pytest.mark.timeout(400)

IMPORT_ALL = """
import importlib, pkgutil, kvsync
for found in pkgutil.walk_packages(kvsync.__path__, "kvsync."):
    importlib.import_module(found.name)
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    base = tmp_path_factory.getbasetemp()
    # The processes of a parallel run share one, which lies above the folders of each.
    return shared_image((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "image")


@pytest.fixture(scope="module")
def python(image: Image) -> list[str]:
    return [str(image.root / "opt/kvsync/bin/python")]


def test_it_is_another_user_and_nothing_can_be_written(image: Image, python: list[str]) -> None:
    code = f"""
import os
assert (os.getuid(), os.getgid()) == ({USER}, {USER})
for place in ({str(image.root)!r}, "/tmp", "/var/tmp"):
    try:
        open(place + "/x", "w")
    except OSError as error:
        print(error.strerror)
"""
    done = image.run("-c", code, program=python)
    assert done.stdout.splitlines() == ["Read-only file system"] * 3, done.stderr


def test_it_says_its_version(image: Image) -> None:
    done = image.run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == f"kvsync, version {_version()}"


@pytest.mark.parametrize("command", [["run"], ["relay"], ["probe"], ["verify"]])
def test_its_commands_start(image: Image, command: list[str]) -> None:
    done = image.run(*command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"Usage: kvsync {command[0]}" in done.stdout


def test_it_carries_templates_and_crd(image: Image, python: list[str]) -> None:
    printed = image.run("quickstart", "m")
    assert printed.returncode == 0, printed.stderr
    kinds = [body["kind"] for body in yaml.safe_load_all(printed.stdout)]
    assert kinds == ["Deployment", "Service", "KVEventSync"]
    code = "from kvsync.adapters.templates import data_folder as d; print(d('crds')); print(d('templates'))"
    folders = [Path(line) for line in image.run("-c", code, program=python).stdout.splitlines()]
    for folder, source in zip(folders, (ROOT / "crds", ROOT / "templates"), strict=True):
        assert folder.is_relative_to(image.root)
        # What is for Argo CD is not the operator's.
        wanted = {name: t for name, t in _texts(source).items() if not name.startswith("gitops/")}
        assert _texts(folder) == wanted != {}


def test_nothing_but_the_locked_packages_is_there(image: Image, python: list[str]) -> None:
    code = (
        "import importlib.metadata as m;"
        "print(*sorted(f'{d.metadata[\"Name\"]}=={d.version}' for d in m.distributions()), sep='\\n')"
    )
    installed = image.run("-c", code, program=python).stdout.split()
    wanted = [f"{name}=={version}" for name, version, _ in _locked()]
    assert sorted(map(_plain, installed)) == sorted([*wanted, f"kvsync-operator=={_version()}"])


def test_every_module_finds_what_it_imports(image: Image, python: list[str]) -> None:
    done = image.run("-c", IMPORT_ALL, program=python)
    assert done.returncode == 0, done.stderr


def test_bytecode_is_there_and_is_not_compared_with_times(image: Image) -> None:
    package = next((image.root / "opt/kvsync/lib").glob("python*/site-packages/kvsync"))
    sources = [path for path in package.rglob("*.py") if "data" not in path.parts]
    compiled = list(package.rglob("__pycache__/*.pyc"))
    assert len(compiled) == len(sources) > 100
    # PEP 552: bit 0 of the flags says by hash, bit 1 whether the source is looked at.
    assert {path.read_bytes()[4:8] for path in compiled} == {b"\x01\x00\x00\x00"}


def test_nothing_leads_back_to_where_it_was_built(image: Image) -> None:
    assert [path.name for path in image.root.iterdir()] == ["opt"]
    assert [path.name for path in (image.root / "opt").iterdir()] == ["kvsync"]
    assert not list((image.root / "opt/kvsync/bin").glob("pip*"))


@pytest.fixture
def relay(image: Image) -> Iterator[str]:
    first, second, third, page = free_ports(4)
    words = [*image.entrypoint, "relay", f"--upstream=tcp://127.0.0.1:{first}"]
    words += ["--upstream-replay=off", f"--listen=tcp://127.0.0.1:{second}"]
    words += [f"--replay=tcp://127.0.0.1:{third}", f"--metrics-address=127.0.0.1:{page}"]
    process = subprocess.Popen(image.command(words), env=dict(image.environment), cwd="/")
    try:
        yield f"http://127.0.0.1:{page}/healthz"
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
    assert code == 0


def test_the_relay_serves(relay: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(relay, timeout=2) as answer:
                assert answer.status == 200
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    pytest.fail("the relay does not serve its health")


def test_the_bill_names_what_is_installed(image: Image) -> None:
    report = json.loads((image.root.parent / "stage-installed/installed.json").read_text())
    text = as_json(bill(report, _version(), {}))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = {each["name"]: each for each in json.loads(text)["components"]}
    allowed = {name: (version, digests) for name, version, digests in _locked()}
    assert components.keys() == allowed.keys()
    for name, each in components.items():
        version, digests = allowed[name]
        assert each["version"] == version
        assert each["purl"] == f"pkg:pypi/{name}@{version}"
        assert len(each["hashes"]) == 1
        assert each["hashes"][0]["content"] in digests
        assert each["licenses"], f"{name} says no license"


def _locked() -> list[tuple[str, str, frozenset[str]]]:
    return list(locked((ROOT / "requirements/runtime.txt").read_text()))


def _version() -> str:
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found
    return found[1]


def _plain(line: str) -> str:
    name, _, version = line.partition("==")
    return f"{re.sub('[-_.]+', '-', name).lower()}=={version}"


def _texts(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}
