"""The independent oracle: what the operator promised, judged by the API server's objects and audit log.

It never asks the operator, and shares no decision with it. ::

    with Recorder(bed.api) as recorder:
        oracle = Oracle(recorder, bed.audit, Stage(namespace, gateway=(name, namespace_of_gateway)))
        oracle.begin()          # the models and the gateway are as their users want them
        ...                     # enable, change, break, undo
        oracle.edit("deployments", "m", namespace, with_variable("LEVEL", "1"))
        assert oracle.judge() == []
"""

from __future__ import annotations

import time
from collections import Counter

from chaos.history import Change, Edit, History, Version, revision_of, with_changes
from chaos.judgement import Stage, broken, rollouts
from chaos.lease import instance, strange_writes
from chaos.recorder import Recorder
from chaos.truth import untrue_statuses
from testbed.api import Api, ApiError
from testbed.audit import Audit, Request

_ATTEMPTS = 20
_LOOK_EVERY = 0.2


class OracleBlindError(RuntimeError):
    """The oracle may have missed something, so that its silence says nothing."""


class Oracle:
    """Judges one stage. ``lease``: name and namespace of the Lease that its operators share, if any."""

    def __init__(
        self,
        recorder: Recorder,
        audit: Audit | None,
        stage: Stage,
        *,
        api: Api | None = None,
        lease: tuple[str, str] | None = None,
    ) -> None:
        self._recorder = recorder
        self._audit = audit
        self.stage = stage
        self._api = api or recorder.api
        self._lease = lease
        self._edits: list[Edit] = []
        self._start = 0
        self._mark = 0
        self._gaps = 0

    def begin(self) -> None:
        """From here on it is judged; what stands there now is what the users want."""
        self._recorder.catch_up()
        self._gaps = len(self._recorder.gaps)
        self._edits.clear()
        versions = self._versions()
        self._start = max((version.revision for version in versions), default=0)
        if self._lease and self._audit:
            self._mark = self._audit.mark()

    def edit(self, kind: str, name: str, namespace: str, change: Change) -> None:
        """Change an object as a user who reads and writes it. Raises ApiError."""
        for attempt in range(_ATTEMPTS):
            found = self._api.get(kind, name, namespace)
            try:
                after = self._api.replace(with_changes(found, [change]))
            except ApiError as error:
                if error.code != 409 or attempt == _ATTEMPTS - 1:
                    raise
                continue
            self._edits.append(Edit((kind, namespace, name), revision_of(after), change))
            return

    def history(self) -> History:
        """All that happened since :meth:`begin`, behind what stood there."""
        self._recorder.catch_up()
        if len(self._recorder.gaps) > self._gaps:
            raise OracleBlindError(f"versions are missing: {self._recorder.gaps[self._gaps :]}")
        versions = self._versions()
        earlier = {v.key: v for v in versions if v.revision <= self._start}
        base = [version for version in earlier.values() if version.body is not None]
        later = [version for version in versions if version.revision > self._start]
        return History((*base, *later), tuple(self._edits))

    def rollouts(self) -> Counter[str]:
        """How often the operator restarted each Deployment: what an undisturbed run is asked for."""
        return rollouts(self.history())

    def judge(self, *, ready: bool = True, within: float = 0.0) -> list[str]:
        """The broken promises in plain words; empty where all were kept.

        ``ready``: whether what is left of KVEventSyncs is to be Ready. ``within``: seconds that the
        status has to become true; all else is judged as it is.
        """
        end = time.monotonic() + within
        while True:
            history = self.history()
            untrue = [*untrue_statuses(history, self.stage.gateway_key, ready=ready)]
            if not untrue or time.monotonic() >= end:
                break
            time.sleep(_LOOK_EVERY)
        return [*broken(history, self.stage), *untrue, *self._strange_writes()]

    def close(self) -> None:
        """Give up what was recorded of the stage's namespace."""
        self._recorder.forget(self.stage.namespace)

    def _versions(self) -> list[Version]:
        namespaces = {self.stage.namespace}
        if self.stage.gateway:
            namespaces.add(self.stage.gateway[1])
        found = [v for name in sorted(namespaces) for v in self._recorder.versions(name)]
        return sorted(filter(self._is_staged, found), key=lambda version: version.revision)

    def _is_staged(self, version: Version) -> bool:
        return self.stage.holds(version.key)

    def _strange_writes(self) -> list[str]:
        if not self._lease or not self._audit:
            return []
        asked = self._audit.requests(user_agent_contains="kvsync-operator", since=self._mark)
        return [*strange_writes(self._sharing(asked), self._lease)]

    def _sharing(self, asked: list[Request]) -> list[Request]:
        """Those of the operators that share the Lease, or that wrote on the stage without it."""
        sharing = {instance(r) for r in asked if (r.name, r.namespace) == self._lease}
        here = self.stage.namespace
        return [r for r in asked if instance(r) in sharing or (r.wrote and r.namespace == here)]
