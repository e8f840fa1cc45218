"""Whether only the process that holds the Lease wrote, by the audit log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from testbed.audit import Request

_INSTANCE = re.compile(r"\(([^)]+)\)")


def strange_writes(requests: Sequence[Request], lease: tuple[str, str]) -> Iterator[str]:
    """Writes of a process that never had the Lease (name, namespace), or that another one has by then.

    ``requests`` are those of the operators that share it, in the order of the answers. Who updates the
    Lease with success has it: only a holder, or who takes it over, tries. A write that the server had
    received before another took it is no fault: it was on its way.
    """
    name, namespace = lease
    holder, taken = "", ""
    for request in requests:
        who = instance(request)
        if request.resource == "leases":
            mine = (request.name or name, request.namespace) == (name, namespace)
            if mine and request.wrote and request.code < 300 and who != holder:
                holder, taken = who, request.answered
        elif request.wrote and who != holder and (not taken or request.received > taken):
            what = f"{request.verb} {request.resource} {request.namespace}/{request.name}"
            yield f"{who} did {what}, and {holder or 'nobody'} holds the Lease"


def instance(request: Request) -> str:
    """The process that asked, as it names itself in its user agent."""
    found = _INSTANCE.search(request.user_agent)
    return found.group(1) if found else request.user_agent
