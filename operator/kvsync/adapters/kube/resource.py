"""Kinds of objects as the API's paths know them, and paths that no name can escape from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import quote

from kvsync.adapters.kube.shape import WHOLE, Shape
from kvsync.model.errors import Invalid


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource type; ``group`` is empty for the core API."""

    group: str
    version: str
    plural: str
    namespaced: bool = True
    shape: Shape = field(default=WHOLE, compare=False, repr=False)
    """What lists and watches read of each object."""

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def read_as(self, shape: Shape) -> Resource:
        """The same, of whose objects lists and watches read only these fields."""
        return replace(self, shape=shape)

    @property
    def api_version(self) -> str:
        """As it stands in an object's ``apiVersion``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """Path of its API version, where the server lists the kinds that it serves."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def collection(self, namespace: str | None = None) -> str:
        """Path of all objects: of one namespace, or of the cluster when it is None."""
        if not self.namespaced or namespace is None:
            return f"{self.root}/{self.plural}"
        return f"{self.root}/namespaces/{_segment(namespace, 'namespace')}/{self.plural}"

    def item(self, namespace: str | None, name: str, subresource: str | None = None) -> str:
        """Path of one object, or of its ``status``, ``scale``, ``log`` and the like.

        Raises:
            Invalid: a name that cannot be one, or a namespaced object without a namespace:
                sent as it is, the request would reach something else than was asked for.
        """
        if self.namespaced and not namespace:
            raise _no_name("a namespace", f"of {self} {name!r}", namespace or "")
        path = f"{self.collection(namespace)}/{_segment(name, 'name')}"
        return f"{path}/{subresource}" if subresource else path

    def where(self, namespace: str | None, name: str = "") -> str:
        """For messages: ``deployments.apps ns/name``."""
        place = "/".join(part for part in (namespace, name) if part)
        return f"{self} {place}".rstrip()


def _segment(value: str, what: str) -> str:
    # An empty name would address the collection, a dot segment another path: quoting keeps both.
    if value in ("", ".", "..") or len(value) > 253:
        raise _no_name(f"a {what}", "", value)
    return quote(value, safe="")


def _no_name(what: str, whose: str, value: str) -> Invalid:
    sentence = f"{value[:64]!r} cannot be {what} {whose}".rstrip()
    return Invalid(f"{sentence}; give the object's own name", status=422, reason="BadName")


NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
NODES = Resource("", "v1", "nodes", namespaced=False)
PODS = Resource("", "v1", "pods")
CONFIGMAPS = Resource("", "v1", "configmaps")
DEPLOYMENTS = Resource("apps", "v1", "deployments")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
NETWORKPOLICIES = Resource("networking.k8s.io", "v1", "networkpolicies")
EVENTS = Resource("events.k8s.io", "v1", "events")
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False)
KVEVENTSYNCS = Resource("kvsync.aibrix.ai", "v1alpha1", "kveventsyncs")
STORMSERVICES = Resource("orchestration.aibrix.ai", "v1alpha1", "stormservices")
