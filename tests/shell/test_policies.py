"""What a pass sees of NetworkPolicies: those of its namespace, and our own writes at once."""

from typing import Any

from kvsync.model.network import Peer
from kvsync.shell.policies import Policies, operator_peer, project_policy
from kvsync.shell.settings import Settings

SETTINGS = Settings(operator_namespace="ops", operator_labels=(("app", "kvsync"),))
KEY = ("default", "one")


def policy(
    name: str = "one", *, version: int = 1, uid: str = "u", namespace: str = "default"
) -> Any:
    metadata = {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"podSelector": {}}}


def seen(policies: Policies) -> list[tuple[str, str]]:
    found = policies.of("default").policies
    return [(each.name, each.body["metadata"]["resourceVersion"]) for each in found]


def test_only_those_of_the_namespace_are_seen() -> None:
    elsewhere = policy(namespace="other")
    policies = Policies(SETTINGS, {KEY: policy(), ("other", "one"): elsewhere})
    assert seen(policies) == [("one", "1")]


def test_what_was_made_is_seen_before_its_watch_tells_and_then_as_that_tells() -> None:
    watched: dict[tuple[str, str], Any] = {}
    policies = Policies(SETTINGS, watched)
    policies.note_written(policy(version=5))
    assert seen(policies) == [("one", "5")]
    watched[KEY] = policy(version=6)
    policies.heard(KEY)
    assert seen(policies) == [("one", "6")]
    del watched[KEY]
    policies.heard(KEY)
    assert seen(policies) == []


def test_news_of_before_our_write_does_not_undo_it() -> None:
    watched = {KEY: policy(version=4)}
    policies = Policies(SETTINGS, watched)
    policies.note_written(policy(version=5))
    policies.heard(KEY)
    assert seen(policies) == [("one", "5")]


def test_what_was_removed_is_gone_at_once_and_another_of_its_name_is_not() -> None:
    watched = {KEY: policy()}
    policies = Policies(SETTINGS, watched)
    policies.note_removed(KEY, "u")
    policies.heard(KEY)
    assert seen(policies) == []
    watched[KEY] = policy(version=9, uid="v")
    policies.heard(KEY)
    assert seen(policies) == [("one", "9")]


def test_the_operator_is_known_by_namespace_and_labels_or_not_at_all() -> None:
    assert operator_peer(SETTINGS) == Peer("ops", {"matchLabels": {"app": "kvsync"}})
    assert operator_peer(Settings(operator_namespace="ops")) is None
    assert operator_peer(Settings(operator_labels=(("app", "kvsync"),))) is None


def test_what_is_kept_of_one_is_what_is_looked_at() -> None:
    body = policy()
    body["metadata"]["managedFields"] = [{}]
    body["status"] = {}
    kept = project_policy(body)
    assert kept.keys() == {"metadata", "spec"}
    assert "managedFields" not in kept["metadata"]
