"""A Guaranteed pod stays one; what the object says wins; amounts stand as the API server keeps them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.objects import Json, container, deployment
from kvsync.cli.relay import relay
from kvsync.core.sidecar.resources import is_guaranteed, share_of
from kvsync.model.quantity import parse_quantity
from kvsync.model.spec import Amounts, RelayResources
from kvsync.model.workload import Deployment

FIXED: Json = {"limits": {"cpu": "8", "memory": "64Gi"}}


def workload(*resources: Json | None, init: Json | None = None) -> Deployment:
    bodies = [
        container(f"c{place}", resources=each) if each is not None else container(f"c{place}")
        for place, each in enumerate(resources)
    ]
    more: Json = {"initContainers": [container("i", resources=init)]} if init is not None else {}
    return Deployment(deployment(*bodies, **more))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (workload(FIXED), True),
        (workload({**FIXED, "requests": {"cpu": 8, "memory": "65536Mi"}}), True),
        (workload({**FIXED, "requests": {"cpu": "7"}}), False),
        (workload({"limits": {"memory": "1Gi"}}), False),
        (workload({"limits": {"cpu": "0", "memory": "1Gi"}}), False),
        (workload({"limits": {"cpu": "many", "memory": "1Gi"}}), False),
        (workload(FIXED, None), False),
        (workload(FIXED, FIXED), True),
        (workload(FIXED, init={}), False),
        (workload(FIXED, init=FIXED), True),
        (workload(None), False),
    ],
)
def test_the_class_of_a_pod(found: Deployment, expected: bool) -> None:
    assert is_guaranteed(found) is expected


@pytest.mark.parametrize(
    ("base", "wanted", "requests", "limits"),
    [
        (None, RelayResources(), ("50m", "64Mi"), ("", "256Mi")),
        (FIXED, RelayResources(), ("250m", "256Mi"), ("250m", "256Mi")),
        (FIXED, RelayResources(Amounts("1", "")), ("1", "256Mi"), ("1", "256Mi")),
        (FIXED, RelayResources(limits=Amounts("2", "1Gi")), ("2", "1Gi"), ("2", "1Gi")),
        (None, RelayResources(limits=Amounts("20m", "32Mi")), ("20m", "32Mi"), ("20m", "32Mi")),
        (None, RelayResources(Amounts("", "512Mi")), ("50m", "512Mi"), ("", "512Mi")),
        (None, RelayResources(Amounts("0.5", "1024Mi")), ("500m", "1Gi"), ("", "1Gi")),
        (None, RelayResources(Amounts("2000m", "1000M")), ("2", "1G"), ("", "1G")),
    ],
)
def test_what_a_sidecar_gets(
    base: Json | None, wanted: RelayResources, requests: tuple[str, str], limits: tuple[str, str]
) -> None:
    share = share_of(workload(base), wanted)
    assert (share.requests.cpu, share.requests.memory) == requests
    assert (share.limits.cpu, share.limits.memory) == limits


@given(mib=st.integers(32, 999_999))
def test_what_it_is_told_is_what_it_takes(mib: int) -> None:
    share = share_of(workload(None), RelayResources(limits=Amounts("", f"{mib}Mi")))
    given = {"--max-memory": share.table_mib, "--max-blocks": share.table_blocks}
    options = {option.opts[0]: option.type for option in relay.params}
    for name, value in given.items():
        assert options[name].convert(value, None, None) == value
    amount = parse_quantity(share.journal)
    assert amount % 2**30 or not share.journal.endswith("Mi"), "as the API server writes it"


AMOUNTS = st.builds(
    Amounts,
    st.sampled_from(["", "1m", "50m", "0.5", "1500m", "3"]),
    st.sampled_from(["", "32Mi", "100M", "64Mi", "1024Mi", "3Gi"]),
)


@given(requests=AMOUNTS, limits=AMOUNTS, fixed=st.booleans())
def test_no_request_is_above_its_limit_and_no_class_is_lost(
    requests: Amounts, limits: Amounts, fixed: bool
) -> None:
    for kind in ("cpu", "memory"):
        asked, most = getattr(requests, kind), getattr(limits, kind)
        if asked and most and parse_quantity(asked) > parse_quantity(most):
            return  # the spec refuses it
    base = workload(FIXED if fixed else None)
    share = share_of(base, RelayResources(requests, limits))
    body: Any = share.body
    for kind, most in body["limits"].items():
        assert parse_quantity(body["requests"][kind]) <= parse_quantity(most)
    memory = parse_quantity(share.limits.memory) / 2**20
    if memory >= 64:
        journal = parse_quantity(share.journal) / 2**20
        assert 30 + share.table_mib + journal <= memory, "process, table and journal"
    if fixed and not (requests.cpu and limits.cpu) and not (requests.memory and limits.memory):
        containers = [*base.template["spec"]["containers"], {"name": "r", "resources": share.body}]
        assert is_guaranteed(Deployment(deployment(*containers)))
