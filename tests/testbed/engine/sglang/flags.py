"""The command line flags of SGLang as data: what each takes, and which releases know it.

Names from ``python/sglang/srt/server_args.py`` of 0.5.5, with the later ones that concern KV events.
A flag without a release is taken by all: the table is strict about what KV events need and about
unknown names, not a history of every flag. Names that mean the same stand together, with ``|``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from testbed.engine.sglang.releases import FIRST_EVENTS, Release

_OLDEST = Release(0, 0, 0)

_TEXTS = """
api-key attention-backend chat-template completion-template constrained-json-whitespace-pattern
crash-dump-folder debug-tensor-dump-inject debug-tensor-dump-input-file
debug-tensor-dump-output-folder decode-attention-backend decrypted-config-file
decrypted-draft-config-file deepep-config deepep-mode device disaggregation-ib-device
disaggregation-mode disaggregation-transfer-backend dist-init-addr|nccl-init-addr download-dir
ds-channel-config-path ds-heavy-channel-type dtype elastic-ep-backend ep-dispatch-algorithm
eplb-algorithm expert-distribution-recorder-mode file-storage-path flashinfer-mxfp4-moe-precision
grammar-backend hicache-io-backend hicache-mem-layout hicache-storage-backend
hicache-storage-backend-extra-config hicache-storage-prefetch-policy hicache-write-policy
init-expert-location json-model-override-args kt-amx-method kt-amx-weight-path kv-cache-dtype
load-balance-method load-format log-level log-level-http lora-backend lora-eviction-policy
mamba-ssm-dtype mm-attention-backend model-impl model-loader-extra-config
modelopt-checkpoint-restore-path modelopt-checkpoint-save-path modelopt-export-path modelopt-quant
moe-a2a-backend moe-runner-backend mooncake-ib-device nsa-decode-backend nsa-prefill-backend
offload-mode otlp-traces-endpoint pdmux-config-path piecewise-cuda-graph-compiler
preferred-sampling-params prefill-attention-backend quantization quantization-param-path
radix-eviction-policy reasoning-parser remote-instance-weight-loader-seed-instance-ip revision
rl-on-policy-target sampling-backend sampling-defaults schedule-policy served-model-name
speculative-algorithm speculative-attention-mode speculative-draft-load-format
speculative-draft-model-path|speculative-draft-model speculative-draft-model-revision
speculative-moe-runner-backend speculative-ngram-match-type speculative-token-map
tokenizer-metrics-custom-labels-header tokenizer-mode tokenizer-path tool-call-parser tool-server
torchao-config warmups weight-version
"""
_WHOLE_NUMBERS = """
base-gpu-id chunked-prefill-size context-length cpu-offload-gb cuda-graph-max-bs
decode-log-interval disaggregation-bootstrap-port disaggregation-decode-dp
disaggregation-decode-polling-interval disaggregation-decode-tp disaggregation-prefill-pp
dist-timeout ds-heavy-channel-num ds-heavy-token-num ds-sparse-decode-threshold
dynamic-batch-tokenizer-batch-size ep-num-redundant-experts eplb-rebalance-layers-per-chunk
eplb-rebalance-num-iterations expert-distribution-recorder-buffer-size
expert-parallel-size|ep-size|ep gpu-id-step hicache-size kt-cpuinfer
kt-max-deferred-experts-per-token kt-num-gpu-experts kt-threadpool-count log-requests-level
max-loaded-loras max-lora-chunk-size max-lora-rank max-loras-per-batch max-mamba-cache-size
max-prefill-tokens max-queued-requests max-running-requests max-total-tokens
mm-max-concurrent-calls mm-per-request-timeout moe-dense-tp-size multi-item-scoring-delimiter
nccl-port nnodes node-rank num-continuous-decode-steps num-reserved-decode-tokens
offload-group-size offload-num-in-group offload-prefetch-step page-size
piecewise-cuda-graph-max-tokens pp-max-micro-batch-size priority-scheduling-preemption-threshold
random-seed remote-instance-weight-loader-seed-instance-service-port scheduler-recv-interval
sm-group-num speculative-eagle-topk speculative-ngram-branch-length speculative-ngram-capacity
speculative-ngram-max-bfs-breadth speculative-ngram-max-match-window-size
speculative-ngram-min-bfs-breadth speculative-ngram-min-match-window-size
speculative-num-draft-tokens speculative-num-steps stream-interval tokenizer-worker-num
torch-compile-max-bs triton-attention-num-kv-splits triton-attention-split-tile-size
"""
_FRACTIONS = """
dynamic-batch-tokenizer-batch-timeout eplb-min-rebalancing-utilization-threshold
gc-warning-threshold-secs hicache-ratio load-watch-interval mamba-full-memory-ratio
mem-fraction-static schedule-conservativeness speculative-accept-threshold-acc
speculative-accept-threshold-single swa-full-tokens-ratio tbo-token-distribution-threshold
watchdog-timeout
"""
_SWITCHES = """
abort-on-priority-when-disabled allow-auto-truncate
checkpoint-engine-wait-weights-before-ready collect-tokens-histogram
constrained-json-disable-any-whitespace delete-ckpt-after-loading disable-chunked-prefix-cache
disable-cuda-graph disable-cuda-graph-padding disable-custom-all-reduce
disable-fast-image-processor disable-flashinfer-cutlass-moe-fp4-allgather
disable-hybrid-swa-memory disable-outlines-disk-cache disable-overlap-schedule
disable-radix-cache disable-shared-experts-fusion disable-tokenizer-batch-decode
disaggregation-decode-enable-offload-kvcache enable-cache-report enable-cudagraph-gc
enable-custom-logit-processor enable-deterministic-inference enable-double-sparsity
enable-dp-attention enable-dp-lm-head enable-dynamic-batch-tokenizer enable-eplb
enable-expert-distribution-metrics enable-flashinfer-allreduce-fusion enable-fp32-lm-head
enable-hierarchical-cache enable-lmcache enable-lora enable-memory-saver enable-metrics
enable-metrics-for-all-schedulers enable-mixed-chunk enable-mscclpp enable-multimodal
enable-nan-detection enable-nccl-nvls enable-p2p-check enable-pdmux enable-piecewise-cuda-graph
enable-priority-scheduling enable-profile-cuda-graph enable-request-time-stats-logging
enable-return-hidden-states enable-single-batch-overlap enable-symm-mem
enable-tokenizer-batch-encode enable-torch-compile enable-torch-symm-mem enable-trace
enable-two-batch-overlap enable-weights-cpu-backup flashinfer-mla-disable-ragged grpc-mode
is-embedding keep-mm-feature-on-device log-requests prefill-round-robin-balance
quantize-and-serve schedule-low-priority-values-first show-time-cost skip-server-warmup
skip-tokenizer-init sleep-on-idle stream-output triton-attention-reduce-in-fp32
trust-remote-code weight-loader-disable-mmap
"""
_LISTS = """
bucket-e2e-request-latency bucket-inter-token-latency bucket-time-to-first-token cuda-graph-bs
custom-weight-loader debug-tensor-dump-layers generation-tokens-buckets lora-paths
lora-target-modules numa-node prompt-tokens-buckets tokenizer-metrics-allowed-custom-labels
"""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: its spellings without dashes, what argparse is told, the first release with it."""

    names: str
    options: dict[str, Any] = field(default_factory=dict)
    since: Release = _OLDEST

    def spellings(self) -> list[str]:
        """The option strings."""
        return [f"--{name}" for name in self.names.split("|")]


def known_flags(release: Release) -> Iterator[Flag]:
    """Every flag that this release's parser takes."""
    return (flag for flag in _FLAGS if flag.since <= release)


def _many(names: str, **options: Any) -> list[Flag]:
    return [Flag(name, options) for name in names.split()]


_FLAGS = [
    *_many(_TEXTS, type=str),
    *_many(_WHOLE_NUMBERS, type=int),
    *_many(_FRACTIONS, type=float),
    *_many(_SWITCHES, action="store_true"),
    *_many(_LISTS, nargs="*"),
    # --model is a spelling of its own since 0.4.9, and an ambiguous abbreviation before
    Flag("model-path|model", {"type": str, "required": True}),
    Flag("host", {"type": str, "default": "127.0.0.1"}),
    Flag("port", {"type": int, "default": 30000}),
    Flag("tensor-parallel-size|tp-size", {"type": int, "default": 1, "dest": "tp_size"}),
    Flag("pipeline-parallel-size|pp-size", {"type": int, "default": 1, "dest": "pp_size"}),
    Flag("data-parallel-size|dp-size", {"type": int, "default": 1, "dest": "dp_size"}),
    Flag("kv-events-config", {"type": str}, since=FIRST_EVENTS),
    Flag("config", {"type": str}, since=Release(0, 5, 3)),
    Flag("load-publish-endpoint", {"type": str}, since=Release(0, 5, 19)),
    Flag(
        "attention-data-parallel-size|attn-dp-size",
        {"type": int, "default": 1, "dest": "attn_dp_size"},
        since=Release(0, 5, 22),
    ),
]
