"""What an older CRD lacks is told by the topmost field that is missing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from kvsync.core.doctor.crd_fields import fields_of, missing_fields, schema_of, served_schema

CRD: Any = yaml.safe_load(
    (Path(__file__).resolve().parents[3] / "crds" / "kveventsync.yaml").read_text()
)
OWN: Any = schema_of(CRD, "v1alpha1")


def test_the_own_schema_lacks_nothing() -> None:
    assert missing_fields(OWN, OWN) == ()
    assert "spec.models.names" in set(fields_of(OWN))
    assert "status.conditions[].reason" in set(fields_of(OWN))
    assert schema_of(CRD, "v9") == {}


def test_a_missing_branch_is_named_once() -> None:
    older = copy.deepcopy(OWN)
    del older["properties"]["spec"]["properties"]["events"]["properties"]["relay"]
    conditions = older["properties"]["status"]["properties"]["conditions"]
    del conditions["items"]["properties"]["reason"]
    assert missing_fields(OWN, older) == ("spec.events.relay", "status.conditions[].reason")


def test_a_newer_crd_lacks_nothing() -> None:
    newer = copy.deepcopy(OWN)
    newer["properties"]["spec"]["properties"]["later"] = {"type": "string"}
    assert missing_fields(OWN, newer) == ()


def test_the_kind_is_found_in_what_the_server_publishes() -> None:
    kind = {"group": "g", "kind": "K", "version": "v1"}
    schema = {"x-kubernetes-group-version-kind": [kind], "properties": {"spec": {}}}
    published = {"components": {"schemas": {"other": {}, "a.K": schema}}}
    assert served_schema(published, "g", "K") == schema
    assert served_schema(published, "g", "L") is None
    odd: list[dict[str, Any]] = [{}, {"components": None}, {"components": {"schemas": []}}]
    for each in odd:
        assert served_schema(each, "g", "K") is None


def test_a_schema_that_nests_without_end_is_not_followed_for_ever() -> None:
    endless: dict[str, Any] = {}
    endless["properties"] = {"a": endless}
    assert len(list(fields_of(endless))) < 100
