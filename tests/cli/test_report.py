"""What verify tells people: failures first, each with a way out, and one sentence where none is reached."""

from core.looks import (
    all_of,
    found,
    judged,
    key_of,
    sight,
    silence,
    told_ready,
    two_pods,
)
from core.scenes import gateway_of, model, sync_of
from kvsync.cli.reading import Scope
from kvsync.cli.report import MOST_FAILURES, MOST_ROWS, report
from kvsync.core.verification import without_look
from kvsync.model.source import SourceKey, SourceReason, Target, Verdict
from kvsync.model.verification import (
    ConditionFinding,
    ModelFinding,
    ObjectFinding,
    SourceFinding,
    Verification,
)

SCOPE = Scope("default", "sync")


def lines(look: Verification, scope: Scope = SCOPE, *, inside: bool = False) -> list[str]:
    return [text for text, _ in report(look, scope, inside=inside)]


def test_what_is_healthy_is_short() -> None:
    one, a, b = two_pods()
    look = found(
        one,
        verdicts=(judged(a), judged(b, SourceReason.IDLE)),
        seen={key_of(a): sight()},
        gateway=gateway_of(),
        status=told_ready(),
    )
    assert lines(all_of(look)) == [
        "KVEventSync default/sync",
        "MODEL  POD      RANK  VERDICT     RATE   LAG",
        "model  model-0  0     Publishing  3.2/s  12ms",
        "model  model-1  0     Idle        -      -",
        "GatewayCompatible: True (Compatible): AIBrix 0.7.0 reaches and decodes what the engines "
        "publish. By the release alone, while no event was seen: model.",
        "The operator: Ready True (Synchronized): Every source publishes.",
        "",
        "2 of 2 sources healthy.",
    ]


def test_what_fails_stands_first_with_evidence_and_remedy() -> None:
    one, a, b = two_pods()
    verdicts = (judged(a), judged(b, SourceReason.PORT_CLOSED))
    told = lines(all_of(found(one, verdicts=verdicts, status=told_ready())))
    assert told[2].split()[:4] == ["model", "model-1", "0", "PortClosed"]
    at = told.index("model-1 rank 0: PortClosed")
    assert told[at + 1 : at + 3] == [
        "  evidence  PortClosed seen",
        "  remedy    see its log",
    ]
    assert any(line.startswith("  model: the operator says Verified, 2 of 2") for line in told)
    assert told[-1] == "1 of 2 sources healthy."


def test_a_model_without_a_source_is_told_by_its_own_word() -> None:
    told = lines(all_of(found(model(None))))
    assert told[2].split()[:4] == ["model", "-", "-", "NoSuchDeployment"]
    assert "model: NoSuchDeployment" in told
    assert any("Create it" in line for line in told)
    assert any("is kvsync-operator installed" in line for line in told)
    assert told[-1] == "0 of 0 sources healthy."


def test_where_nothing_is_reached_it_is_said_once_with_the_command() -> None:
    one, a, b = two_pods()
    nowhere = tuple(judged(pod, SourceReason.UNREACHABLE) for pod in (a, b))
    look = all_of(
        found(one, verdicts=nowhere, seen={key_of(a): silence()}, status=told_ready()),
        notes=("a note",),
    )
    told = lines(look)
    assert told[-1] == (
        "None of the 2 pods can be reached from here; run it inside the cluster: kubectl -n "
        "kvsync-system exec deploy/kvsync-operator -- kvsync verify default sync"
    )
    assert not any("Unreachable" in line for line in told)
    assert "a note" in told
    assert any(line.startswith("The operator: Ready True") for line in told)
    inside = lines(look, inside=True)[-1]
    assert "NetworkPolicies" in inside
    assert "kubectl" not in inside
    everywhere = lines(look, Scope(None))[-1]
    assert everywhere.endswith("kvsync verify -A")


def test_an_object_at_which_nothing_can_be_looked_says_why() -> None:
    look = without_look(sync_of(), "Undoing", "It was deleted.")
    assert "  Undoing: It was deleted." in lines(all_of(look))


def test_an_older_status_and_another_word_on_the_gateway_are_said() -> None:
    here = ConditionFinding("True", "Compatible", "decodes")
    told = ConditionFinding("False", "EventLayout", "does not", current=False)
    look = ObjectFinding("ns", "kv", (), here, told, told)
    said = lines(all_of(look))
    assert "  the operator says: False (EventLayout): does not" in said
    assert "The operator (of an older spec): Ready False (EventLayout): does not" in said


def test_a_thousand_failures_are_bounded_and_counted() -> None:
    def source(number: int) -> SourceFinding:
        key = SourceKey("ns", f"m-{number:04}", f"uid-{number}")
        reason = SourceReason.PORT_CLOSED
        verdict = Verdict(key, reason, verified=False, settled=True, message="x", remedy="y")
        return SourceFinding("m", verdict, Target(key, "10.0.0.1", 5557, 0, ""))

    many = ModelFinding("m", "PortClosed", "x", False, 1000, tuple(map(source, range(1000))))
    told = lines(all_of(ObjectFinding("ns", "kv", (many,))))
    assert len(told) < MOST_ROWS + 3 * MOST_FAILURES + 10
    assert (
        f"… and {1000 - MOST_ROWS} more, {1000 - MOST_ROWS} of them failing; -o json lists all."
        in told
    )
    assert f"… and {1000 - MOST_FAILURES} more failures; -o json lists all." in told
    assert told[-1] == "0 of 1000 sources healthy."
