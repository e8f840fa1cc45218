"""What an operator takes for granted of the admission policy, by its settings."""

import pytest

from kvsync.shell.settings import Settings


@pytest.mark.parametrize(
    ("settings", "policy", "left_out"),
    [
        (Settings(), False, {"kube-system"}),
        (Settings(admission_policy=True, operator_namespace="ops"), True, {"kube-system", "ops"}),
        (
            Settings(namespaces=("ops", "a"), admission_policy=True, operator_namespace="ops"),
            True,
            set(),
        ),
    ],
    ids=["none", "the chart's", "listed namespaces"],
)
def test_the_policy_leaves_out_what_the_chart_has_it_leave_out(
    settings: Settings, policy: bool, left_out: set[str]
) -> None:
    means = settings.admission
    assert means.policy is policy
    assert set(means.left_out) == left_out
    assert means.served is None, "that is asked of the API server"
