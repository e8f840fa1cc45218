"""The API server's audit log, read back: who wrote what, so that a test can say "nothing"."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.api import Api
from testbed.waiting import wait_for

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

# These are questions in the form of a create: nothing is stored.
QUESTIONS = frozenset(
    {
        "localsubjectaccessreviews",
        "selfsubjectaccessreviews",
        "selfsubjectreviews",
        "selfsubjectrulesreviews",
        "subjectaccessreviews",
        "tokenreviews",
    }
)


@dataclass(frozen=True)
class Request:
    """One request the API server has answered (audit.k8s.io/v1 Event)."""

    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    user: str
    user_agent: str
    code: int
    audit_id: str
    uri: str
    received: str
    """When it came and when it was answered: RFC 3339 with six digits, so that texts compare as times."""
    answered: str

    @property
    def dry_run(self) -> bool:
        return "dryRun=All" in self.uri

    @property
    def wrote(self) -> bool:
        """Whether it asked the server to store something; a refused attempt counts too."""
        question = self.resource in QUESTIONS or self.subresource == "token"
        return self.verb in WRITES and not self.dry_run and not question


class Audit:
    """The audit log of one control plane."""

    def __init__(self, log: Path, api: Api) -> None:
        self.log = log
        self._api = api

    def mark(self) -> int:
        """A place in the log, bytes: everything answered until now stands before it.

        The server writes an event after it has answered, so a request of one's own is sent last
        and waited for.
        """
        own = str(uuid.uuid4())
        start = self.log.stat().st_size if self.log.exists() else 0
        self._api.request("GET", "/version", headers={"Audit-ID": own})
        wait_for(lambda: self._holds(own, start), 10.0, what="the audit log to catch up")
        return self.log.stat().st_size

    def requests(
        self, *, user: str = "", user_agent_contains: str = "", since: int = 0
    ) -> list[Request]:
        """The answered requests after the mark ``since`` of one user and of such a program."""
        until = self.mark()
        return [
            request
            for request in self._read(since, until)
            if (not user or request.user == user) and user_agent_contains in request.user_agent
        ]

    def writes(
        self, *, user: str = "", user_agent_contains: str = "", since: int = 0
    ) -> list[Request]:
        """Those of :meth:`requests` that asked to store something, refused ones too."""
        found = self.requests(user=user, user_agent_contains=user_agent_contains, since=since)
        return [request for request in found if request.wrote]

    def _holds(self, audit_id: str, start: int) -> bool:
        with self.log.open("rb") as log:
            log.seek(start)
            return audit_id.encode() in log.read()

    def _read(self, since: int, until: int) -> Iterator[Request]:
        with self.log.open("rb") as log:
            log.seek(since)
            for line in log.read(until - since).splitlines():
                event = json.loads(line)
                if event["stage"] == "ResponseComplete":
                    yield _request(event)


def _request(event: dict[str, Any]) -> Request:
    target = event.get("objectRef", {})
    return Request(
        verb=event["verb"],
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        user=event["user"]["username"],
        user_agent=event.get("userAgent", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        audit_id=event["auditID"],
        uri=event["requestURI"],
        received=event["requestReceivedTimestamp"],
        answered=event["stageTimestamp"],
    )
