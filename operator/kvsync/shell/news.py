"""What a change is to the objects: each only puts the keys that it concerns on the queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from kvsync.core.told import given
from kvsync.model.observed import KVEventSync
from kvsync.model.storm import storm_model, storm_of
from kvsync.shell.inquiries import Inquiries
from kvsync.shell.leftovers import Leftovers
from kvsync.shell.standings import Standings
from kvsync.shell.world import World

Key = tuple[str, str]
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class News:
    """Takes what the watches tell (``shell.watches.Listener``). ``enqueue`` has an object looked at, ``wake``
    also one that rests for long: what its user says of it is not held up by its models."""

    world: World
    inquiries: Inquiries
    standings: Standings
    leftovers: Leftovers
    enqueue: Callable[[Key], None]
    wake: Callable[[Key], None]

    def known_objects(self) -> frozenset[Key]:
        """The objects that are taken for existing."""
        return self.world.known_objects()

    def newest_object(self) -> int:
        """The highest resource version of an object that was told of."""
        return self.world.newest_object

    def objects_listed(self, bodies: Sequence[Json], known: frozenset[Key]) -> None:
        """Know of all objects, whether or not their watch has told of them.

        Those of ``known`` that are not among them were deleted; one that went while the list was on
        its way is not taken for existing again.
        """
        listed = {_key(body): body for body in bodies}
        for key in sorted(known - listed.keys()):
            self.object_changed(key, None)
        here = self.world.known_objects()
        for key, body in sorted(listed.items(), key=itemgetter(0)):
            if key in known and key not in here:
                continue
            self.world.note_listed(body)
            self.standings.expect(key)
            if self.world.is_news(key, body):
                self.object_changed(key, body)

    def workload_listed(self, kind: str, body: Json) -> None:
        """Take it as it was listed, until its watch has told of that."""
        self.world.note_standing(kind, body)

    def object_changed(self, key: Key, body: Json | None) -> None:
        """Look at it, and at those that share something with it; not for what a pass over it only said."""
        before = self.world.syncs.get(key)
        if body is None:
            self.world.sync_gone(key)
            self.standings.forget(key)
            self.leftovers.look()
            # Others may share its gateway or its models.
            for other in self.world.syncs:
                self.enqueue(other)
        elif self.world.note_object(key, body):
            for sibling in self.world.siblings(key[0]):
                self.enqueue((sibling.namespace, sibling.name))
        if body is None or before is None or _is_spoken_of(before, body):
            self.wake(key)
        elif not self.world.is_said(key, body):
            self.enqueue(key)

    def deployment_changed(self, key: Key, _: Json | None, new: Json | None) -> None:
        """Look at the objects for which it is a model or a gateway."""
        self._workload_changed(key[0], key[1], gone=new is None)

    def storm_changed(self, key: Key, _: Json | None, new: Json | None) -> None:
        """Look at the objects for which it is a model."""
        self._workload_changed(key[0], storm_model(key[1]), gone=new is None)

    def pod_changed(self, key: Key, old: Json | None, new: Json | None) -> None:
        """Look at the objects of its workload, and forget what its engine said when it is gone."""
        if new is None and old is not None:
            self.inquiries.interviews.forget(old["metadata"]["uid"])
            self.inquiries.last_words.forget(old["metadata"]["uid"])
        before = self.world.maker_of(key)
        after = self.world.pod_changed(key, new)
        for model in {before, after} - {""}:
            self._concern(key[0], model)

    def policy_changed(self, key: Key, _: Json | None, __: Json | None) -> None:
        """Look at the objects of its namespace."""
        assert self.world.policies is not None  # else nobody watches them
        self.world.policies.heard(key)
        self.namespace_changed(key[0])

    def namespace_changed(self, namespace: str) -> None:
        """Look at the objects of the namespace."""
        for key in list(self.world.syncs):
            if key[0] == namespace:
                self.enqueue(key)

    def look_at_all(self) -> None:
        """Look at every object."""
        for key in list(self.world.syncs):
            self.enqueue(key)

    def _workload_changed(self, namespace: str, model: str, *, gone: bool) -> None:
        if gone:
            self.world.workload_gone(namespace, model)
        self.inquiries.strangers.forget((namespace, storm_of(model) or model))
        self._concern(namespace, model)

    def _concern(self, namespace: str, model: str) -> None:
        for sync in list(self.world.concerned(namespace, model)):
            self.enqueue(sync)


def _is_spoken_of(before: Json, after: Json) -> bool:
    return given(KVEventSync(before)) != given(KVEventSync(after))


def _key(body: Json) -> Key:
    metadata = body["metadata"]
    return str(metadata["namespace"]), str(metadata["name"])
