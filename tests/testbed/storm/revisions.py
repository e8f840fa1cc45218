"""The history of a StormService's template: ControllerRevisions, as the real one keeps them.

Source: AIBrix, ``pkg/controller/stormservice/revision.go``, ``pkg/controller/util/history``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.api import Api
from testbed.storm.names import REVISION_HASH
from testbed.storm.objects import (
    Object,
    controlled_by,
    name_of,
    namespace_of,
    roles_of,
    short_hash,
    template_hash_of,
)


@dataclass(frozen=True)
class Revisions:
    """The revision that RoleSets come from, and the one that they go to."""

    current: Object
    update: Object

    def by_role(self) -> dict[str, Object]:
        """Which revision each role is of: the newer one only when its pod template differs.

        Source: stormservice/utils.go, ``computeRoleRevisions``.
        """
        before = {role.get("name", ""): role for role in roles_of(_template(self.current)["spec"])}
        found = {}
        for role in roles_of(_template(self.update)["spec"]):
            name = role.get("name", "")
            same = name in before and template_hash_of(before[name]) == template_hash_of(role)
            found[name] = self.current if same else self.update
        return found


def find_revisions(api: Api, service: Object, known: Sequence[Object]) -> Revisions:
    """The revisions of a StormService, made or renumbered where the template is new or old again."""
    uid = service["metadata"]["uid"]
    own = [each for each in known if each["metadata"]["ownerReferences"][0]["uid"] == uid]
    own.sort(key=lambda each: int(each["revision"]))
    update = _update_revision(api, service, own)
    name = (service.get("status") or {}).get("currentRevision")
    current = next((each for each in own if name_of(each) == name), update)
    return Revisions(current, update)


def _update_revision(api: Api, service: Object, own: Sequence[Object]) -> Object:
    data = {"spec": {"template": {**service["spec"]["template"], "$patch": "replace"}}}
    equal = [each for each in own if each["data"] == data]
    number = int(own[-1]["revision"]) + 1 if own else 1
    if not equal:
        return api.create(_revision(service, data, number))
    if equal[-1] is own[-1]:
        return equal[-1]
    # Whole and in its own order: the data is immutable to the byte, and a patch would sort its keys.
    kind = {"apiVersion": "apps/v1", "kind": "ControllerRevision"}
    return api.replace({**kind, **equal[-1], "revision": number})


def _revision(service: Object, data: Object, number: int) -> Object:
    mark = short_hash(data)
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{name_of(service)}-{mark}",
            "namespace": namespace_of(service),
            "labels": {"name": name_of(service), REVISION_HASH: mark},
            "ownerReferences": [controlled_by(service, "StormService")],
        },
        "data": data,
        "revision": number,
    }


def _template(revision: Object) -> Object:
    template: Object = revision["data"]["spec"]["template"]
    return {**template, "spec": template.get("spec") or {}}
