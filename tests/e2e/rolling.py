"""A witness that looks at all models of a scene all the time, and counts how many roll at once."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from e2e.manifests import Object
from e2e.scene import Scene
from testbed.api import rolled_out

LOOK_EVERY = 0.05


@dataclass
class Witness:
    """What was seen: how often it looked, the most models that rolled at once, and when which did."""

    looks: int = 0
    most: tuple[str, ...] = ()
    ever: set[str] = field(default_factory=set)
    error: BaseException | None = None
    _settled: dict[str, Any] = field(default_factory=dict)

    def look(self, deployments: list[Object]) -> None:
        """Take one look at the Deployments of the scene."""
        rolling = tuple(d["metadata"]["name"] for d in deployments if self._rolls(d))
        self.looks += 1
        self.ever.update(rolling)
        if len(rolling) > len(self.most):
            self.most = rolling

    def _rolls(self, deployment: Object) -> bool:
        name, template = deployment["metadata"]["name"], deployment["spec"]["template"]
        if rolled_out(deployment):
            self._settled[name] = template
            return False
        # A change of annotations is a new generation too, and no rollout.
        counts = [deployment["status"].get(k) for k in ("updatedReplicas", "availableReplicas")]
        whole = counts == [deployment["spec"]["replicas"]] * 2
        return not (whole and template == self._settled.get(name))


@contextmanager
def watched(scene: Scene) -> Iterator[Witness]:
    """Watch the scene's models from a thread of its own."""
    witness, stop = Witness(), threading.Event()

    def watch() -> None:
        try:
            while not stop.is_set():
                witness.look(scene.api.list("deployments", scene.namespace))
                time.sleep(LOOK_EVERY)
        except BaseException as error:  # the test must not pass because nobody looked
            witness.error = error

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield witness
    finally:
        stop.set()
        thread.join(10)
    assert witness.error is None, witness.error
    assert witness.looks > 10
