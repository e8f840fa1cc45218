"""The command line flags of vLLM as data: what each takes, and which releases know it.

Names from ``vllm/engine/arg_utils.py`` and ``vllm/entrypoints/openai/cli_args.py``. A flag without
bounds is taken by every release: the table is strict about what KV events need and about unknown
names, not a history of every flag.
"""

from argparse import ArgumentTypeError, BooleanOptionalAction
from collections.abc import Callable
from dataclasses import dataclass, field
from json import loads
from typing import Any

from testbed.engine import events_config
from testbed.engine.versions import Build, Version

_OLDEST, _NO_END = Version(0, 0), Version(999, 0)
_MULTIPLIERS = {
    **{letter: 1000**power for power, letter in enumerate("kmgt", 1)},
    **{letter: 1024**power for power, letter in enumerate("KMGT", 1)},
}

_TEXTS = """
allowed-local-media-path all2all-backend attention-backend chat-template
chat-template-content-format code-revision collect-detailed-traces config config-format
convert cuda-graph-sizes data-parallel-address data-parallel-backend device
distributed-executor-backend download-dir dtype generation-config guided-decoding-backend
hf-config-path hf-token host ignore-patterns io-processor-plugin kv-cache-dtype
kv-offloading-backend load-format log-config-file logits-processor-pattern logits-processors
lora-dtype mamba-cache-dtype mm-encoder-tp-mode model-impl optimization-level
otlp-traces-endpoint override-attention-dtype performance-mode preemption-mode
prefix-caching-hash-algo quantization reasoning-parser reasoning-parser-plugin
response-role revision root-path runner scheduler-cls scheduling-policy
show-hidden-metrics-for-version speculative-model ssl-ca-certs ssl-certfile ssl-keyfile task
tokenizer tokenizer-mode tokenizer-revision tool-call-parser tool-parser-plugin tool-server uds
uvicorn-log-level worker-cls worker-extension-cls
"""
_WHOLE_NUMBERS = """
api-process-count api-process-rank api-server-count data-parallel-rank
data-parallel-rpc-port data-parallel-size data-parallel-size-local data-parallel-start-rank
decode-context-parallel-size dcp-kv-cache-interleave-size h11-max-header-count
h11-max-incomplete-event-size long-prefill-token-threshold max-cpu-loras max-log-len
max-logprobs max-long-partial-prefills max-lora-rank max-loras max-num-partial-prefills
max-num-seqs max-parallel-loading-workers max-seq-len-to-capture master-port nnodes node-rank
num-gpu-blocks-override num-lookahead-slots num-scheduler-steps num-speculative-tokens
pipeline-parallel-size port prefill-context-parallel-size rope-theta seed
ssl-cert-reqs stream-interval tensor-parallel-size tokenizer-pool-size
"""
_FRACTIONS = """
cpu-offload-gb gpu-memory-utilization kv-offloading-size mm-processor-cache-gb
scheduler-delay-factor swap-space
"""
_JSON = """
additional-config allowed-headers allowed-methods allowed-origins compilation-config
default-chat-template-kwargs default-mm-loras ec-transfer-config eplb-config hf-overrides
kernel-config kv-transfer-config limit-mm-per-prompt long-lora-scaling-factors
media-io-kwargs mm-processor-kwargs model-loader-extra-config override-generation-config
override-neuron-config override-pooler-config pooler-config profiler-config reasoning-config
rope-scaling speculative-config structured-outputs-config weight-transfer-config
"""
_SWITCHES = """
allow-credentials disable-fastapi-docs disable-frontend-multiprocessing disable-log-requests
disable-log-stats disable-uvicorn-access-log enable-auto-tool-choice enable-force-include-usage
enable-log-outputs enable-prompt-tokens-details enable-request-id-headers
enable-server-load-tracking enable-ssl-refresh enable-tokenizer-info-endpoint
exclude-tools-when-tool-choice-none headless log-error-stack return-tokens-as-token-ids
use-v2-block-manager
"""
_PAIRS = """
async-scheduling calculate-kv-scales data-parallel-external-lb data-parallel-hybrid-lb
disable-async-output-proc disable-cascade-attn disable-chunked-mm-input
disable-custom-all-reduce disable-hybrid-kv-cache-manager disable-mm-preprocessor-cache
disable-nccl-for-dp-synchronization disable-sliding-window enable-chunked-prefill
enable-dbo enable-eplb enable-expert-parallel enable-lora enable-lora-bias
enable-mfu-metrics enable-multimodal-encoder-data-parallel enable-prefix-caching
enable-prompt-adapter enable-prompt-embeds enable-return-routed-experts enable-sleep-mode
enforce-eager fully-sharded-loras interleave-mm-strings kv-cache-metrics
kv-sharing-fast-prefill language-model-only mm-encoder-only multi-step-stream-outputs
ray-workers-use-nsight skip-mm-profiling skip-tokenizer-init trust-remote-code
"""
_LISTS = "api-key lora-modules middleware prompt-adapters served-model-name"
_SHORT = {
    "tensor-parallel-size": "-tp",
    "pipeline-parallel-size": "-pp",
    "data-parallel-size": "-dp",
    "data-parallel-size-local": "-dpl",
    "data-parallel-rank": "-dpn",
    "data-parallel-address": "-dpa",
    "data-parallel-rpc-port": "-dpp",
    "quantization": "-q",
    "compilation-config": "-O",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: its name without dashes, what argparse is told, and the releases that know it."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    since: Version = _OLDEST
    until: Version = _NO_END

    def spellings(self) -> list[str]:
        """The option strings, the short one included."""
        short = _SHORT.get(self.name)
        return [f"--{self.name}", short] if short else [f"--{self.name}"]


def known_flags(build: Build) -> list[Flag]:
    """Every flag that this build's parser takes, ``--model`` included."""
    flags = _COMMON + (_DIALECT_FLAGS if build.takes_flags else [])
    known = [flag for flag in flags if flag.since <= build.version < flag.until]
    return known + ([_events_config_flag(build)] if build.takes_config else [])


def optional(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """A value that may be empty or ``None``; anything ``convert`` refuses is named with it."""

    def read(text: str) -> Any:
        if text in ("", "None"):
            return None
        try:
            return convert(text)
        except ValueError as error:
            raise ArgumentTypeError(f"Value {text} cannot be converted to {convert}.") from error

    return read


def human_int(text: str) -> int:
    """A whole number that may end in k, M, … (decimal when small, binary when capital)."""
    number, unit = text.strip(), 1
    if number[-1:] in _MULTIPLIERS:
        unit, number = _MULTIPLIERS[number[-1]], number[:-1]
    return int(float(number) * unit) if unit > 1 else int(number)


def _length(text: str) -> int:
    return -1 if text in ("auto", "-1") else human_int(text)


def _events_config_flag(build: Build) -> Flag:
    def read(text: str) -> events_config.EventsConfig:
        return events_config.parse(text, build.version)

    return Flag("kv-events-config", {"type": optional(read)})


def _many(names: str, **options: Any) -> list[Flag]:
    return [Flag(name, options) for name in names.split()]


_COMMON = [
    *_many(_TEXTS, type=optional(str)),
    *_many(_WHOLE_NUMBERS, type=optional(int)),
    *_many(_FRACTIONS, type=optional(float)),
    *_many(_JSON, type=optional(loads)),
    *_many(_SWITCHES, action="store_true"),
    *_many(_PAIRS, action=BooleanOptionalAction),
    *_many(_LISTS, nargs="+"),
    Flag("model", {"type": str}),
    Flag("block-size", {"type": int, "choices": (1, 8, 16, 32, 64, 128, 256)}),
    Flag("max-model-len", {"type": _length}),
    Flag("max-num-batched-tokens", {"type": human_int}),
    Flag("kv-cache-memory-bytes", {"type": human_int}),
    Flag("enable-log-requests", {"action": BooleanOptionalAction}, since=Version(0, 10)),
]

_DIALECT_FLAGS = [
    Flag("enable-kv-cache-events", {"action": "store_true"}),
    Flag("kv-events-buffer-steps", {"type": int, "default": 10_000}),
    Flag("kv-events-topic", {"type": str, "default": ""}),
]
