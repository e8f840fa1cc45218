"""The kinds of engines: how each is recognised and what it is told by, as data.

Sources: vLLM ``vllm/entrypoints/cli/serve.py``, ``vllm/entrypoints/openai/api_server.py``; SGLang
``sglang/launch_server.py``, ``sglang/srt/server_args.py``, ``docker/Dockerfile``; AIBrix
``pkg/constants`` (the engine label).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from kvsync.core.arguments import int_of, program_of, switch_of, value_of
from kvsync.model.image import Image
from kvsync.model.spec import EngineType


@dataclass(frozen=True, slots=True)
class Engine:
    """One kind of engine."""

    name: str
    """Its name in sentences."""
    label: str
    """The value of ``model.aibrix.ai/engine`` on its pods."""
    image_word: str
    """What the last part of its images' repositories contains."""
    upstream_images: frozenset[str]
    """The last parts of the repositories of upstream's own builds, also through a mirror."""
    image_starts_it: bool
    """Whether such an image starts the server by itself, so that its args are the server's."""
    commands: tuple[tuple[str, str], ...]
    """Two words one after the other that start its server."""
    modules: tuple[str, ...]
    """Python modules that are its server."""
    http_port: int
    """Where it serves unless ``--port`` says otherwise."""
    caching_off: tuple[str, bool]
    """The switch for its prefix cache, and the value that turns the cache off."""
    caching_off_word: str
    """The same as an argument, for a remedy."""
    data_parallel: tuple[str, ...]
    """The spellings of how many data-parallel ranks it runs."""
    context_parallel: tuple[tuple[str, ...], ...] = ()
    """The spellings of each option that lets several workers share one block of the cache."""
    spreads_ranks: tuple[str, ...] = ()
    """Options by which the ranks of one engine are spread over several pods."""
    own_numbers: frozenset[str] = frozenset()
    """Ends of repositories whose tags count releases of their own, not the engine's."""
    more_event_keys: frozenset[str] = frozenset()
    """Keys of its event configuration beside vLLM's eight."""

    def is_started_by(self, words: tuple[str, ...]) -> bool:
        """Whether a command line starts its server, behind whatever wrapper."""
        if any(module in words for module in self.modules):
            return True
        names = [program_of(word) for word in words]
        return any(pair in self.commands for pair in pairwise(names))

    def options_end(self, words: tuple[str, ...]) -> int:
        """Where a further option goes: the end, or a ``--`` of the server's own that ends its options."""
        names = [program_of(word) for word in words]
        starts = [i for i, word in enumerate(words) if word in self.modules]
        starts += [i for i, pair in enumerate(pairwise(names)) if pair in self.commands]
        first = min(starts, default=0)
        return words.index("--", first) if "--" in words[first:] else len(words)

    def is_image(self, image: Image) -> bool:
        """Whether an image by its name runs the engine, and is no router or the like for it."""
        return self.image_word in image.basename and not _BESIDE.search(image.basename)

    def is_upstream(self, image: Image) -> bool:
        """Whether an image is upstream's own build, also through a mirror."""
        return image.basename in self.upstream_images and not self.counts_apart(image)

    def counts_apart(self, image: Image) -> bool:
        """Whether an image's tags are known to count releases of their own."""
        return image.repository.endswith(tuple(self.own_numbers))

    def caches_prefixes(self, words: tuple[str, ...]) -> bool:
        """Whether a command line leaves the prefix cache on, as it is by default."""
        switch, off = self.caching_off
        return switch_of(words, switch) is not off

    def ranks(self, words: tuple[str, ...]) -> int:
        """How many data-parallel ranks a command line asks for; 1 where it does not say a number."""
        return max(1, *(int_of(words, name) or 1 for name in self.data_parallel))

    def block_factor(self, words: tuple[str, ...]) -> int:
        """How many times ``--block-size`` a block is that counts as one (vLLM
        ``single_type_kv_cache_manager.py``: context parallel workers share a block)."""
        return prod(max(1, int_of(words, *names) or 1) for names in self.context_parallel)

    def hidden_ranks(self, words: tuple[str, ...]) -> str:
        """The value of how many ranks there are, where that is no number: a variable, a command."""
        values = (value_of(words, name) for name in self.data_parallel)
        return next((value for value in values if value is not None and not value.isdigit()), "")

    def spread_ranks(self, words: tuple[str, ...]) -> str:
        """The option by which ranks of one engine are spread over several pods; empty if none is."""
        return next((name for name in self.spreads_ranks if value_of(words, name) is not None), "")


_BESIDE = re.compile(r"router|proxy|gateway|exporter|controller|operator|sidecar|scheduler|bench")
"""What stands beside engines and is often named after them."""

ENGINES: Mapping[EngineType, Engine] = {
    EngineType.VLLM: Engine(
        name="vLLM",
        label="vllm",
        image_word="vllm",
        upstream_images=frozenset(
            {
                *("vllm-openai", "vllm-openai-rocm", "vllm-openai-cpu", "vllm-tpu"),
                *("vllm-cpu-release-repo", "vllm-ascend"),
            }
        ),
        image_starts_it=True,
        commands=(("vllm", "serve"),),
        modules=("vllm.entrypoints.openai.api_server",),
        http_port=8000,
        caching_off=("enable-prefix-caching", False),
        caching_off_word="--no-enable-prefix-caching",
        data_parallel=("data-parallel-size", "dp"),
        context_parallel=(
            ("decode-context-parallel-size", "dcp"),
            ("prefill-context-parallel-size", "pcp"),
        ),
        spreads_ranks=(
            *("data-parallel-rank", "dpn", "data-parallel-start-rank", "dpr"),
            *("data-parallel-size-local", "dpl"),
        ),
        own_numbers=frozenset({"lmcache/vllm-openai", "ai-dynamo/vllm-runtime"}),
    ),
    EngineType.SGLANG: Engine(
        name="SGLang",
        label="sglang",
        image_word="sglang",
        upstream_images=frozenset({"sglang"}),
        image_starts_it=False,
        commands=(("sglang", "serve"),),
        modules=("sglang.launch_server",),
        http_port=30000,
        caching_off=("disable-radix-cache", True),
        caching_off_word="--disable-radix-cache",
        data_parallel=(
            *("data-parallel-size", "dp-size", "dp"),
            *("attention-data-parallel-size", "attn-dp-size"),
        ),
        more_event_keys=frozenset({"bind", "format"}),
    ),
}
