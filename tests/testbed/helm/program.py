"""Helm at work on a testbed's cluster, with folders of its own instead of the user's."""

import os
import subprocess
from pathlib import Path

from testbed.api import Api
from testbed.helm.install import find_helm

CHART = "apiVersion: v2\nname: {name}\nversion: {version}\n"


class Helm:
    """Helm 3 or 4 as the user of an Api. Raises HelmError where it cannot be had."""

    def __init__(self, api: Api, home: Path, major: int = 4) -> None:
        self.program = find_helm(major)
        self.environment = {"KUBECONFIG": str(api.kubeconfig)} | {
            f"HELM_{kind}_HOME": str(home / f"helm-{kind.lower()}")
            for kind in ("CACHE", "CONFIG", "DATA")
        }

    def run(
        self, *args: str | Path, check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end; raises RuntimeError with its words when it fails."""
        done = subprocess.run(
            [str(self.program), *map(str, args)],
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"helm {' '.join(map(str, args))}: {done.stderr.strip()}")
        return done


def write_chart(folder: Path, manifest: str, version: str = "0.1.0") -> Path:
    """A chart of one template, written into the folder (made, or written over); returns it."""
    (folder / "templates").mkdir(parents=True, exist_ok=True)
    (folder / "Chart.yaml").write_text(CHART.format(name=folder.name, version=version))
    (folder / "templates" / "all.yaml").write_text(manifest)
    return folder
