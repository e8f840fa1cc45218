"""The tokenizer that a gateway is to be told of: where it is asked, and what its answer means.

A gateway with sync events matches nothing without a tokenizer (AIBrix ``pkg/kvevent/manager.go``
wants an endpoint; ``pkg/cache/kvcache/tokenizer_pool.go`` asks the pods themselves).
"""

from __future__ import annotations

from collections.abc import Sequence

from kvsync.core.assess import ModelView
from kvsync.core.gateway_fold import shown
from kvsync.model.address import Address
from kvsync.model.observed import Observed
from kvsync.model.source import Target
from kvsync.model.spec import EngineType
from kvsync.model.tokenizer import TokenizerAnswer, TokenizerQuestion

_PATH = "/tokenize"
"""vLLM ``entrypoints/openai`` serves it beside ``/v1``, without an API key."""


def tokenizer_question(
    observed: Observed, views: Sequence[ModelView], explicit: str, http_port: int
) -> TokenizerQuestion | None:
    """What is to be asked before the gateway is told; None where nothing can be.

    ``explicit`` is the endpoint that somebody named: it is asked as it stands. Without one the
    gateway asks the pods themselves on ``http_port``, so a verified one of them is asked. It asks
    none of SGLang.
    """
    pods = sorted(_verified(observed, views), key=lambda target: target.key)
    model = next((t.served_model for t in pods if t.served_model and "$" not in t.served_model), "")
    if explicit:
        base, mark, query = explicit.partition("?")
        return TokenizerQuestion(base.rstrip("/") + _PATH + mark + query, model)
    asked = next((target for target in pods if target.http_port == http_port), None)
    if asked is None or observed.spec.engine.type is not EngineType.VLLM:
        return None
    where = Address(asked.host, http_port).authority
    return TokenizerQuestion(f"http://{where}{_PATH}", model)


def complaint(question: TokenizerQuestion, answer: TokenizerAnswer) -> str:
    """What is wrong with a tokenizer, with the remedy."""
    url = shown(question.url)
    if answer.status == 0:
        return f"{url} does not tokenize: {answer.problem}. {_remedy(0)}"
    return (
        f"{url} does not tokenize: it answers with status {answer.status}. {_remedy(answer.status)}"
    )


def _remedy(status: int) -> str:
    correct = "correct spec.gateway.remoteTokenizer.endpoint; the gateway is told once it works."
    if status in (401, 403):
        return f"The gateway sends no key: serve it without one, or {correct}"
    if status in (404, 405):
        return f"No tokenizer is served there: name one that has POST {_PATH}, or {correct}"
    if 300 <= status < 400:
        return f"The gateway follows no redirect: name where it leads to, or {correct}"
    return f"Repair it, or {correct}"


def _verified(observed: Observed, views: Sequence[ModelView]) -> list[Target]:
    """The sources whose pods are ready and verified."""
    ready = {pod.uid for model in observed.models for pod in model.pods if pod.ready}
    verified = {v.key for view in views for v in view.verdicts if v.verified}
    return [
        target
        for view in views
        for target in view.targets
        if target.key in verified and target.key.uid in ready and target.http_port
    ]
