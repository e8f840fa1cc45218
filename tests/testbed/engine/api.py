"""The HTTP API: what vLLM's OpenAI-compatible server answers, as far as this project looks."""

import json
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from testbed.engine import log, metrics, tokenizer
from testbed.engine.cache import BlockCache, CacheFullError
from testbed.engine.core import Completion, EngineCore
from testbed.engine.http_server import Request, Response
from testbed.engine.versions import Version

SOURCES_SINCE = Version(0, 31)
_DEFAULT_MAX_TOKENS = 16


class RefusalError(Exception):
    """A request that gets an OpenAI error."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


class Api:
    """Routes requests to the engine core; call it with a request."""

    def __init__(self, core: EngineCore) -> None:
        self._core = core
        self._settings = core.settings
        self._created = int(time.time())
        self._numbers = count()
        self._routes: dict[str, tuple[str, Callable[[Request], Response]]] = {
            "/health": ("GET", lambda _: Response()),
            "/ping": ("GET", lambda _: Response()),
            "/version": ("GET", self._version),
            "/metrics": ("GET", self._metrics),
            "/v1/models": ("GET", self._models),
            "/v1/completions": ("POST", self._completions),
            "/v1/chat/completions": ("POST", self._chat),
            "/tokenize": ("POST", self._tokenize),
            # vLLM has this one only with VLLM_SERVER_DEV_MODE=1; here it is always there.
            "/reset_prefix_cache": ("POST", self._reset),
            # No engine has this one: the account that the events are compared with.
            "/testbed/blocks": ("GET", self._blocks),
        }
        if self._settings.build.version >= SOURCES_SINCE:
            self._routes["/kv_event_sources"] = ("GET", self._sources)

    def __call__(self, request: Request) -> Response:
        response = self._answer(request)
        if self._settings.access_log:
            reason = f'"{request.method} {request.path} HTTP/1.1" {response.status}'
            log.uvicorn(f"{request.peer} - {reason}")
        return response

    def _answer(self, request: Request) -> Response:
        if not self._permitted(request):
            return Response({"error": "Unauthorized"}, 401)
        methods, handler = self._routes.get(request.path, ("", None))
        if handler is None:
            return Response({"detail": "Not Found"}, 404)
        if request.method not in methods.split():
            return Response({"detail": "Method Not Allowed"}, 405)
        try:
            return handler(request)
        except RefusalError as refusal:
            return self._refused(refusal)
        except CacheFullError as full:
            return self._refused(RefusalError(400, "BadRequestError", str(full)))

    def _permitted(self, request: Request) -> bool:
        keys = self._settings.api_keys
        if not keys or not request.path.startswith("/v1"):
            return True
        return request.headers.get("authorization", "").removeprefix("Bearer ") in keys

    def _version(self, _request: Request) -> Response:
        return Response({"version": str(self._settings.build.version)})

    def _metrics(self, _request: Request) -> Response:
        media_type = "text/plain; version=0.0.4; charset=utf-8"
        return Response(metrics.render(self._core), media_type=media_type)

    def _models(self, _request: Request) -> Response:
        cards = [
            {
                "id": name,
                "object": "model",
                "created": self._created,
                "owned_by": "vllm",
                "root": self._settings.model,
                "parent": None,
                "max_model_len": self._settings.max_model_len,
            }
            for name in self._settings.names
        ]
        return Response({"object": "list", "data": cards})

    def _sources(self, _request: Request) -> Response:
        topic = self._settings.events.topic if self._settings.events else ""
        sources = [
            {
                "data_parallel_rank": rank.number,
                "endpoint": rank.publisher.endpoint,
                "replay_endpoint": rank.publisher.replay_endpoint,
                "topic": topic,
            }
            for rank in self._core.ranks
            if rank.publisher is not None
        ]
        return Response(sources)

    def _blocks(self, _request: Request) -> Response:
        caches = [rank.cache for rank in self._core.ranks]
        pairs = [[*cache.held().items()] for cache in caches if isinstance(cache, BlockCache)]
        return Response(pairs)

    def _reset(self, _request: Request) -> Response:
        self._core.reset_prefix_cache()
        return Response()

    def _tokenize(self, request: Request) -> Response:
        body = self._body(request)
        tokens = _prompts(body)[0]
        answer = {"count": len(tokens), "max_model_len": self._settings.max_model_len}
        return Response(answer | {"tokens": tokens, "token_strs": None})

    def _completions(self, request: Request) -> Response:
        body = self._body(request)
        done = [self._run(request, body, prompt) for prompt in _prompts(body)]
        choices = [
            {"index": index, "text": one.text, "logprobs": None, "finish_reason": "length"}
            for index, one in enumerate(done)
        ]
        return self._finish(body, "text_completion", "cmpl", choices, done)

    def _chat(self, request: Request) -> Response:
        body = self._body(request)
        if "messages" not in body:
            raise RefusalError(400, "BadRequestError", "messages: Field required")
        one = self._run(request, body, _prompts({"messages": body["messages"]})[0])
        turn = "delta" if body.get("stream") else "message"
        message = {"role": "assistant", "content": one.text}
        choices = [{"index": 0, turn: message, "finish_reason": "length"}]
        kind = "chat.completion.chunk" if body.get("stream") else "chat.completion"
        return self._finish(body, kind, "chatcmpl", choices, [one])

    def _body(self, request: Request) -> dict[str, Any]:
        try:
            body = request.json()
        except ValueError as error:
            raise RefusalError(400, "BadRequestError", f"Invalid JSON: {error}") from error
        if not isinstance(body, dict):
            raise RefusalError(400, "BadRequestError", "Input should be an object")
        self._check_model(body.get("model"))
        return body

    def _check_model(self, model: Any) -> None:
        if model is not None and model not in self._settings.names:
            raise RefusalError(404, "NotFoundError", f"The model `{model}` does not exist.")

    def _run(self, request: Request, body: dict[str, Any], prompt: list[int]) -> Completion:
        room = self._settings.max_model_len - len(prompt)
        asked = body.get("max_completion_tokens") or body.get("max_tokens")
        max_tokens = int(asked) if asked else min(_DEFAULT_MAX_TOKENS, room)
        if max_tokens < 1 or max_tokens > room:
            longest = self._settings.max_model_len
            message = f"This model's maximum context length is {longest} tokens."
            raise RefusalError(400, "BadRequestError", message)
        rank = request.headers.get("x-data-parallel-rank", "")
        return self._core.complete(
            prompt,
            max_tokens,
            salt=str(body.get("cache_salt") or ""),
            rank=int(rank) if rank.isdigit() else None,
        )

    def _finish(
        self,
        body: dict[str, Any],
        kind: str,
        prefix: str,
        choices: list[dict[str, Any]],
        done: list[Completion],
    ) -> Response:
        answer = {
            "id": f"{prefix}-{next(self._numbers):032x}",
            "object": kind,
            "created": int(time.time()),
            "model": body.get("model") or self._settings.names[0],
            "choices": choices,
            "usage": self._usage(done),
        }
        if body.get("stream"):
            text = f"data: {json.dumps(answer)}\n\ndata: [DONE]\n\n"
            return Response(text, media_type="text/event-stream; charset=utf-8")
        return Response(answer)

    def _usage(self, done: list[Completion]) -> dict[str, Any]:
        prompt = sum(one.prompt_tokens for one in done)
        completion = sum(one.completion_tokens for one in done)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": sum(one.cached_tokens for one in done)},
        }

    def _refused(self, refusal: RefusalError) -> Response:
        status = refusal.status
        error = {"message": str(refusal), "type": refusal.kind, "param": None, "code": status}
        return Response({"error": error}, status)


def _prompts(body: dict[str, Any]) -> list[list[int]]:
    """The prompts of a request as tokens: text, token ids, lists of either, or chat messages."""
    match body:
        case {"messages": [*messages]} if all(isinstance(m, dict) for m in messages):
            return [tokenizer.encode(tokenizer.render_chat(messages))]
        case {"prompt": str(text)} if text:
            return [tokenizer.encode(text)]
        case {"prompt": [int(), *_] as tokens} if all(isinstance(t, int) for t in tokens):
            return [tokens]
        case {"prompt": [str() | list(), *_] as several}:
            return [prompt for one in several for prompt in _prompts({"prompt": one})]
    raise RefusalError(400, "BadRequestError", "prompt: Field required, as text or token ids")
