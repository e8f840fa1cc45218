"""Hand-written lines are what Prometheus reads: the library's own parser reads them back."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from kvsync.adapters.exposition import counter, gauge, labels

# What UTF-8 cannot carry is kept out by the ledger's rule for names.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"))


@given(texts, texts, st.floats(allow_nan=False) | st.integers(0, 2**63))
def test_labels_and_values_come_back_as_they_were(first: str, second: str, value: float) -> None:
    family = gauge("kvsync_x", "Text.")
    text = "\n".join(family.lines([(labels(a=first, b=second), value)])) + "\n"
    (read,) = text_string_to_metric_families(text)
    (sample,) = read.samples
    assert sample.labels == {"a": first, "b": second}
    assert sample.value == value


def test_a_counter_is_written_as_one() -> None:
    lines = list(counter("kvsync_x", "Text.").lines([("", 3)]))
    assert lines == [
        "# HELP kvsync_x_total Text.",
        "# TYPE kvsync_x_total counter",
        "kvsync_x_total 3",
    ]


def test_a_figure_that_is_not_known_is_left_out() -> None:
    assert len(list(gauge("kvsync_x", "Text.").lines([("", None)]))) == 2
