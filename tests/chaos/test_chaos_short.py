"""The short part of `make chaos`: a few calls with a few faults, and two mixtures by a seed."""

import pytest

from chaos.cases import UNDISTURBED, Case, mixture, read_case
from chaos.stage import cluster
from chaos.workers import reports

pytestmark = [pytest.mark.bed, pytest.mark.timeout(240)]

SEED = 11
CASES = (
    "enable:PATCH:deployments/a:1=lost+change:PATCH:deployments/b:1=409"
    "+undo:PATCH:deployments/aibrix-gateway-plugins:1=lost",
    "start:LIST:pods:1=truncated+enable:EVENT:pods:2=410+change:PATCH:kveventsyncs/kv/status:1=reset"
    "+undo:PATCH:kveventsyncs/kv:1=503",
)


def test_promises_are_kept_whatever_the_api_server_answers() -> None:
    with cluster() as reach:
        (undisturbed,) = reports(reach, [UNDISTURBED], {}, first=0)
        assert undisturbed.broken == []
        cases: list[Case] = [read_case(name, []) for name in CASES]
        cases += [mixture(undisturbed.calls, SEED + number) for number in range(2)]
        found = [*reports(reach, cases, undisturbed.rollouts, processes=1, at_once=4)]
    told = {str(report.case.injections): report.broken for report in found if report.broken}
    assert told == {}
    for name in CASES:
        (report,) = (report for report in found if report.case.name == name)
        assert {*map(str, report.met)} == {*name.split("+")}, (
            "a fault that met no call tests nothing"
        )
