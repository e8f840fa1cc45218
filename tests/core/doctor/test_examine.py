"""kvsync doctor's rules, one fact changed at a time: which check speaks, how it counts, and its way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.doctor.installations import (
    HOME,
    KEY,
    TOLD,
    deployment,
    found,
    gateway,
    healthy,
    objects,
    pod,
    source,
    with_sources,
)
from kvsync.core.doctor.examine import RULES, examine
from kvsync.core.doctor.facts import (
    AdmissionFacts,
    Answered,
    CrdFacts,
    EngineFacts,
    Facts,
    LeaseFacts,
    ObjectsFacts,
    OperatorFacts,
    ReachFacts,
    RightsFacts,
    Stand,
    Stream,
    Unread,
)
from kvsync.core.doctor.finding import Mark
from kvsync.core.doctor.report_json import report_json
from kvsync.core.rights import RIGHTS, Place, Spot, grants
from kvsync.model.source import Failure, SourceReason, Traffic
from kvsync.model.tokenizer import TokenizerAnswer
from kvsync.model.verification import ModelFinding, ObjectFinding
from kvsync.model.version import Version

GOOD, WRONG, OPEN = Mark.GOOD, Mark.WRONG, Mark.OPEN
FORBIDDEN = Unread("It may not be read.", forbidden=True)
MISSING = Unread("It is not there.", missing=True)
OUTSIDE = Stand("https://api", inside=False, release=Version(0, 1, 0))
LEASE = LeaseFacts(f"{HOME}/kvsync-operator", "pod-1", 10.0, 12.5, None)
READY = ("True", "Synchronized", "All is well.", True)
ENGINE = EngineFacts("VLLM", "0.16.0", "ImageTag", "ConfigJSON", 10000, (5557, 5558))


def operator(*pods: Any, **more: Any) -> OperatorFacts:
    body = deployment(HOME, "kvsync-operator", "kvsync-operator:0.1.0", **more)
    return OperatorFacts((body,), pods)


def lacking(resource: str, verb: str, allowed: bool | None = False) -> RightsFacts:
    right = next(r for r in RIGHTS if r.resource == resource and verb in r.verbs)
    place = {each: [Spot("")] for each in Place}
    grant = next(g for g in grants(right, place) if g.verb == verb)
    return RightsFacts("ns/sa", True, (Answered(right, grant, allowed, "busy"),))


def admission(**changes: Any) -> AdmissionFacts:
    there = AdmissionFacts("v1", ("kv-inject",), ("kv-inject",), True, ("team/kv",))
    return replace(there, **changes)


def conditions(**said: tuple[str, str, str, bool]) -> tuple[ObjectsFacts, ...]:
    return objects(with_sources(source(), conditions=said))


def engine(**changes: Any) -> tuple[ObjectsFacts, ...]:
    return objects(with_sources(source(), engines={"m": (replace(ENGINE, **changes),)}))


def streaming(messages: int, octets: int, rate: float | None) -> tuple[ObjectsFacts, ...]:
    return objects(with_sources(source(), streams={KEY: Stream(messages, octets, rate)}))


def told(**changes: str) -> Any:
    return deployment(
        *("aibrix-system", "gw", "aibrix/gateway-plugins:v0.7.0"),
        container="gateway-plugin",
        env=TOLD | changes,
        annotations={"kvsync.aibrix.ai/owners": "team/kv"},
    )


UNREACHED = source(SourceReason.UNREACHABLE, handshake_at=None, failure=Failure.TIMED_OUT)
CLOSED = source(SourceReason.PORT_CLOSED, handshake_at=None, failure=Failure.REFUSED)
OLD_GATEWAY = deployment(
    "a", "gw", "x/gateway-plugins:v0.6.0", container="gateway-plugin", env=TOLD
)
OFF_GATEWAY = deployment("a", "gw", "x/gateway-plugins:v0.7.0", container="gateway-plugin")
DOWN_GATEWAY = deployment(
    *("a", "gw", "x/gateway-plugins:v0.7.0"), container="gateway-plugin", available=0, env=TOLD
)
TROUBLED = ModelFinding("m", "EngineCrashed", "It ends with 137.", True, 1)

CASES: list[tuple[str, dict[str, Any], Mark, str]] = [
    ("api-server", {"server": Version(1, 29)}, OPEN, "older than 1.30"),
    ("api-server", {"server": Version(1, 28)}, OPEN, "plain containers"),
    ("api-server", {"server": None}, OPEN, "names no release"),
    ("api-server", {"server": Unread("refused")}, WRONG, "refused"),
    ("crd", {"crd": MISSING}, WRONG, "not installed"),
    ("crd", {"crd": FORBIDDEN}, OPEN, "may not be read"),
    ("crd", {"crd": CrdFacts(9, ("spec.a", "b", "c", "d"))}, WRONG, "spec.a, b, c and 1 more"),
    ("admission", {"admission": FORBIDDEN}, OPEN, "may not be read"),
    (
        "admission",
        {"admission": admission(version=""), "server": Version(1, 33)},
        WRONG,
        "Mode Admission reaches no pod (team/kv): Kubernetes 1.33 has no MutatingAdmissionPolicy.",
    ),
    (
        "admission",
        {"admission": admission(version="", wanted=()), "server": Version(1, 35)},
        WRONG,
        "as a beta, which is off here",
    ),
    ("admission", {"admission": admission(policies=FORBIDDEN)}, OPEN, "is not seen from here"),
    ("admission", {"admission": admission(policies=())}, WRONG, "the policy is not installed"),
    ("admission", {"admission": admission(bound=())}, WRONG, "kv-inject has no binding"),
    ("admission", {"admission": admission(told=False)}, WRONG, "was not told of it"),
    ("permissions", {"rights": lacking("pods", "list")}, WRONG, "ns/sa may not list pods"),
    ("permissions", {"rights": lacking("events", "patch")}, OPEN, "kubectl describe"),
    ("permissions", {"rights": lacking("pods", "list", None)}, OPEN, "busy"),
    ("permissions", {"rights": FORBIDDEN}, OPEN, "may not be read"),
    ("operator", {"operator": MISSING, "lease": MISSING}, WRONG, "not there"),
    ("operator", {"operator": MISSING}, OPEN, "leads all the same"),
    ("operator", {"operator": FORBIDDEN, "lease": FORBIDDEN}, OPEN, "may not be read"),
    ("operator", {"operator": operator(replicas=0)}, WRONG, "scaled to zero"),
    ("operator", {"operator": operator(pod(phase="Pending"))}, WRONG, "0 of 1 pods"),
    ("operator", {"operator": operator(pod(), replicas=2)}, OPEN, "1 of 2 pods"),
    (
        "operator",
        {
            "operator": operator(
                pod(
                    conditions=[],
                    containerStatuses=[
                        {
                            "restartCount": 4,
                            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no"}},
                        }
                    ],
                )
            )
        },
        WRONG,
        "4 restarts so far. kvsync-operator-abc-1: ImagePullBackOff: no.",
    ),
    ("operator-release", {"operator": operator(pod(image="x:0.3.1"))}, WRONG, "It is 0.3.1"),
    ("operator-release", {"operator": operator(pod(image="x@sha256:1"))}, OPEN, "No release"),
    (
        "operator-release",
        {"operator": operator(pod(image="x:0.1.0"), pod("b", image="x:0.1.1"))},
        OPEN,
        "Its pods run",
    ),
    ("leader", {"lease": LEASE}, WRONG, "did not renew it in 12 s"),
    ("leader", {"lease": replace(LEASE, watched=4.0)}, OPEN, "did not renew it in 4 s"),
    ("leader", {"lease": replace(LEASE, holder="")}, WRONG, "Nobody holds"),
    ("leader", {"lease": FORBIDDEN}, OPEN, "may not be read"),
    ("leader", {"lease": MISSING}, OPEN, "leader election is off"),
    ("leader", {"lease": MISSING, "operator": MISSING}, WRONG, "No operator leads"),
    ("gateway", {"gateways": (gateway(deployment=MISSING),)}, WRONG, "team/kv name it"),
    ("gateway", {"gateways": (gateway(deployment=MISSING, named=()),)}, WRONG, "aibrix-system/gw."),
    ("gateway", {"gateways": (gateway(deployment=FORBIDDEN),)}, OPEN, "may not be read"),
    ("gateway", {"gateways": (gateway(OLD_GATEWAY),)}, OPEN, "does not route by events"),
    ("gateway", {"gateways": (gateway(DOWN_GATEWAY),)}, OPEN, "0 of 1 pods rolled out"),
    (
        "gateway-variables",
        {"gateways": (gateway(told(AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED="false")),)},
        WRONG,
        "is 'false' and must be true",
    ),
    ("gateway-variables", {"gateways": (gateway(OFF_GATEWAY),)}, OPEN, "not told to consume"),
    (
        "redis",
        {"gateways": (gateway(redis=ReachFacts("Redis r:6379", "refused")),)},
        OPEN,
        "Redis r:6379 cannot be reached (refused), asked from inside",
    ),
    (
        "redis",
        {"gateways": (gateway(DOWN_GATEWAY, redis=ReachFacts("Redis r:6379", "refused")),)},
        WRONG,
        "does not start without it",
    ),
    (
        "tokenizer",
        {"gateways": (gateway(tokenizer=("http://m", TokenizerAnswer(404))),)},
        WRONG,
        "status 404",
    ),
    (
        "tokenizer",
        {"gateways": (gateway(tokenizer=("http://m", TokenizerAnswer(problem="late"))),)},
        OPEN,
        "(late)",
    ),
    ("objects", {"objects": (MISSING,)}, WRONG, "not there"),
    ("objects", {"objects": (FORBIDDEN,)}, OPEN, "may not be read"),
    (
        "objects",
        {"objects": (ObjectsFacts("x", (), ("A part is left out.",)),)},
        OPEN,
        "is left out",
    ),
    ("objects", {"objects": conditions()}, WRONG, "says nothing of it"),
    ("objects", {"objects": conditions(Ready=("True", "X", "So.", False))}, OPEN, "older spec"),
    ("objects", {"objects": conditions(Ready=("Unknown", "X", "So.", True))}, OPEN, "Unknown (X)"),
    ("objects", {"objects": conditions(Ready=("False", "X", "So.", True))}, WRONG, "False (X)"),
    (
        "objects",
        {
            "objects": conditions(
                Ready=("False", "X", "So.", True), Reconciling=("True", "X", "So.", True)
            )
        },
        OPEN,
        "False (X)",
    ),
    (
        "objects",
        {
            "objects": conditions(
                Ready=("False", "X", "So.", True),
                Reconciling=("True", "X", "So.", True),
                Stalled=("True", "X", "So.", True),
                EventsFlowing=("False", "Y", "So.", True),
            )
        },
        WRONG,
        "EventsFlowing False (Y)",
    ),
    (
        "engines",
        {"objects": objects(with_sources(refused={"m": "It is too old."}))},
        WRONG,
        "It is too old.",
    ),
    (
        "prefix-caching",
        {"objects": objects(with_sources(traffic={KEY: Traffic(0.0, prefix_caching=False)}))},
        WRONG,
        "m-1",
    ),
    ("network", {"objects": objects(with_sources(UNREACHED))}, WRONG, "m-1 port 5557"),
    (
        "network",
        {"objects": objects(with_sources(UNREACHED)), "stand": OUTSIDE},
        OPEN,
        "None of 1 event ports",
    ),
    ("event-ports", {"objects": objects(with_sources(CLOSED))}, WRONG, "m-1 port 5557"),
    ("event-ports", {"objects": engine(undeclared=(5558,))}, OPEN, "do not declare 5558"),
    (
        "publishing",
        {"objects": objects(with_sources(source(SourceReason.REPLAY_MISSING)))},
        WRONG,
        "ReplayMissing",
    ),
    (
        "publishing",
        {
            "objects": objects(
                with_sources(found=ObjectFinding("team", "kv", problem=("NoModels", "None.")))
            )
        },
        OPEN,
        "NoModels: None.",
    ),
    (
        "publishing",
        {"objects": objects(with_sources(found=ObjectFinding("team", "kv", (TROUBLED,))))},
        OPEN,
        "m: EngineCrashed: It ends with 137.",
    ),
    ("labels", {"objects": engine(unlabelled=("m-1",))}, WRONG, "m-1"),
    (
        "engine-log",
        {"objects": objects(with_sources(source(), last_words={"m-1": "OSError: no"}))},
        OPEN,
        "m-1: OSError: no",
    ),
    ("memory", {"objects": streaming(10, 500_000, 1.0)}, OPEN, "501.6 MB"),
    ("memory", {"objects": streaming(0, 0, None)}, OPEN, "none was seen"),
    ("bandwidth", {"objects": streaming(10, 500_000, 40.0)}, OPEN, "2.0 MB/s"),
]


@pytest.mark.parametrize(
    ("check", "changes", "mark", "words"),
    CASES,
    ids=[f"{check}-{number}" for number, (check, *_) in enumerate(CASES)],
)
def test_what_is_not_right_is_said_with_a_way_out(
    check: str, changes: dict[str, Any], mark: Mark, words: str
) -> None:
    findings = [each for each in found(healthy(**changes), check) if each.mark is not GOOD]
    assert [each.mark for each in findings] == [mark], findings
    assert words in findings[0].seen
    assert findings[0].remedy


def test_where_all_is_good_every_check_says_so_and_needs_no_remedy() -> None:
    report = examine(healthy())
    assert {each.mark for each in report.findings} == {GOOD}, report.findings
    assert not [each for each in report.findings if each.remedy]
    assert report.exit_code == 0
    assert {each.check for each in report.findings} == {check for check, *_ in CASES} - {
        "engine-log"  # only of what fails
    }


def test_no_sentence_is_without_an_end() -> None:
    for _, changes, _, _ in CASES:
        for each in examine(healthy(**changes)).findings:
            assert each.seen.endswith((".", ")", "OSError: no")), each


def test_every_rule_takes_an_installation_of_which_nothing_is_known() -> None:
    for unread in (FORBIDDEN, MISSING, Unread("It does not answer.")):
        facts = Facts(OUTSIDE, Version(1, 33), unread, unread, unread, unread, (), (unread,))
        for rule in RULES:
            assert all(each.mark is not GOOD for each in rule(facts)) or rule is RULES[0]


def test_exit_codes() -> None:
    assert examine(healthy(lease=FORBIDDEN)).exit_code == 0, "what is not known is no fault"
    assert examine(healthy(crd=MISSING)).exit_code == 1
    assert examine(healthy(server=Unread("refused"))).exit_code == 2
    sees_nothing = Facts(
        *(OUTSIDE, Version(1, 33), CrdFacts(1, ()), FORBIDDEN, FORBIDDEN, FORBIDDEN),
        *((gateway(deployment=FORBIDDEN),), (FORBIDDEN,)),
    )
    assert examine(sees_nothing).exit_code == 2, "no access"


def test_without_an_api_server_nothing_else_is_said() -> None:
    report = examine(healthy(server=Unread("refused")))
    assert [each.check for each in report.findings] == ["api-server"]


def test_a_gateway_that_nobody_needs_and_is_not_there_is_not_mentioned() -> None:
    absent = gateway(
        deployment=MISSING, name="kvcache-watcher", named=(), redis=None, tokenizer=None
    )
    report = examine(healthy(gateways=(gateway(), absent)))
    assert not [each for each in report.findings if "kvcache-watcher" in each.subject]


def test_the_others_of_two_rights_are_still_counted() -> None:
    both = lacking("pods", "list").answers + lacking("deployments", "list", None).answers
    given = lacking("pods", "watch", True).answers
    findings = found(healthy(rights=RightsFacts("ns/sa", False, both + given)), "permissions")
    assert [each.mark for each in findings] == [WRONG, OPEN]
    findings = found(healthy(rights=RightsFacts("ns/sa", False, given)), "permissions")
    assert [each.mark for each in findings] == [GOOD]
    assert "SubjectAccessReview" in findings[0].seen


def test_many_failing_sources_are_not_all_told() -> None:
    many = [source(SourceReason.REPLAY_MISSING) for _ in range(40)]
    findings = found(healthy(objects=objects(with_sources(*many))), "publishing")
    assert len(findings) == 6
    assert "35 more" in findings[-1].seen


def test_a_standby_is_counted_and_its_lack_is_told() -> None:
    (leader,) = found(healthy(), "leader")
    assert "1 standby" in leader.seen
    (leader,) = found(healthy(operator=operator(pod())), "leader")
    assert "No standby" in leader.seen


def test_memory_advice_is_a_figure_that_fits() -> None:
    (advice,) = found(healthy(objects=streaming(10, 500_000, 1.0)), "memory")
    assert "spec.events.bufferSteps: 2000" in advice.remedy
    assert "compress" in advice.seen


def test_the_json_has_its_fields() -> None:
    report = report_json(examine(healthy(crd=MISSING)))
    assert report["counts"]["wrong"] == 1
    assert (report["healthy"], report["exit_code"]) == (False, 1)
    assert report["seen_from"] == "https://api from inside the cluster as someone"
    assert report["findings"][1] == {
        "check": "crd",
        "subject": "",
        "mark": "wrong",
        "seen": "The API server does not serve KVEventSync: the CRD is not installed.",
        "remedy": report["findings"][1]["remedy"],
    }
