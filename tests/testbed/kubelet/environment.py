"""A container's environment, from its pod, ConfigMaps and Secrets. Pure: objects are arguments.

Source: Kubernetes pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables).
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from testbed.kubelet.expansion import expand
from testbed.kubelet.fields import ConfigError, Object, field_value

CONFIG_MAP = "configmap"
SECRET = "secret"

Reference = tuple[str, str]  # CONFIG_MAP or SECRET, and the object's name

# env source → (what it refers to)
_KEY_REFS = {"configMapKeyRef": CONFIG_MAP, "secretKeyRef": SECRET}
_FROM_REFS = {"configMapRef": CONFIG_MAP, "secretRef": SECRET}


@dataclass(frozen=True)
class Sources:
    """The ConfigMaps and Secrets that were found; one that is not here does not exist."""

    namespace: str
    objects: Mapping[Reference, Object] = field(default_factory=dict)

    def data(self, reference: Reference, *, optional: bool) -> Mapping[str, str] | None:
        """Return an object's data as text; None when it is missing and that is allowed."""
        kind, name = reference
        found = self.objects.get(reference)
        if found is not None:
            return decoded(kind, found)
        if optional:
            return None
        raise ConfigError(f'{kind} "{name}" not found in namespace {self.namespace}: create it')


def decoded(kind: str, found: Object) -> dict[str, str]:
    """Return the data of a ConfigMap or Secret as text."""
    if kind == CONFIG_MAP:
        return dict(found.get("data") or {})
    return {key: _text(key, value) for key, value in (found.get("data") or {}).items()}


def _text(key: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode(errors="surrogateescape")
    except binascii.Error as error:
        raise ConfigError(f"the Secret's key {key!r} is not base64: {error}") from None


def references(container: Object) -> Iterator[Reference]:
    """Yield what must be fetched before `environment` can be called."""
    for source in container.get("envFrom", ()):
        yield from (
            (kind, source[ref]["name"]) for ref, kind in _FROM_REFS.items() if ref in source
        )
    for variable in container.get("env", ()):
        source = variable.get("valueFrom") or {}
        yield from ((kind, source[ref]["name"]) for ref, kind in _KEY_REFS.items() if ref in source)


def environment(
    container: Object, pod: Object, sources: Sources, services: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables that ``container`` declares, and the ``services``' ones.

    ``pod`` carries its addresses in status. A later declaration wins; a value may refer to what
    was declared before it and to ``services``. Raises ConfigError.
    """
    result: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        result.update(_import(source, sources))
    for variable in container.get("env", ()):
        value = _value(variable, pod, sources, result, services)
        if value is not None:
            result[variable["name"]] = value
    return {**services, **result}


def _import(source: Object, sources: Sources) -> dict[str, str]:
    prefix = source.get("prefix", "")
    for ref, kind in _FROM_REFS.items():
        if ref in source:
            optional = bool(source[ref].get("optional"))
            data = sources.data((kind, source[ref]["name"]), optional=optional)
            return {prefix + key: value for key, value in (data or {}).items()}
    raise ConfigError(f"unsupported envFrom source {sorted(source)}")


def _value(
    variable: Object,
    pod: Object,
    sources: Sources,
    declared: Mapping[str, str],
    services: Mapping[str, str],
) -> str | None:
    origin = variable.get("valueFrom")
    if variable.get("value") or not origin:
        return expand(variable.get("value") or "", declared, services)
    if "fieldRef" in origin:
        return field_value(origin["fieldRef"]["fieldPath"], pod)
    for ref, kind in _KEY_REFS.items():
        if ref in origin:
            return _key_value(kind, origin[ref], sources)
    raise ConfigError(
        f"env {variable['name']}: the testbed's kubelet does not support {', '.join(origin)};"
        " use a literal, fieldRef, configMapKeyRef or secretKeyRef"
    )


def _key_value(kind: str, ref: Object, sources: Sources) -> str | None:
    optional = bool(ref.get("optional"))
    data = sources.data((kind, ref["name"]), optional=optional)
    if data is not None and ref["key"] in data:
        return data[ref["key"]]
    if optional:
        return None
    raise ConfigError(
        f"couldn't find key {ref['key']} in {kind} {sources.namespace}/{ref['name']}: add the key,"
        " or mark it optional"
    )
