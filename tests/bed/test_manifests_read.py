"""What is written as YAML, as kubectl reads it: go-yaml takes more words for something else than PyYAML."""

import json
import uuid

import pytest

from kvsync.adapters.manifests import dump_manifest
from testbed.bed import Bed

pytestmark = pytest.mark.bed

TRICKY = """
y n Y N yes no on off true False null ~ = << - -- --x 5 5. .5 -1 +1 1e3 7e10 12e03 1.5e-3 -.5e3 1_000 0x1f 0o7
-0o7 0b1 017 1:20 190:20:30 2001-1-1 2001-01-01 .inf -.INF .NaN 1.2.3 v1 {} [] {{x}} *a &a !a %a @a `a |a >a
'a "a #a a#b a:b ?a ,a 1e 1e+ e3 1e3e3 0o8 ++1
"""


def test_kubectl_reads_every_text_as_a_text(bed: Bed) -> None:
    keyed = {f"k{number}": text for number, text in enumerate(TRICKY.split())}
    metadata = {"name": f"tricky-{uuid.uuid4().hex[:8]}", "namespace": "default"}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": keyed}
    body["metadata"] = {**metadata, "labels": {"y": "n", "n": "7e10"}}
    words = ("create", "--dry-run=server", "-o", "json", "-f", "-")
    read = json.loads(bed.api.kubectl(*words, stdin=dump_manifest(body)).stdout)
    assert read["data"] == keyed
    assert read["metadata"]["labels"] == {"y": "n", "n": "7e10"}
