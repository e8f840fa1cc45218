"""The admission policy taken away for a while, as where its binding was deleted."""

from __future__ import annotations

from e2e.manifests import Object
from e2e.scene import Scene

BINDING = "mutatingadmissionpolicybinding"


class Blinding:
    """Every binding of ours on the bed: there may be one of the manifest, and one of a chart."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._bindings: list[Object] = []

    def begin(self) -> None:
        """Take them away. An API server acts on them for about a second more."""
        names = [body["metadata"]["name"] for body in self._scene.api.list(BINDING)]
        ours = [name for name in names if name.endswith("-inject")]
        assert ours
        self._bindings = [self._scene.api.get(BINDING, name) for name in ours]
        for body in self._bindings:
            self._scene.api.delete(BINDING, body["metadata"]["name"])

    def end(self) -> None:
        """Bring them back, once."""
        for body in self._bindings:
            metadata = {k: body["metadata"].get(k) for k in ("name", "labels", "annotations")}
            self._scene.api.create({**body, "metadata": metadata})
        self._bindings = []
