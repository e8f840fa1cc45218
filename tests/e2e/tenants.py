"""A tenant of a scene: who may create and change KVEventSyncs and Deployments there, and nothing else."""

from collections.abc import Mapping

from e2e.manifests import Object
from e2e.scene import Scene
from testbed.api import Api
from testbed.bed import Bed

LABEL = "kvsync.aibrix.ai/gateway-access"
VERBS = ["get", "list", "watch", "create", "patch", "update", "delete"]
RBAC = "rbac.authorization.k8s.io"


def tenant_of(bed: Bed, namespace: str) -> Api:
    """The API server as the tenant of one namespace sees it."""
    name = f"tenant-of-{namespace}"
    groups = {"kvsync.aibrix.ai": ["kveventsyncs"], "apps": ["deployments"]}
    rules = [{"apiGroups": [g], "resources": r, "verbs": VERBS} for g, r in groups.items()]
    role: Object = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": name}}
    bed.api.create({**role, "kind": "Role", "rules": rules}, namespace)
    binding: Object = {
        **role,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "User", "name": name, "apiGroup": RBAC}],
    }
    bed.api.create(binding, namespace)
    return Api(bed.kubeconfig_for(name), user_agent="tenant")


def label(scene: Scene, *, granted: bool) -> None:
    """Let the scene's namespace change the gateway, or not, as an admin of the cluster."""
    metadata: Mapping[str, object] = {"labels": {LABEL: "true" if granted else None}}
    scene.api.patch("namespaces", scene.namespace, {"metadata": metadata})
