"""GatewayCompatible: one row a fact that keeps events from being used, and which of two is said."""

import itertools
from typing import Any

import pytest

from core.gateways import THEIRS, judged, labelled, running, told, variables, verdict
from core.objects import Json, container, deployment, planned, spec_of
from core.scenes import gateway_of, model, pod_of, rolled_out
from kvsync.core.compatibility import Compatibility
from kvsync.core.consumption.issue import ORDER
from kvsync.core.patch import apply
from kvsync.core.summary import MAX_MESSAGE
from kvsync.model.events import EventLayout
from kvsync.model.observed import ObservedModel

ARRAY, MAP = EventLayout.ARRAY, EventLayout.MAP


def before(gateway: Json | None, *models: ObservedModel, **picture: Any) -> Compatibility:
    """Models before a gateway that somebody else told, unless the spec says otherwise."""
    picture.setdefault("spec", spec_of(**THEIRS))
    return judged(*(models or (running(),)), gateway=gateway, **picture)


def heading(found: Compatibility) -> tuple[str, str]:
    return found.finding[0], str(found.finding[1])


def test_what_is_seen_and_told_in_all_points_is_compatible() -> None:
    one = running()
    found = before(told(), one, verdicts=[verdict(one.pods[0], ARRAY, 16)])
    assert found.finding == (
        "True",
        "Compatible",
        "AIBrix 0.7.0 reaches and decodes what the engines publish.",
    )
    assert found.models == {"model": "Compatible"}


def test_what_is_only_known_by_the_release_is_said_to_be() -> None:
    found = before(told())
    assert heading(found) == ("True", "Compatible")
    assert found.finding[2].endswith("By the release alone, while no event was seen: model.")


# The layout: what was seen, else the release.


@pytest.mark.parametrize(
    ("image", "seen", "expected", "words"),
    [
        ("v0.16.0", None, "Compatible", ""),
        ("v0.16.0", ARRAY, "Compatible", ""),
        ("v0.24.0", ARRAY, "Compatible", ""),
        ("v0.24.0", None, "EventLayout", "by the image's tag, vLLM 0.24.0"),
        ("v0.24.0", MAP, "EventLayout", "as seen on the wire, which AIBrix 0.7.0"),
        ("v0.16.0", MAP, "EventLayout", "as seen on the wire against the image's tag, vLLM 0.16.0"),
        ("latest", MAP, "EventLayout", "as seen on the wire, which"),
        ("latest", ARRAY, "Compatible", ""),
        ("latest", None, "EngineVersionUnknown", "model-0: no event was seen yet"),
    ],
)
def test_what_is_seen_of_a_layout_counts_more_than_a_release(
    image: str, seen: EventLayout | None, expected: str, words: str
) -> None:
    one = running(image=image)
    found = before(told(), one, verdicts=[verdict(one.pods[0], seen)])
    assert str(found.finding[1]) == expected
    assert words in found.finding[2]
    certain = expected != "EngineVersionUnknown"
    assert found.finding[0] == (
        "True" if expected == "Compatible" else str(not certain) if certain else "Unknown"
    )


def test_one_pod_of_another_layout_is_named_alone() -> None:
    one = running(pods=3)
    looks = [verdict(pod, MAP if pod.name == "model-1" else ARRAY) for pod in one.pods]
    assert before(told(), one, verdicts=looks).finding[2].startswith("model-1: events are maps")


# Ports and ranks, of what runs and of what is only planned.


def test_ports_are_those_that_the_engine_uses_not_those_that_are_asked_for() -> None:
    spec = spec_of(**THEIRS, events={"port": 6000, "replayPort": 6001})
    found = before(told(), running(spec=spec), spec=spec)
    assert heading(found) == ("False", "GatewayPorts")
    assert "model-0: publishes on 6000 and replays on 6001." in found.finding[2]
    assert "EventsLabelMissing" not in found.finding[2], "it is not labelled on purpose"
    planned_only = before(told(), model(rolled_out(deployment())), spec=spec)
    assert heading(planned_only) == ("False", "GatewayPorts")
    assert planned_only.finding[2].startswith("model: publishes on 6000")


def test_ranks_are_told_of_the_whole_pod_and_are_no_matter_of_its_ports() -> None:
    words = ["vllm", "serve", "tiny", "--data-parallel-size=2"]
    found = before(told(), running(command=words))
    assert heading(found) == ("False", "DataParallelRanks")
    assert "model-0, model-0 rank 1: one of several data-parallel ranks" in found.finding[2]
    assert "Beside that" not in found.finding[2]
    waiting = before(told(), model(rolled_out(deployment(container(command=words)))))
    assert heading(waiting) == ("False", "DataParallelRanks")


# Labels, on the live pods.


@pytest.mark.parametrize(
    ("labels", "expected", "words"),
    [
        ({"events": None}, "EventsLabelMissing", "kv-events-enabled is absent"),
        ({"events": "True"}, "EventsLabelMissing", "kv-events-enabled is 'True'"),
        ({"name": None}, "ModelNameMissing", "neither label nor annotation model.aibrix.ai/name"),
        ({"name": ""}, "ModelNameMissing", "neither"),
        ({"ray": "worker"}, "PodPassedOver", "a Ray worker"),
        ({"ray": "head"}, "Compatible", ""),
        ({"group": "1"}, "PodPassedOver", "number 1 of its pod group"),
        ({"group": "0"}, "Compatible", ""),
        ({"group": "first"}, "Compatible", ""),
        ({"lora": "7"}, "LoRALabel", "model.aibrix.ai/lora-id is set"),
        ({"lora": "-1"}, "Compatible", ""),
        ({"lora": "adapter"}, "Compatible", ""),
        ({"engine": "other"}, "EngineNotTokenized", "no tokenizer is asked for vLLM"),
        ({"engine": None}, "EngineNotTokenized", ""),
    ],
)
def test_the_labels_of_the_live_pod_decide(
    labels: dict[str, str | None], expected: str, words: str
) -> None:
    one = bystander(running())
    looks = [verdict(one.pods[0], ARRAY, 16)]
    labelled(one, **labels)
    found = before(told(), one, verdicts=looks)
    assert str(found.finding[1]) == expected
    assert words in found.finding[2]


def bystander(one: ObservedModel) -> ObservedModel:
    """The same model, whose template had all the labels of itself: the operator added none."""
    body = one.deployment.body if one.deployment else {}
    bare = {k: v for k, v in body["metadata"].items() if k != "annotations"}
    template = deployment(container(args=body["spec"]["template"]["spec"]["containers"][0]["args"]))
    template["metadata"] = bare
    template["spec"]["template"]["metadata"]["labels"] = dict(
        body["spec"]["template"]["metadata"]["labels"]
    )
    done = rolled_out(template)
    assert planned(done).parts[0].desired.labels == {}
    pod = pod_of(done)
    return model(done, pod, answers={pod.uid: next(iter((one.answers or {}).values()))})


def test_the_models_name_may_be_an_annotation() -> None:
    one = bystander(running())
    labelled(one, name=None)
    metadata: Any = one.pods[0].body["metadata"]
    metadata["annotations"] = {"model.aibrix.ai/name": "model"}
    assert heading(before(told(), one)) == ("True", "Compatible")


def test_a_pod_whose_label_was_taken_off_is_named_while_the_others_are_heard() -> None:
    one = running(pods=2)
    del one.pods[1].body["metadata"]["labels"]["model.aibrix.ai/kv-events-enabled"]
    assert (
        before(told(), one)
        .finding[2]
        .startswith("model-1: label model.aibrix.ai/kv-events-enabled is absent")
    )


def test_a_pod_without_our_arguments_is_no_matter_of_the_gateway() -> None:
    one = running(pods=2)
    one.pods[1].body["spec"]["containers"][0]["args"] = []
    assert heading(before(told(), one)) == ("True", "Compatible")


def test_one_pod_that_is_asked_serves_its_whole_model() -> None:
    one = bystander(running())
    other = pod_of(dict(one.deployment.body if one.deployment else {}), "model-1")
    labelled(one, engine="other")
    both = model(dict(one.deployment.body if one.deployment else {}), *one.pods, other)
    assert heading(before(told(), both)) == ("True", "Compatible")


@pytest.mark.parametrize(
    ("declared", "expected"), [([], "EngineNotTokenized"), ([8000], "Compatible")]
)
def test_sglang_is_tokenized_by_its_port(declared: list[int], expected: str) -> None:
    words = ["python3", "-m", "sglang.launch_server", "--model-path=t", "--port=8000"]
    ports = [{"containerPort": number} for number in declared]
    body = deployment(container(image="lmsysorg/sglang:v0.5.16", command=words, ports=ports))
    spec = spec_of(**THEIRS, engine={"type": "SGLang"})
    assert str(before(told(), model(rolled_out(body)), spec=spec).finding[1]) == expected
    after = rolled_out(apply(body, planned(body, spec).patch))
    assert str(before(told(), model(after, pod_of(after)), spec=spec).finding[1]) == expected


# Block sizes and the tokenizer's port.


@pytest.mark.parametrize(
    ("seen", "said", "variable", "expected"),
    [
        (16, 16, "64", "Compatible"),
        (None, 16, "64", "Compatible"),
        (16, None, "64", "Compatible"),
        (None, None, "64", "Compatible"),
        (16, 16, "128", "BlockSize"),
        (32, 16, "64", "BlockSize"),
        (32, 16, "128", "Compatible"),
        (None, 16, None, "BlockSize"),
        (4, None, None, "Compatible"),
        (4, None, "zero", "Compatible"),
        (4, None, "-64", "Compatible"),
        (16, None, "0064", "Compatible"),
    ],
)
def test_a_block_is_four_bytes_a_token_and_what_is_seen_counts(
    seen: int | None, said: int | None, variable: str | None, expected: str
) -> None:
    one = running(size=said)
    found = before(told(BLOCK_SIZE=variable), one, verdicts=[verdict(one.pods[0], ARRAY, seen)])
    assert str(found.finding[1]) == expected
    if expected == "BlockSize":
        assert f"stores blocks of {seen or said} tokens" in found.finding[2]
        assert f"_BLOCK_SIZE of the gateway to {4 * (seen or said or 0)}." in found.finding[2]


def test_models_of_several_block_sizes_cannot_all_match_and_are_named() -> None:
    found = before(told(BLOCK_SIZE="128"), running("a", size=16), running("b", size=64))
    assert heading(found) == ("False", "BlockSize")
    assert "a-0: stores blocks of 16 tokens (64 bytes)" in found.finding[2]
    assert "b-0: stores blocks of 64 tokens (256 bytes)" in found.finding[2]
    assert "One gateway compares one size only." in found.finding[2]
    one_fits = before(told(BLOCK_SIZE="64"), running("a", size=16), running("b", size=64))
    assert one_fits.models == {"a": "Compatible", "b": "BlockSize"}


def test_context_parallel_workers_share_a_block() -> None:
    words = ["vllm", "serve", "tiny", "--decode-context-parallel-size=2"]
    one = running(command=words, size=16)
    assert heading(before(told(BLOCK_SIZE="128"), one)) == ("True", "Compatible")
    assert heading(before(told(), one)) == ("False", "BlockSize")


@pytest.mark.parametrize(
    ("template", "port", "expected"),
    [
        (None, 8000, "Compatible"),
        (None, 9000, "TokenizerPort"),
        ("http://%s:9000", 9000, "Compatible"),
        ("http://%s:9000/v1", 8000, "TokenizerPort"),
        ("http://tokenizer.default", 9000, "Compatible"),
    ],
)
def test_the_tokenizer_is_asked_where_the_engine_serves(
    template: str | None, port: int, expected: str
) -> None:
    more = variables({"AIBRIX_VLLM_TOKENIZER_ENDPOINT_TEMPLATE": template} if template else {})
    one = running(command=["vllm", "serve", "tiny", f"--port={port}"])
    assert str(before(told("v0.7.0", *more), one).finding[1]) == expected


# The gateway: its release and its variables.


@pytest.mark.parametrize(
    ("image", "expected", "words"),
    [
        ("v0.4.1", ("False", "GatewayTooOld"), "0.4.1 decodes the events of no released engine"),
        ("v0.5.0", ("False", "GatewayTooOld"), "Use AIBrix 0.7.0 or newer."),
        ("v0.6.3", ("False", "GatewayTooOld"), "into an index that its router does not ask"),
        ("v0.7.0", ("True", "Compatible"), ""),
        ("v0.9.0", ("True", "Compatible"), ""),
        ("nightly", ("Unknown", "GatewayVersionUnknown"), "names no release"),
    ],
)
def test_a_release_that_uses_no_events_is_said_to(
    image: str, expected: tuple[str, str], words: str
) -> None:
    found = before(told(image))
    assert heading(found) == expected
    assert words in found.finding[2]


def test_no_release_that_is_known_decodes_maps() -> None:
    one = running()
    found = before(told("nightly"), one, verdicts=[verdict(one.pods[0], MAP)])
    assert heading(found) == ("Unknown", "EventLayout")
    assert "which AIBrix up to 0.7.0 does not decode" in found.finding[2]
    assert found.finding[2].endswith("Beside that: GatewayVersionUnknown.")


def test_what_cannot_be_found_cannot_be_judged() -> None:
    assert heading(before(None)) == ("Unknown", "GatewayNotFound")


def test_a_gateway_that_the_object_may_not_have_changed_is_not_judged() -> None:
    found = before(None, permitted=False)
    assert heading(found) == ("Unknown", "GatewayNotPermitted")
    assert "not found" not in found.finding[2]
    spec = spec_of(gateway={"manage": False, "container": "other"})
    found = before(told(), spec=spec)
    assert heading(found) == ("Unknown", "GatewayContainerNotFound")
    assert heading(judged(gateway=told())) == ("Unknown", "WaitingForModels")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"KV_EVENT_SYNC_ENABLED": None}, "_KV_EVENT_SYNC_ENABLED is not set and must be true"),
        ({"KV_EVENT_SYNC_ENABLED": "yes"}, "_KV_EVENT_SYNC_ENABLED is 'yes' and must be true"),
        ({"USE_REMOTE_TOKENIZER": "false"}, "_USE_REMOTE_TOKENIZER is 'false'"),
        ({"TOKENIZER_TYPE": "Remote"}, "_TOKENIZER_TYPE is 'Remote' and must be remote"),
        ({"TOKENIZER_TYPE": "x" * 900}, f"is '{'x' * 40}' and"),
        ({"REMOTE_TOKENIZER_ENDPOINT": ""}, "_ENDPOINT is not set and must be a URL"),
    ],
)
def test_a_gateway_of_others_that_is_not_told_everything_is_told_what_is_missing(
    changed: dict[str, str | None], words: str
) -> None:
    found = before(told(**changed))  # type: ignore[arg-type]
    assert heading(found) == ("False", "GatewayNotConsuming")
    assert words in found.finding[2]
    assert (
        "container gateway-plugin of Deployment aibrix-system/aibrix-gateway-plugins"
        in (found.finding[2])
    )
    assert found.models == {"model": "GatewayNotConsuming"}


@pytest.mark.parametrize("value", ["1", "t", "TRUE", "True"])
def test_go_takes_more_words_for_true(value: str) -> None:
    found = before(told(KV_EVENT_SYNC_ENABLED=value, USE_REMOTE_TOKENIZER=value))
    assert heading(found) == ("True", "Compatible")


REFERENCE = {"valueFrom": {"configMapKeyRef": {"name": "settings", "key": "k"}}}
SIZE = "AIBRIX_PREFIX_CACHE_BLOCK_SIZE"


@pytest.mark.parametrize("item", [REFERENCE, {"value": "$(KV_SERVICE_PORT)"}])
def test_a_value_that_stands_elsewhere_is_not_guessed(item: Json) -> None:
    gateway = told("v0.7.0", {"name": SIZE, **item}, BLOCK_SIZE=None)
    found = before(gateway)
    assert heading(found) == ("Unknown", "GatewayVariableReferenced")
    assert f"takes {SIZE} from" in found.finding[2]
    differing = before(gateway, running("a", size=16), running("b", size=32))
    assert heading(differing) == ("False", "BlockSize"), "whatever it is, it cannot be both"


def test_what_is_absent_may_come_from_a_whole_config_map() -> None:
    gateway = told(KV_EVENT_SYNC_ENABLED=None)
    plugin = gateway["spec"]["template"]["spec"]["containers"][0]
    plugin["envFrom"] = [{"configMapRef": {"name": "settings"}}]
    found = before(gateway)
    assert heading(found) == ("Unknown", "GatewayVariableReferenced")
    assert "takes AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED from" in found.finding[2]


# What the operator is about to write counts, where it will write it.


OURS = spec_of()


@pytest.mark.parametrize(
    ("gateway", "spec", "permitted", "expected"),
    [
        (gateway_of(), OURS, True, "Compatible"),
        (told(BLOCK_SIZE="128"), OURS, True, "Compatible"),
        (gateway_of(), OURS, False, "GatewayNotConsuming"),
        (gateway_of(), spec_of(gateway={"environment": "V0_4"}), True, "GatewayNotConsuming"),
        (told(BLOCK_SIZE="128"), spec_of(gateway={"environment": "V0_4"}), True, "BlockSize"),
        (gateway_of(), spec_of(**THEIRS), True, "GatewayNotConsuming"),
        (told("v0.7.0", {"name": SIZE, **REFERENCE}), OURS, True, "GatewayVariableReferenced"),
    ],
)
def test_what_will_be_written_counts_as_written(
    gateway: Json, spec: Any, permitted: bool, expected: str
) -> None:
    assert str(before(gateway, spec=spec, permitted=permitted).finding[1]) == expected


def test_what_others_need_is_not_written_over() -> None:
    gateway = told(BLOCK_SIZE="128")
    gateway["metadata"]["annotations"] = {"kvsync.aibrix.ai/owners": "team/other"}
    assert heading(before(gateway, spec=OURS)) == ("False", "BlockSize")
    gateway["metadata"]["annotations"] = {"kvsync.aibrix.ai/owners": "default/sync"}
    assert heading(before(gateway, spec=OURS)) == ("True", "Compatible")


def test_the_wire_is_believed_against_what_the_engine_said_of_its_block_size() -> None:
    one = running(size=16)
    looks = [verdict(one.pods[0], ARRAY, 32)]
    found = before(gateway_of(), one, spec=OURS, verdicts=looks)
    assert heading(found) == ("False", "BlockSize")
    assert "blocks of 32 tokens (128 bytes); the gateway compares 64 bytes" in found.finding[2]


# Several at once.


def test_the_gravest_is_said_and_the_others_are_named() -> None:
    one = bystander(running())
    labelled(one, events="no", name=None, lora="3")
    looks = [verdict(one.pods[0], MAP, 32)]
    found = before(told(), one, verdicts=looks)
    assert heading(found) == ("False", "EventLayout")
    assert found.finding[2].endswith(
        "Beside that: EventsLabelMissing, ModelNameMissing, LoRALabel, BlockSize."
    )


def test_what_is_certain_comes_before_what_is_unknown() -> None:
    one = bystander(running())
    labelled(one, lora="3")
    assert heading(before(None, one)) == ("False", "LoRALabel")
    assert heading(before(told("nightly"), one)) == ("False", "LoRALabel")


def test_the_order_of_gravity() -> None:
    assert [str(reason) for reason in ORDER] == [
        *("GatewayTooOld", "GatewayNotConsuming", "EventLayout", "DataParallelRanks"),
        *("GatewayPorts", "PodPassedOver", "EventsLabelMissing", "ModelNameMissing"),
        *("LoRALabel", "EngineNotTokenized", "TokenizerPort", "BlockSize"),
        *("GatewayNotPermitted", "GatewayNotFound", "GatewayContainerNotFound"),
        "GatewayVersionUnknown",
        *("GatewayVariableReferenced", "EngineVersionUnknown"),
    ]


def test_a_thousand_sources_of_as_many_kinds_are_told_briefly() -> None:
    one = running(pods=1_000, size=None)
    looks = [verdict(pod, ARRAY, 2**60 + number) for number, pod in enumerate(one.pods)]
    found = before(told(), one, verdicts=looks)
    assert heading(found) == ("False", "BlockSize")
    assert "; 997 more of other kinds. " in found.finding[2]
    assert len(found.finding[2]) < MAX_MESSAGE
    same = before(told(), one, verdicts=[verdict(pod, MAP) for pod in one.pods])
    assert same.finding[2].startswith("model-0, model-1, model-10 and 997 more: events are maps")


def test_each_model_has_a_word_of_its_own() -> None:
    late, fine = running("late", image="v0.24.0"), running("fine")
    found = before(told(), late, fine)
    assert found.models == {"late": "EventLayout", "fine": "Compatible"}
    unknown = model(None, name="gone")
    assert "gone" not in before(told(), unknown, fine).models


def test_the_order_of_models_does_not_matter() -> None:
    three = [running("a", image="v0.24.0"), running("b", size=32), running("c", pods=2)]
    ways = [before(told(), *way) for way in itertools.permutations(three)]
    assert all(way == ways[0] for way in ways)
