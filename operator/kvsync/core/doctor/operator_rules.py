"""The operator itself: its pods, its release, its leader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvsync.core.doctor.facts import Facts, LeaseFacts, OperatorFacts, Unread
from kvsync.core.doctor.finding import Finding, good, left_open, wrong
from kvsync.core.doctor.told_settings import told_settings
from kvsync.model.image import parse_image
from kvsync.model.version import Version
from kvsync.model.workload import JSON, Deployment, Pod

_INSTALL = (
    "Install it: helm install kvsync-operator charts/kvsync-operator -n kvsync-system "
    "--create-namespace; or name its namespace with --operator-namespace."
)


def pods(facts: Facts) -> Iterator[Finding]:
    """The operator is installed, and its pods are ready."""
    check, said = "operator", facts.operator
    if isinstance(said, Unread):
        lives = leader_lives(facts.lease)
        seen = f"{said.why} Somebody leads all the same." if lives else said.why
        if not said.missing:
            yield left_open(check, seen, "Ask as somebody who may read its namespace.")
        elif lives:
            yield left_open(check, seen, "Name its namespace with --operator-namespace.")
        else:
            yield wrong(check, seen, _INSTALL)
        return
    for deployment in said.deployments:
        own = [pod for pod in said.pods if pod.deployment == deployment.name]
        yield _pods(deployment, [pod for pod in own if pod.namespace == deployment.namespace])
    parts = [told_settings(each).object_selector for each in said.deployments]
    if len(said.deployments) > 1 and None in parts:
        titles = ", ".join(f"{d.namespace}/{d.name}" for d in said.deployments)
        yield left_open(
            check,
            f"There are {len(said.deployments)} operators: {titles}.",
            "Uninstall all but one, unless each serves namespaces or objects of its own.",
        )


def _pods(deployment: Deployment, own: Sequence[Pod]) -> Finding:
    title = f"{deployment.namespace}/{deployment.name}"
    ready = [pod for pod in own if pod.ready]
    restarts = sum(int(s.get("restartCount") or 0) for pod in own for s in pod.container_statuses)
    seen = f"{len(ready)} of {deployment.replicas} pods are ready"
    seen += f", {restarts} restarts so far." if restarts else "."
    if deployment.replicas == 0:
        scale = f"kubectl -n {deployment.namespace} scale deployment {deployment.name} --replicas=2"
        return wrong("operator", "It is scaled to zero.", f"Scale it up: {scale}", title)
    trouble = next((words for pod in own if (words := _trouble(pod))), "")
    if not ready:
        logs = f"kubectl -n {deployment.namespace} logs deploy/{deployment.name} --previous"
        return wrong("operator", f"{seen} {trouble}".strip(), f"See its log: {logs}", title)
    if len(ready) < deployment.replicas:
        return left_open(
            "operator",
            f"{seen} {trouble}".strip(),
            "Wait for the others, or see their Events.",
            title,
        )
    return good("operator", seen, title)


def _trouble(pod: Pod) -> str:
    """What the kubelet or the scheduler says of a pod that is not ready."""
    if pod.ready:
        return ""
    for status in pod.container_statuses:
        state: JSON = status.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        said = waiting or ended
        if said.get("reason"):
            message = str(said.get("message") or "")[:200]
            return f"{pod.name}: {said['reason']}" + (f": {message}" if message else "") + "."
    for each in (pod.body.get("status") or {}).get("conditions") or ():
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return f"{pod.name}: {each.get('message') or 'is not scheduled'}."
    return ""


def release(facts: Facts) -> Iterator[Finding]:
    """The operator is of the release of this program, and all of its pods are of one."""
    if isinstance(facts.operator, Unread):
        return
    for deployment in facts.operator.deployments:
        yield from _release(deployment, facts.operator, facts.stand.release)


def _release(
    deployment: Deployment, operator: OperatorFacts, release: Version
) -> Iterator[Finding]:
    title = f"{deployment.namespace}/{deployment.name}"
    own = [p for p in operator.pods if (p.namespace, p.deployment) == title_key(deployment)]
    images = sorted({c.image for pod in own for c in pod.containers} or _images(deployment))
    versions = {parse_image(image).version for image in images}
    if len(versions) > 1:
        yield left_open(
            "operator-release",
            f"Its pods run {' and '.join(images)}.",
            "Wait until its rollout is over: kubectl rollout status.",
            title,
        )
        return
    version = next(iter(versions), None)
    if version is None:
        yield left_open(
            "operator-release",
            f"No release is told by its image {', '.join(images) or '(none)'}; this program is {release}.",
            "Use an image tag that names the release.",
            title,
        )
    elif version[:2] != release[:2]:
        yield wrong(
            "operator-release",
            f"It is {version}, and this program is {release}: rights, fields and judgement are compared "
            "with those of another release.",
            f"Use the kvsync of release {version}, or upgrade the operator.",
            title,
        )
    else:
        yield good("operator-release", f"It is {version}; this program is {release}.", title)


def title_key(deployment: Deployment) -> tuple[str, str]:
    """Namespace and name."""
    return deployment.namespace, deployment.name


def _images(deployment: Deployment) -> set[str]:
    return {container.image for container in deployment.containers}


def leader(facts: Facts) -> Iterator[Finding]:
    """Somebody leads: the Lease was seen renewed, by one clock."""
    check, said = "leader", facts.lease
    if isinstance(said, Unread):
        yield _no_lease(facts, said)
    elif not said.holder:
        yield wrong(
            check,
            f"Nobody holds Lease {said.name}: the last leader gave it up and no other took it.",
            "See that a pod of the operator runs, and its log.",
        )
    elif leader_lives(said):
        standby = _standby(facts.operator)
        yield good(
            check, f"{said.holder} leads; its Lease was renewed while it was watched.{standby}"
        )
    elif said.watched < said.duration:
        yield left_open(
            check,
            f"{said.holder} holds Lease {said.name}, and did not renew it in {said.watched:.0f} s.",
            f"Watch longer: --timeout {said.duration + 10:.0f}s.",
        )
    else:
        yield wrong(
            check,
            f"{said.holder} holds Lease {said.name} and did not renew it in {said.watched:.0f} s; a Lease "
            f"lasts {said.duration:.0f} s.",
            "The leader is dead or cannot reach the API server, and no other took over: see that a pod of "
            "the operator runs, its log, and its right to get, create and update leases.",
        )


def _no_lease(facts: Facts, said: Unread) -> Finding:
    running = not isinstance(facts.operator, Unread) and any(p.ready for p in facts.operator.pods)
    if said.missing and running:
        return left_open(
            "leader",
            f"{said.why} Its pods run, so leader election is off (--no-leader-elect), or its Lease has "
            "another name.",
            "Name it with --lease-name; without election run one replica only.",
        )
    if said.missing:
        return wrong("leader", f"{said.why} No operator leads here.", _INSTALL)
    return left_open("leader", said.why, "Ask as somebody who may get leases there.")


def leader_lives(lease: LeaseFacts | Unread) -> bool:
    """Whether somebody was seen to lead."""
    return not isinstance(lease, Unread) and bool(lease.holder) and lease.quiet is not None


def _standby(operator: OperatorFacts | Unread) -> str:
    if isinstance(operator, Unread):
        return ""
    standby = sum(pod.ready for pod in operator.pods) - 1
    if standby < 0:
        return ""
    return f" {standby} standby." if standby else " No standby: its restart is a pause."
