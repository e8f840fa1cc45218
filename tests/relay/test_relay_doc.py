"""docs/relay.md lists every metric of the relay as it is served."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from kvsync.core.relay.relay import Relay, Terms
from kvsync.relay.exposition import metrics_text
from testbed.promtool.run import check_scrape

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "relay.md").read_text()


def test_the_table_says_what_is_served_and_no_more() -> None:
    text = metrics_text(Relay(Terms(), 0.0), [True], 0.5).decode()
    served = {}
    for family in text_string_to_metric_families(text):
        name = family.samples[0].name
        labels = ", ".join(sorted(family.samples[0].labels))
        served[name] = (family.type, labels, family.documentation)
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*?) ?\| (.+) \|$", PAGE, flags=re.MULTILINE)
    assert {name: (kind, labels, about) for name, kind, labels, about in rows} == served


def test_prometheus_finds_its_conventions_kept() -> None:
    check_scrape(metrics_text(Relay(Terms(ranks=2), 0.0), [True, False], 0.5))


def test_without_a_message_there_is_no_lag() -> None:
    text = metrics_text(Relay(Terms(ranks=2), 0.0), [True, False], None).decode()
    assert "\nkvsync_relay_lag_seconds " not in text
    assert '\nkvsync_relay_engine_connected{rank="1"} 0\n' in text
