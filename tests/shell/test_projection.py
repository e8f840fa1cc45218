"""What the watches keep of a pod is enough for what is decided by it."""

from core.objects import deployment
from core.scenes import configured, pod_of
from kvsync.core.moment import timestamp
from kvsync.model.workload import Pod
from kvsync.shell.projection import project_pod


def test_a_pods_age_and_template_are_kept() -> None:
    whole = pod_of(configured(deployment()))
    whole.body["metadata"]["creationTimestamp"] = timestamp(0)
    whole.body["metadata"]["labels"]["pod-template-hash"] = "7f8b"
    kept = Pod(project_pod(whole.body))
    assert (kept.created, kept.revision) == ("1970-01-01T00:00:00Z", "7f8b")
    assert (kept.running, kept.ready, kept.labels) == (True, True, whole.labels)


def test_what_a_gateway_reads_of_a_pod_is_kept_and_no_more_of_it() -> None:
    whole = pod_of(configured(deployment()))
    marks = {"model.aibrix.ai/name": "m" * 9_000, "model.aibrix.ai/engine": "vllm", "note": "x"}
    whole.body["metadata"]["annotations"] = marks
    container = whole.body["spec"]["containers"][0]
    container["env"] = [{"name": "INFERENCE_ENGINE", "value": "vllm"}, {"name": "A", "value": "b"}]
    kept = Pod(project_pod(whole.body))
    assert kept.annotations == {
        "model.aibrix.ai/name": "m" * 2_048,
        "model.aibrix.ai/engine": "vllm",
    }
    (found,) = kept.containers
    assert found.body["env"] == [{"name": "INFERENCE_ENGINE", "value": "vllm"}]
    assert found.ports == [{"containerPort": 5557}, {"containerPort": 5558}]
