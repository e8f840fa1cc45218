"""Names that the real controllers write.

Source: AIBrix, ``pkg/controller/constants/stormservice.go`` and the controllers' own constants.
"""

API_VERSION = "orchestration.aibrix.ai/v1alpha1"
STORM_SERVICES = "stormservices.orchestration.aibrix.ai"
ROLE_SETS = "rolesets.orchestration.aibrix.ai"
REVISIONS = "controllerrevisions.apps"

SERVICE_FINALIZER = "orchestration.aibrix.ai/stormservice-finalizer"
ROLE_SET_FINALIZER = "orchestration.aibrix.ai/roleset-finalizer"

# Labels.
SERVICE_NAME = "storm-service-name"
SERVICE_REVISION = "storm-service-revision"
ROLE_SET_NAME = "roleset-name"
ROLE_NAME = "role-name"
TEMPLATE_HASH = "role-template-hash"

# Annotations; those of a role's revision on a RoleSet end in ``.ROLE`` and become labels of pods.
_PREFIX = "stormservice.orchestration.aibrix.ai"
REPLICA_INDEX = f"{_PREFIX}/role-replica-index"  # on stateful pods, as label and annotation
ROLE_SET_INDEX = f"{_PREFIX}/roleset-index"
ROLE_SET_REVISION = f"{_PREFIX}/revision"
ROLE_REVISION = f"{_PREFIX}/role-revision"
ROLE_REVISION_NAME = f"{_PREFIX}/role-revision-name"

REVISION_HASH = "controller.kubernetes.io/hash"
