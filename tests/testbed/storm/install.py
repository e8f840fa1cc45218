"""Putting the stand-in beside a bed: its CRDs, its process, and when a template is out.

In a conftest::

    @pytest.fixture(scope="session")
    def storm(bed: Bed) -> Iterator[Process]:
        with running_beside(bed) as controller:
            yield controller
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from testbed.api import Api, ApiError
from testbed.bed import TESTS, Bed
from testbed.process import Process
from testbed.storm.names import ROLE_NAME, ROLE_SETS, SERVICE_NAME, STORM_SERVICES
from testbed.storm.objects import (
    Object,
    is_active,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    replicas_of,
    roles_of,
    wanted_role_sets,
)
from testbed.waiting import wait_for

CRDS = Path(__file__).parent / "crds"
USER = "testbed-storm"
READY_WITHIN = 30.0  # seconds

COUNTS = ("replicas", "readyReplicas", "updatedReadyReplicas")
COMPARED = ("image", "command", "args", "ports")


def install(api: Api) -> None:
    """Apply both CRDs and return when their objects can be listed; harmless when repeated."""
    for file in sorted(CRDS.glob("*.yaml")):
        api.apply(file)
    for kind in (STORM_SERVICES, ROLE_SETS):
        _wait_until_served(api, kind)


def _wait_until_served(api: Api, kind: str) -> None:
    wait_for(
        lambda: api.list(kind) is not None,
        READY_WITHIN,
        what=f"{kind} served",
        ignore=(ApiError, LookupError),
    )


def start(bed: Bed) -> Process:
    """Start the controllers as a process and return when they have looked once.

    Raises ProgramFailedError with the end of its log.
    """
    log = bed.directory / "logs" / "storm.log"
    log.unlink(missing_ok=True)  # a second start must not find the first one's "ready"
    config = bed.kubeconfig_for(USER, ["system:masters"])
    command: list[str | Path] = [sys.executable, "-m", "testbed.storm", "--kubeconfig", config]
    process = Process(command, log, env={"PYTHONPATH": str(TESTS)})
    wait_for(lambda: _says_ready(process), READY_WITHIN, what=f"ready; see {log}")
    return process


@contextlib.contextmanager
def running_beside(bed: Bed) -> Iterator[Process]:
    """CRDs and controllers for as long as it lasts; the CRDs stay.

    Delete StormServices before its end: their finalizers are the controllers' to take off.
    """
    install(bed.api)
    process = start(bed)
    try:
        yield process
    finally:
        process.stop()


def is_rolled_out(api: Api, name: str, namespace: str) -> bool:
    """Whether a StormService's template has reached all of its pods, and they are Ready.

    Its status alone does not tell (see :mod:`testbed.storm.status`), so the pods are compared
    with the template. Roles with ``podGroupSize`` are counted with their groups.
    """
    service = api.get(STORM_SERVICES, name, namespace)
    return status_settled(service) and all(
        _role_is_out(api, service, role) for role in roles_of(service["spec"]["template"]["spec"])
    )


def status_settled(service: Object) -> bool:
    """What the status alone says of a rollout; between two passes it may say so too early."""
    status, wanted = service.get("status") or {}, wanted_role_sets(service)
    seen = status.get("observedGeneration", 0) >= service["metadata"]["generation"]
    same = status.get("currentRevision") == status.get("updateRevision")
    return bool(seen and same) and all(status.get(count, 0) == wanted for count in COUNTS)


def pods_of(api: Api, service: Object, role: str = "") -> list[Object]:
    """The active pods of a StormService, or of one of its roles."""
    selector = f"{SERVICE_NAME}={name_of(service)}" + (f",{ROLE_NAME}={role}" if role else "")
    found = api.list("pods", namespace_of(service), labels=selector)
    return [pod for pod in found if is_active(pod)]


def _role_is_out(api: Api, service: Object, role: Object) -> bool:
    pods = pods_of(api, service, role["name"])
    wanted = wanted_role_sets(service) * replicas_of(role) * int(role.get("podGroupSize") or 1)
    return len(pods) == wanted and all(is_ready(pod) and carries(pod, role) for pod in pods)


def carries(pod: Object, role: Object) -> bool:
    """Whether a pod was made from a role's template, by what an owner writes there."""
    template = role["template"]
    labels = (template.get("metadata") or {}).get("labels") or {}
    running = {each["name"]: each for each in pod["spec"]["containers"]}
    return bool(labels.items() <= labels_of(pod).items()) and all(
        _same_container(running.get(each["name"]) or {}, each)
        for each in template["spec"]["containers"]
    )


def _same_container(running: Object, wanted: Object) -> bool:
    env = running.get("env") or []
    return all((running.get(key) or []) == (wanted.get(key) or []) for key in COMPARED) and all(
        item in env for item in wanted.get("env") or ()
    )


def _says_ready(process: Process) -> bool:
    process.require_alive()
    return "ready" in process.log.read_text(errors="replace").splitlines()
