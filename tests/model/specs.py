"""Specs that are taken and specs that are refused, by the API server and by the typed reader alike."""

from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]

NAMED: Spec = {"models": {"names": ["m"]}}


@dataclass(frozen=True)
class Refused:
    """A bad spec: the field that both must name, and words of the remedy.

    ``server``: the API server's own words, where the refusal is not one of our rules.
    """

    title: str
    spec: Spec
    field: str
    says: str
    server: str = ""


def _with(**fields: Any) -> Spec:
    return {**NAMED, **fields}


def _labels(**labels: Any) -> Spec:
    return {"models": {"selector": {"matchLabels": labels}}}


def _expression(**expression: Any) -> Spec:
    return {"models": {"selector": {"matchExpressions": [expression]}}}


def _tokenizer(**fields: Any) -> Spec:
    return _with(gateway={"remoteTokenizer": fields})


ACCEPTED: list[Spec] = [
    NAMED,
    {"models": {"names": ["a", "b.c-d", "x" * 253]}},
    _labels(**{"model.aibrix.ai/name": "my-model", "app": ""}),
    _expression(key="app", operator="In", values=["a", ""]),
    _expression(key="example.com/app", operator="NotIn", values=["a"]),
    _expression(key="app", operator="Exists"),
    _expression(key="app", operator="DoesNotExist", values=[]),
    {"models": {"names": ["m"], "selector": {"matchLabels": {"app": "vllm"}}}},
    _with(engine={"type": "VLLM", "container": "vllm-openai", "dialect": "Flags"}),
    *(
        _with(engine={"version": version})
        for version in ("", "0.11.0", "v0.10.2-cu128", "0.9.0.1", "v0.11.0rc1", "0.16.0+cpu")
    ),
    _with(events={"port": 5557, "replayPort": 5657, "bufferSteps": 1, "hwm": 0}),
    _with(events={"topic": "kv@10.0.0.1@my/model", "relay": {"mode": "Off"}}),
    _with(events={"relay": {"mode": "Auto", "image": "registry.example:5000/kvsync@sha256:ab"}}),
    _with(events={"relay": {"mode": "Always", "resources": {"limits": {"memory": "1Gi"}}}}),
    _with(events={"relay": {"resources": {"requests": {"cpu": "0.5"}, "limits": {"cpu": "500m"}}}}),
    _with(gateway={"manage": False, "environment": "V0_4"}),
    _with(gateway={"alsoConfigure": []}),
    _with(gateway={"alsoConfigure": [f"watcher-{number}" for number in range(8)]}),
    *(
        _tokenizer(endpoint=url)
        for url in (
            "",
            "http://vllm-service.default:8000",
            "https://x/tokenize?a=b%20c",
            "http://[::1]:80",
        )
    ),
    _with(rollout={"maxConcurrent": 100, "progressDeadline": "24h", "onFailure": "Pause"}),
    _with(rollout={"progressDeadline": "1h30m"}, probe={"interval": "1s"}),
    _with(mode="Patch", paused=True, deletionPolicy="Retain"),
    _with(mode="Render", deletionPolicy="Retain"),
    _with(mode="Admission", deletionPolicy="Revert"),
    _with(mode="Admission"),
    _with(events=None, probe=None),
]

REFUSED: list[Refused] = [
    Refused("no models", {}, "spec.models", "set names or selector", "Required value"),
    Refused("nothing selected", {"models": {}}, "spec.models", "set names or selector"),
    Refused("no names", {"models": {"names": []}}, "spec.models", "set names or selector"),
    Refused(
        "empty selector",
        {"models": {"selector": {}}},
        "spec.models.selector",
        "set matchLabels or matchExpressions",
    ),
    Refused("empty matchLabels", _labels(), "spec.models.selector", "set matchLabels or"),
    Refused(
        "empty selector beside names",
        {"models": {"names": ["m"], "selector": {"matchExpressions": []}}},
        "spec.models.selector",
        "set matchLabels or",
    ),
    Refused(
        "bad label key",
        _labels(**{"a b": "x"}),
        "spec.models.selector.matchLabels",
        "must be a label key such as",
    ),
    Refused(
        "bad label value",
        _labels(app="a b"),
        "spec.models.selector.matchLabels",
        "must be a label value",
    ),
    Refused(
        "In without values",
        _expression(key="app", operator="In"),
        "spec.models.selector.matchExpressions[0].values",
        "needs at least one value",
        "need at least one value",
    ),
    Refused(
        "Exists with values",
        _expression(key="app", operator="Exists", values=["a"]),
        "spec.models.selector.matchExpressions[0].values",
        "must be left out with Exists",
    ),
    Refused(
        "operator of another language",
        _expression(key="app", operator="Matches", values=["a"]),
        "spec.models.selector.matchExpressions[0].operator",
        "choose In or NotIn",
        "supported values",
    ),
    Refused(
        "expression without key",
        _expression(operator="Exists"),
        "spec.models.selector.matchExpressions[0].key",
        "must be a text",
        "Required value",
    ),
    Refused(
        "name twice",
        {"models": {"names": ["m", "m"]}},
        "spec.models.names",
        "list each once",
        "Duplicate value",
    ),
    Refused(
        "no Deployment's name",
        {"models": {"names": ["My_Model"]}},
        "spec.models.names[0]",
        "must be a name of an object",
    ),
    Refused(
        "too many names",
        {"models": {"names": [f"m{number}" for number in range(101)]}},
        "spec.models.names",
        "at most 100",
        "at most 100",
    ),
    Refused(
        "engine to come",
        _with(engine={"type": "TensorRT"}),
        "spec.engine.type",
        "choose VLLM or SGLang",
        '"VLLM"',
    ),
    Refused(
        "label policy misspelt",
        _with(engine={"labels": "whenVerified"}),
        "spec.engine.labels",
        "choose Template or WhenVerified",
        '"WhenVerified"',
    ),
    Refused(
        "dialect misspelt",
        _with(engine={"dialect": "json"}),
        "spec.engine.dialect",
        "choose Auto or ConfigJSON or Flags",
        '"ConfigJSON"',
    ),
    Refused(
        "version that is none",
        _with(engine={"version": "latest"}),
        "spec.engine.version",
        "must be a release such as 0.11.0",
    ),
    Refused(
        "container that is none",
        _with(engine={"container": "my container"}),
        "spec.engine.container",
        "must be a name of at most 63",
    ),
    Refused(
        "ports equal",
        _with(events={"port": 6000, "replayPort": 6000}),
        "spec.events.replayPort",
        "choose two different ports",
    ),
    Refused(
        "port equal to the replay port's default",
        _with(events={"port": 5558}),
        "spec.events.replayPort",
        "choose two different ports",
    ),
    Refused(
        "port 0",
        _with(events={"port": 0}),
        "spec.events.port",
        "choose 1 to 65535",
        "greater than or equal to 1",
    ),
    Refused(
        "port too large",
        _with(events={"replayPort": 65536}),
        "spec.events.replayPort",
        "choose 1 to 65535",
        "less than or equal to 65535",
    ),
    Refused(
        "port as text",
        _with(events={"port": "5557"}),
        "spec.events.port",
        "must be a whole number",
        "must be of type integer",
    ),
    Refused(
        "nothing to replay",
        _with(events={"bufferSteps": 0}),
        "spec.events.bufferSteps",
        "choose 1 to",
        "greater than or equal to 1",
    ),
    Refused(
        "memory without end",
        _with(events={"maxQueueSize": 0}),
        "spec.events.maxQueueSize",
        "choose 1 to",
        "greater than or equal to 1",
    ),
    Refused(
        "negative high-water mark",
        _with(events={"hwm": -1}),
        "spec.events.hwm",
        "choose 0 to",
        "greater than or equal to 0",
    ),
    Refused(
        "topic that the kubelet would expand",
        _with(events={"topic": "kv@$(POD_IP)"}),
        "spec.events.topic",
        "letters, digits or any of",
    ),
    Refused(
        "bare Off",
        _with(events={"relay": {"mode": False}}),
        "spec.events.relay.mode",
        "choose Off",
        '"Off"',
    ),
    Refused(
        "unknown relay mode",
        _with(events={"relay": {"mode": "On"}}),
        "spec.events.relay.mode",
        "choose Off or Auto or Always",
        '"Off"',
    ),
    Refused(
        "image with a variable",
        _with(events={"relay": {"image": "$(IMAGE)"}}),
        "spec.events.relay.image",
        "must be an image such as",
    ),
    Refused(
        "memory that the relay cannot live on",
        _with(events={"relay": {"resources": {"limits": {"memory": "16Mi"}}}}),
        "spec.events.relay.resources.limits.memory",
        "must be at least 32Mi",
    ),
    Refused(
        "CPUs without a unit that is known",
        _with(events={"relay": {"resources": {"requests": {"cpu": "50u"}}}}),
        "spec.events.relay.resources.requests.cpu",
        "must be CPUs in quotes",
    ),
    Refused(
        "URL with a space",
        _tokenizer(endpoint="http://a b:8000"),
        "spec.gateway.remoteTokenizer.endpoint",
        "must be a URL such as",
    ),
    Refused(
        "URL without scheme",
        _tokenizer(endpoint="vllm-service.default:8000"),
        "spec.gateway.remoteTokenizer.endpoint",
        "must be a URL such as",
    ),
    Refused(
        "URL of another scheme",
        _tokenizer(endpoint="file:///etc/passwd"),
        "spec.gateway.remoteTokenizer.endpoint",
        "must be a URL such as",
    ),
    Refused(
        "URL with a password",
        _tokenizer(endpoint="http://user:secret@host:8000"),
        "spec.gateway.remoteTokenizer.endpoint",
        "must be a URL such as",
    ),
    Refused(
        "tokenizer engine of several words",
        _tokenizer(engine="vllm sglang"),
        "spec.gateway.remoteTokenizer.engine",
        "such as vllm",
    ),
    Refused(
        "gateway namespace with a slash",
        _with(gateway={"namespace": "a/b"}),
        "spec.gateway.namespace",
        "must be a name of at most 63",
    ),
    Refused(
        "gateway without name",
        _with(gateway={"deployment": ""}),
        "spec.gateway.deployment",
        "must be a name of an object",
    ),
    Refused(
        "variable names of no release",
        _with(gateway={"environment": "V0_6"}),
        "spec.gateway.environment",
        "choose Auto or V0_4 or V0_5",
        '"V0_5"',
    ),
    Refused(
        "manage as text",
        _with(gateway={"manage": "yes"}),
        "spec.gateway.manage",
        "must be true or false",
        "must be of type boolean",
    ),
    Refused(
        "no model at once",
        _with(rollout={"maxConcurrent": 0}),
        "spec.rollout.maxConcurrent",
        "choose 1 to 100",
        "greater than or equal to 1",
    ),
    Refused(
        "deadline without unit",
        _with(rollout={"progressDeadline": "30"}),
        "spec.rollout.progressDeadline",
        "duration",
    ),
    Refused(
        "deadline too short",
        _with(rollout={"progressDeadline": "9s"}),
        "spec.rollout.progressDeadline",
        "10s to 24h",
    ),
    Refused(
        "interval as number",
        _with(probe={"interval": 10}),
        "spec.probe.interval",
        "must be a text such as 30s",
        "must be of type string",
    ),
    Refused(
        "interval too long",
        _with(probe={"interval": "6m"}),
        "spec.probe.interval",
        "1s to 5m",
    ),
    Refused(
        "canary as text",
        _with(probe={"canary": "yes"}),
        "spec.probe.canary",
        "must be true or false",
        "must be of type boolean",
    ),
    Refused(
        "mode of another language",
        _with(mode="Webhook"),
        "spec.mode",
        "choose Patch or Admission or Render",
        '"Admission"',
    ),
    Refused(
        "what is injected retained without its object",
        _with(mode="Admission", deletionPolicy="Retain"),
        "spec.deletionPolicy",
        "choose Revert, or mode Patch",
    ),
    Refused(
        "policy of another language",
        _with(deletionPolicy="Delete"),
        "spec.deletionPolicy",
        "choose Revert or Retain",
        '"Retain"',
    ),
    Refused("unknown field", _with(replicas=2), "spec.replicas", "is not known", "unknown field"),
    Refused(
        "unknown field below",
        _with(events={"bufferStep": 5}),
        "spec.events.bufferStep",
        "is not known",
        "unknown field",
    ),
    Refused(
        "gateway that is the controller manager",
        _with(gateway={"deployment": "aibrix-controller-manager"}),
        "spec.gateway.deployment",
        "control plane",
    ),
    Refused(
        "controller manager beside the gateway",
        _with(gateway={"alsoConfigure": ["kvcache-watcher", "aibrix-controller-manager"]}),
        "spec.gateway.alsoConfigure[1]",
        "control plane",
    ),
    Refused(
        "metadata service beside the gateway",
        _with(gateway={"alsoConfigure": ["release-metadata-service"]}),
        "spec.gateway.alsoConfigure[0]",
        "control plane",
    ),
    Refused(
        "no name beside the gateway",
        _with(gateway={"alsoConfigure": ["Watcher"]}),
        "spec.gateway.alsoConfigure[0]",
        "must be a name of an object",
    ),
    Refused(
        "the gateway beside itself",
        _with(gateway={"deployment": "gw", "alsoConfigure": ["gw"]}),
        "spec.gateway.alsoConfigure",
        "choose further Deployments",
    ),
    Refused(
        "one Deployment twice beside the gateway",
        _with(gateway={"alsoConfigure": ["a", "a"]}),
        "spec.gateway.alsoConfigure",
        "twice",
        "Duplicate value",
    ),
    Refused(
        "too many beside the gateway",
        _with(gateway={"alsoConfigure": [f"d{number}" for number in range(9)]}),
        "spec.gateway.alsoConfigure",
        "at most 8",
        "must have at most 8 items",
    ),
]
