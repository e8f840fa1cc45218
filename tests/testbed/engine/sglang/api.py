"""The HTTP API: what SGLang's server answers, as far as this project looks.

Source: ``python/sglang/srt/entrypoints/http_server.py``. One thing differs on purpose: the real
``/health`` takes a second or more, as it waits for a token that it has generated; here it does not wait.
"""

from typing import Any

from testbed.engine import tokenizer
from testbed.engine.api import Api, RefusalError
from testbed.engine.core import Completion
from testbed.engine.http_server import Request, Response
from testbed.engine.sglang import metrics
from testbed.engine.sglang.core import SglangCore
from testbed.engine.sglang.releases import Release
from testbed.engine.sglang.settings import SglangSettings

_TOKENIZE_SINCE = Release(0, 5, 3, 1)
_SHORT_NAMES_SINCE = Release(0, 5, 6)
_KV_EVENTS_SINCE = Release(0, 5, 13)
_REPLAY_TOLD_SINCE = Release(0, 5, 22)
_OPEN_PATHS = ("/health", "/metrics")
_FLUSHED = (
    "Cache flushed.\nPlease check backend logs for more details. "
    "(When there are running or waiting requests, the operation will not be performed.)\n"
)


class SglangApi(Api):
    """Routes requests to the engine core; call it with a request."""

    def __init__(self, core: SglangCore, settings: SglangSettings) -> None:
        super().__init__(core)
        self._sglang, self._all = core, settings
        release = settings.release
        self._routes = {
            "/health": ("GET", self._health),
            "/health_generate": ("GET", self._health),
            "/get_model_info": ("GET", self._model_info),
            "/get_server_info": ("GET", self._server_info),
            "/v1/models": ("GET", self._models),
            "/v1/completions": ("POST", self._completions),
            "/v1/chat/completions": ("POST", self._chat),
            "/flush_cache": ("GET POST", self._flush),
        }
        if release >= _TOKENIZE_SINCE:
            self._routes |= dict.fromkeys(("/tokenize", "/v1/tokenize"), ("POST", self._tokenize))
        if release >= _SHORT_NAMES_SINCE:
            self._routes["/model_info"] = ("GET", self._model_info)
            self._routes["/server_info"] = ("GET", self._server_info)
        if settings.options.enable_metrics:
            self._routes["/metrics"] = ("GET", self._metrics)

    def _permitted(self, request: Request) -> bool:
        """A key guards every path but two (``add_api_key_middleware``)."""
        keys = self._settings.api_keys
        if not keys or request.path.startswith(_OPEN_PATHS):
            return True
        return request.headers.get("authorization", "").removeprefix("Bearer ") in keys

    def _health(self, _request: Request) -> Response:
        self._sglang.check_health()
        return Response()

    def _metrics(self, _request: Request) -> Response:
        media_type = "text/plain; version=0.0.4; charset=utf-8"
        return Response(metrics.render(self._core, self._all), media_type=media_type)

    def _models(self, _request: Request) -> Response:
        card = {
            "id": self._all.served_name,
            "object": "model",
            "created": self._created,
            "owned_by": "sglang",
            "root": self._all.served_name,
            "max_model_len": self._settings.max_model_len,
        }
        return Response({"object": "list", "data": [card]})

    def _model_info(self, _request: Request) -> Response:
        options = self._all.options
        answer = {
            "model_path": options.model_path,
            "tokenizer_path": options.tokenizer_path or options.model_path,
            "is_generation": True,
            "preferred_sampling_params": options.preferred_sampling_params,
            "weight_version": options.weight_version or "default",
        }
        return Response(answer)

    def _server_info(self, _request: Request) -> Response:
        """All arguments as they were resolved, the version among them."""
        base = self._settings
        answer = vars(self._all.options) | {
            "served_model_name": self._all.served_name,
            "page_size": base.block_size,
            "status": "ready",
            "max_total_num_tokens": base.blocks * base.block_size,
            "internal_states": [{} for _ in self._core.ranks],
            "version": str(self._all.release),
        }
        if self._all.release >= _KV_EVENTS_SINCE:
            answer["kv_events"] = self._described()
        return Response(answer)

    def _described(self) -> dict[str, Any] | None:
        """The publishers, for routers (``describe_kv_events_publisher``)."""
        events = self._settings.events
        if events is None or not events.endpoint.startswith("tcp://"):
            return None
        host, _, port = events.endpoint.removeprefix("tcp://").rpartition(":")
        described: dict[str, Any] = {
            "publisher": events.publisher,
            "endpoint_host": host,
            "endpoint_port_base": int(port),
            "topic": events.topic,
            "block_size": self._settings.block_size,
            "dp_size": self._settings.ranks,
        }
        if self._all.release >= _REPLAY_TOLD_SINCE and events.replay_endpoint:
            described["replay_endpoint_port_base"] = int(events.replay_endpoint.rpartition(":")[2])
        return described

    def _flush(self, _request: Request) -> Response:
        self._sglang.flush()
        return Response(_FLUSHED, media_type="text/plain")

    def _tokenize(self, request: Request) -> Response:
        """A text or several; unlike vLLM's, no chat (``serving_tokenize.py``)."""
        prompt = self._body(request).get("prompt")
        length = {"max_model_len": self._settings.max_model_len}
        match prompt:
            case str():
                tokens = tokenizer.encode(prompt)
                return Response({"tokens": tokens, "count": len(tokens)} | length)
            case [*texts] if all(isinstance(text, str) for text in texts):
                lists = [tokenizer.encode(text) for text in texts]
                return Response({"tokens": lists, "count": [len(one) for one in lists]} | length)
        raise RefusalError(400, "Bad Request", "prompt: Field required, a text or several")

    def _check_model(self, model: Any) -> None:
        """Any name will do: there is only one model."""

    def _usage(self, done: list[Completion]) -> dict[str, Any]:
        usage = super()._usage(done)
        if self._all.options.enable_cache_report:
            return usage
        return usage | {"prompt_tokens_details": None}

    def _refused(self, refusal: RefusalError) -> Response:
        error = {"object": "error", "message": str(refusal), "type": refusal.kind, "param": None}
        return Response(error | {"code": refusal.status}, refusal.status)
