"""What a container's environment variables come to, as the kubelet resolves them.

Source: Kubernetes ``pkg/kubelet/kubelet_pods.go`` (makeEnvironmentVariables) and
``third_party/forked/golang/expansion`` (Expand).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from kvsync.model.workload import Container

_REFERENCE = re.compile(r"\$(?:(\$)|\(([^)]*)\))")
# A Service puts variables of such names into the pods of its namespace, by the time they start.
_OF_A_SERVICE = re.compile(r"[A-Z0-9_]+_(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?|PORT(?:_.+)?)")


def effective_value(container: Container, name: str) -> str | None:
    """The text that a process of the container reads in a variable; empty where it has none.

    None: that cannot be told from here, because another object decides. Of several definitions in
    ``env`` the last one counts, and any of them before ``envFrom``.
    """
    values = _resolved(container)
    if name in values:
        return values[name]
    return None if container.body.get("envFrom") else ""


def reads(container: Container, name: str, text: str) -> bool:
    """Whether it is certain that the container reads this text in a variable."""
    return effective_value(container, name) == text


def is_referenced(container: Container, name: str) -> bool:
    """Whether the definition of a variable that counts takes its value from another object
    (``valueFrom``)."""
    items = [item for item in container.body.get("env") or () if item.get("name") == name]
    # A text in ``value`` is taken before ``valueFrom``; the API server allows one of them only.
    return bool(items) and "valueFrom" in items[-1]


def _resolved(container: Container) -> Mapping[str, str | None]:
    """The variables of ``env`` in their order; None where a value cannot be told."""
    from_elsewhere = bool(container.body.get("envFrom"))
    values: dict[str, str | None] = {}

    def look_up(name: str) -> str | None:
        if name in values:
            return values[name]
        unknown = from_elsewhere or _OF_A_SERVICE.fullmatch(name)
        # What is defined nowhere, or only further down, stays as it is written.
        return None if unknown else f"$({name})"

    for item in container.body.get("env") or ():
        text = str(item.get("value") or "")
        values[str(item.get("name"))] = (
            None if "valueFrom" in item and not text else _expanded(text, look_up)
        )
    return values


def _expanded(text: str, look_up: Callable[[str], str | None]) -> str | None:
    """The text with ``$(NAME)`` replaced and ``$$`` for a dollar; a lone one stands for itself."""
    parts: list[str] = []
    end = 0
    for found in _REFERENCE.finditer(text):
        value = "$" if found[1] else look_up(found[2])
        if value is None:
            return None
        parts += [text[end : found.start()], value]
        end = found.end()
    return "".join((*parts, text[end:]))
