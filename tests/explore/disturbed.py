"""A community whose operator sees late and whose writes fail: what the search for every order leaves out.

What the operator sees is behind what is: news of an object or of a model's pods come when they come, one
by one; only what it wrote itself it sees at once, as the API server answers with it. A write may be
refused, or be carried out without an answer.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from core.objects import Json
from explore.community import EDIT, Community, Move, Scenario, made
from kvsync.core.summary import refused
from kvsync.model.decision import Action, Decision
from kvsync.model.observed import PAUSED_ANNOTATION, KVEventSync

HEAR, HEAR_PODS, HEAR_SYNC = "hear", "hear pods", "hear object"
CONFLICTS, FORBIDDEN, UNANSWERED = "conflicts", "is forbidden", "is not answered"
PAUSE, RESUME, MAKE_AGAIN = "pause", "resume", "make again"


class Disturbed(Community):
    """One state. Its moves are those of the community, and what is named above."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.seen_objects, self.seen_pods = {**self.objects}, {**self.pods}
        self.seen_syncs = {**self.syncs}
        self.reports: dict[str, Mapping[str, Any] | None] = {}
        """The status that each object's last pass came to."""
        self.users_edits: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()
        """How often each object was deleted."""

    # Moves.

    def after(self, move: Move) -> Disturbed:
        """The state that a move leads to; this one stays as it is."""
        kind, name = move
        then = self._fork()
        assert isinstance(then, Disturbed)
        act = then._own_moves().get(kind)
        if act is None:
            made_by_others = super().after(move)
            assert isinstance(made_by_others, Disturbed)
            return made_by_others
        act(name)
        return then

    def _own_moves(self) -> dict[str, Callable[[str], None]]:
        return {
            HEAR: lambda name: self.seen_objects.update({name: self.objects[name]}),
            HEAR_PODS: lambda name: self.seen_pods.update({name: self.pods[name]}),
            HEAR_SYNC: lambda name: self.seen_syncs.update({name: self.syncs[name]}),
            CONFLICTS: lambda name: self.decided.update({name: ()}),
            FORBIDDEN: self._forbid,
            UNANSWERED: self._lose_answer,
            PAUSE: lambda name: self._hold(name, held=True),
            RESUME: lambda name: self._hold(name, held=False),
            MAKE_AGAIN: self._make_again,
            EDIT: self._edit_again,
        }

    def _fork(self) -> Community:
        then = super()._fork()
        assert isinstance(then, Disturbed)
        then.seen_objects, then.seen_pods = {**self.seen_objects}, {**self.seen_pods}
        then.seen_syncs, then.reports = {**self.seen_syncs}, {**self.reports}
        then.users_edits, then.deaths = Counter(self.users_edits), Counter(self.deaths)
        return then

    def seen(self) -> Community:
        """What the operator takes for the state."""
        then = copy.copy(self)
        then.objects, then.pods, then.syncs = self.seen_objects, self.seen_pods, self.seen_syncs
        return then

    def decision(self, name: str) -> Decision:
        """What a pass decides on what it sees."""
        return Community.decision(self.seen(), name)

    def _pass(self, name: str) -> None:
        self.unheard -= {name}
        if self.seen_syncs[name] is None:
            self._forget(name)
            return
        decision = self.decision(name)
        self.reports[name] = decision.status
        self._take_up(name, decision)

    def _carry_out(self, name: str, action: Action) -> bool:
        fits = super()._carry_out(name, action)
        if fits and action.name in self.objects:
            self.seen_objects[action.name] = self.objects[action.name]
        elif fits:
            self.seen_syncs[name] = self.syncs[name]
        return fits

    def _report(self, name: str, status: Mapping[str, Any] | None) -> None:
        super()._report(name, status)
        if status is not None:
            self.seen_syncs[name] = self.syncs[name]

    def _forbid(self, name: str) -> None:
        """403, or 422 by an admission webhook: the pass ends, and the status says so."""
        item, self.decided[name] = self.decided[name][0], ()
        body, status = self.seen_syncs[name], self.reports.get(name)
        if isinstance(item, Action) and body is not None and status is not None:
            self._report(name, refused(KVEventSync(body), status, "not allowed", self.now))

    def _lose_answer(self, name: str) -> None:
        """It is carried out, or not, and nobody hears which: the pass ends."""
        objects, syncs = {**self.seen_objects}, {**self.seen_syncs}
        self._write(name)
        self.decided[name] = ()
        self.seen_objects, self.seen_syncs = objects, syncs

    def _die(self) -> None:
        super()._die()
        self.seen_objects, self.seen_pods = {**self.objects}, {**self.pods}
        self.seen_syncs = {**self.syncs}

    def _hold(self, name: str, *, held: bool) -> None:
        body = self.syncs[name]
        assert body is not None
        annotations = {PAUSED_ANNOTATION: "true"} if held else {}
        self.syncs[name] = {**body, "metadata": {**body["metadata"], "annotations": annotations}}

    def _delete(self, name: str) -> None:
        super()._delete(name)
        self.deaths[name] += 1

    def _make_again(self, name: str) -> None:
        """Another object of that name."""
        body = made(name, self.scenario.manifests[name])
        body["metadata"]["uid"] += f"-{self.deaths[name]}"
        self.syncs[name] = body

    def _edit_again(self, name: str) -> None:
        self.originals = copy.deepcopy(self.originals)
        self.users_edits[name] += 1
        number = self.users_edits[name]

        def add(body: Json) -> None:
            engine = body["spec"]["template"]["spec"]["containers"][0]
            if number % 2:
                engine["args"] = [*engine.get("args", ()), f"--seed={number}"]
            else:
                engine["env"] = [*engine.get("env", ()), {"name": f"USERS_{number}", "value": "1"}]

        self.edit(name, add)
        self._settle(name)

    # What a test asks.

    def is_paused(self, name: str) -> bool:
        """Whether an object is held."""
        body = self.syncs[name]
        return body is not None and bool(KVEventSync(body).held_by)

    def news(self) -> Iterator[Move]:
        """What the operator has not heard of yet."""
        for name in self.objects:
            if self.seen_objects[name] != self.objects[name]:
                yield HEAR, name
            if self.seen_pods[name] != self.pods[name]:
                yield HEAR_PODS, name
        for name in self.syncs:
            if self.seen_syncs[name] != self.syncs[name]:
                yield HEAR_SYNC, name
