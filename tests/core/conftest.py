"""Whatever status the core's tests bring about, Argo CD makes of it what it shall."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from gitops.argo_vm import OURS, health
from gitops.pictures import expected
from kvsync.core import decide
from kvsync.core.summary import Picture, summarize
from kvsync.core.undo import decide_undo
from kvsync.model.decision import Decision
from kvsync.model.observed import Observed


@pytest.fixture(autouse=True, scope="session")
def argo_cd_looks_on() -> Iterator[None]:
    """Asks the health script about every status that a test decides on."""
    script = (OURS / "health.lua").read_text()
    seen: set[str] = set()

    def look(observed: Observed, status: Mapping[str, Any]) -> None:
        body = {
            "metadata": observed.sync.body["metadata"],
            "spec": {"paused": observed.spec.paused},
            "status": status,
        }
        told = expected(body)
        key = repr((told, body["metadata"], body["spec"]))
        if key not in seen:
            seen.add(key)
            assert health(body, script) == told

    def summarized(picture: Picture) -> dict[str, Any]:
        status = summarize(picture)
        look(picture.observed, status)
        return status

    def undone(observed: Observed) -> Decision:
        decision = decide_undo(observed)
        if decision.status is not None:
            look(observed, decision.status)
        return decision

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decide, "summarize", summarized)
        patch.setattr(decide, "decide_undo", undone)
        yield
