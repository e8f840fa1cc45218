"""The table of top: bounded, failing ones first, sums and worst cases of a model's sources."""

from hypothesis import given
from hypothesis import strategies as st

from core.looks import (
    NOW,
    all_of,
    found,
    judged,
    key_of,
    sight,
    two_pods,
    unsettled,
)
from core.scenes import model, sync_of
from kvsync.cli.screen import Paper
from kvsync.cli.standing import FRAME, standing
from kvsync.core.verification import without_look
from kvsync.model.source import SourceKey, SourceReason, Target, Verdict
from kvsync.model.verification import ModelFinding, ObjectFinding, SourceFinding, Verification


def lines(
    look: Verification, *, pods: bool = False, rows: int = 40, trouble: str = ""
) -> list[str]:
    made = standing(look, NOW, pods=pods, rows=rows, place="namespace default", trouble=trouble)
    return [text for text, _ in made]


def test_a_row_a_model_adds_up_its_sources() -> None:
    one, a, b = two_pods()
    seen = {key_of(a): sight(), key_of(b): sight(rate=1.0, lag=2.0, last_batch_at=NOW - 300)}
    look = found(one, verdicts=(judged(a), judged(b)), seen=seen)
    assert lines(all_of(look)) == [
        "namespace default: 1 KVEventSync, 1 model, 2 of 2 sources healthy",
        "MODEL  SOURCES  VERDICTS      RATE   LAG   LAST",
        "model  2/2      2 Publishing  4.2/s  2.0s  2.0s",
    ]


def test_a_row_a_source() -> None:
    one, a, b = two_pods()
    look = found(one, verdicts=(judged(a), unsettled(b)), seen={key_of(a): sight()})
    assert lines(all_of(look), pods=True)[1:] == [
        "MODEL  POD      RANK  VERDICT     RATE   LAG   LAST",
        "model  model-1  0     Connecting  -      -     -",
        "model  model-0  0     Publishing  3.2/s  12ms  2.0s",
    ]


def test_what_fails_stands_first_and_names_its_verdicts() -> None:
    good, a, b = two_pods("aaa")
    bad, c, d = two_pods("zzz")
    look = found(
        good,
        bad,
        model(None, name="mmm"),
        verdicts=(
            judged(a),
            judged(b),
            judged(c, SourceReason.IDLE),
            judged(d, SourceReason.STALE),
        ),
    )
    _, _, *rows = lines(all_of(look))
    assert [row.split()[0] for row in rows] == ["mmm", "zzz", "aaa"]
    assert "NoSuchDeployment" in rows[0]
    assert "1 Stale, 1 Idle" in rows[1]


def test_more_kinds_of_verdicts_than_fit_are_counted() -> None:
    reasons = [
        SourceReason.STALE,
        SourceReason.PORT_CLOSED,
        SourceReason.NOT_ZMQ,
        SourceReason.IDLE,
        SourceReason.PUBLISHING,
    ]
    sources = [_source(number, reason) for number, reason in enumerate(reasons)]
    many = ModelFinding("m", "Stale", "", False, 5, tuple(sources))
    row = lines(all_of(ObjectFinding("ns", "kv", (many,))))[2]
    assert "1 Stale, 1 PortClosed, 1 NotZMQ, +2" in row


def test_objects_of_several_namespaces_name_theirs() -> None:
    one = ObjectFinding("a", "kv", (ModelFinding("m", "Verified", "", False, 0),))
    two = without_look(sync_of(), "Undoing", "gone")
    text = "\n".join(lines(all_of(one, two)))
    assert "a/m " in text
    assert "default/sync " in text
    assert "Undoing" in text


def test_trouble_is_said_without_control_characters() -> None:
    assert lines(all_of(), trouble="no \x1b[2J")[1] == "no \N{REPLACEMENT CHARACTER}[2J"


def _source(number: int, reason: SourceReason) -> SourceFinding:
    key = SourceKey("ns", f"m-{number:04}", f"uid-{number}")
    verdict = Verdict(key, reason, verified=False, settled=True, message="x")
    return SourceFinding("m", verdict, Target(key, "10.0.0.1", 5557, 0, ""))


@given(
    st.lists(st.sampled_from(list(SourceReason)), max_size=60),
    st.integers(1, 30),
    st.booleans(),
)
def test_the_screen_is_bounded_and_no_failure_hides_behind_health(
    reasons: list[SourceReason], rows: int, pods: bool
) -> None:
    sources = tuple(_source(number, reason) for number, reason in enumerate(reasons))
    models = tuple(
        ModelFinding(f"m{n}", "Verified", "", False, 1, (source,))
        for n, source in enumerate(sources)
    )
    look = all_of(ObjectFinding("ns", "kv", models))
    made = standing(look, NOW, pods=pods, rows=rows, place="here", trouble="old")
    assert len(made) <= rows + FRAME
    shown = [color for _, color in made[3 : 3 + min(rows, len(sources))]]
    assert shown == sorted(shown, key=lambda color: color is None), "failing ones first"
    failing = sum(not source.healthy for source in sources)
    assert shown.count("red") == min(failing, rows)
    if len(sources) > rows:
        assert (
            made[-1][0]
            == f"… and {len(sources) - rows} more, {max(0, failing - rows)} of them failing"
        )


def test_paper_keeps_tables_apart(capsys: object) -> None:
    paper = Paper()
    paper.show([("a", None), ("b", "red")])
    paper.show([("c", None)])
    assert capsys.readouterr().out == "a\nb\n\nc\n"  # type: ignore[attr-defined]
