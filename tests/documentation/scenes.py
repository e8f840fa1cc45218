"""What is there before the first step of a page."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from documentation.terminal import Terminal
from testbed.api import rolled_out, wait_for
from testbed.bed import Bed
from testbed.demo import STAND_IN, Demo, Story, model_manifest
from testbed.enter import is_inside
from testbed.session import HOW

ROOT = Path(__file__).resolve().parents[2]
GATEWAY = ROOT / "tests" / "testbed" / "manifests" / "gateway.yaml"


def fresh(bed: Bed) -> None:
    """AIBrix's gateway with KV sync off, and a plain model of two pods in namespace default."""
    bed.api.create_all(GATEWAY)
    bed.api.create_all(model_manifest(STAND_IN), "default")
    for name in (("aibrix-gateway-plugins", "aibrix-system"), ("my-model", "default")):
        wait_for(partial(_available, bed, *name), 60, what=f"{name} available")


def _available(bed: Bed, name: str, namespace: str) -> bool:
    return rolled_out(bed.api.get("deployments", name, namespace))


def demo(bed: Bed) -> None:
    """As `make demo KEEP=1` leaves it: that, the operator, one object that is Ready, some prompts sent."""
    story = Demo(bed, STAND_IN, Story())
    story.install()
    story.deploy()
    story.enable()
    story.consume()


SCENES: dict[str, Callable[[Bed], None]] = {"fresh": fresh, "demo": demo, "synchronized": demo}
SHARED = frozenset({"synchronized"})
"""Pages of this scene follow each other on one bed: each leaves it as it was."""


class Stage:
    """The bed of the scene that is played now; one at a time."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._scene = ""
        self._bed: Bed | None = None

    def set(self, scene: str) -> Terminal:
        """A terminal on the scene; it is set up anew unless pages of it follow each other."""
        if not is_inside():
            raise RuntimeError(HOW)
        if self._bed is None or scene != self._scene or scene not in SHARED:
            self.clear()
            self._bed = self._open.enter_context(Bed(nodes=2, gpus=4))
            SCENES[scene](self._bed)
            self._scene = scene
        folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix="kvsync-reader-"))
        return Terminal(self._bed, Path(folder))

    def clear(self) -> None:
        """End the bed that is up."""
        self._open.close()
        self._open = ExitStack()
        self._bed = None


@contextmanager
def stage() -> Iterator[Stage]:
    """A stage, cleared at the end."""
    made = Stage()
    try:
        yield made
    finally:
        made.clear()
