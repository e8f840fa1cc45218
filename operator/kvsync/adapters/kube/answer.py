"""What an API server answered: a JSON object, or the error of the tree that it means."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from kvsync.model.errors import (
    ApiError,
    Cause,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerError,
    Timeout,
    TooManyRequests,
    Unauthorized,
)

Json = dict[str, Any]

_BY_STATUS: Mapping[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    408: Timeout,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
    504: Timeout,
}
_MESSAGE_LIMIT = 2048
_CAUSES_LIMIT = 32


def parse(body: bytes | str, doing: str) -> Json:
    """The body's JSON object.

    Raises:
        ServerError: it is none: something else than an API server answered (a proxy, a login page).
    """
    try:
        value = json.loads(body)
    except ValueError as error:
        raise _not_kubernetes(doing) from error
    if not isinstance(value, dict):
        raise _not_kubernetes(doing)
    return value


def version_of(body: Mapping[str, Any]) -> int:
    """The resource version of an object, or of a list as a whole; 0 where it is none.

    Those of one kind are ordered numbers (Kubernetes 1.35, KEP-5504).
    """
    text = str((body.get("metadata") or {}).get("resourceVersion") or "")
    return int(text) if text.isascii() and text.isdigit() else 0


def refusal(status: int, headers: Mapping[str, str], body: bytes, doing: str) -> ApiError:
    """The error that an HTTP answer with ``status`` >= 300 means."""
    try:
        said = parse(body, doing)
    except ServerError:
        said = {}
    error = from_status({**said, "code": status}, doing)
    if isinstance(error, TooManyRequests):
        error.retry_after = _seconds(headers.get("Retry-After")) or error.retry_after
    return error


def from_status(said: Json, doing: str) -> ApiError:
    """The error that a ``v1.Status`` means: of a failed request, or inside a watch."""
    code = said.get("code")
    status = code if isinstance(code, int) else 0
    details = said.get("details")
    details = details if isinstance(details, dict) else {}
    error = _kind(status)(
        _text(said.get("message")) or _unsaid(status),
        status=status,
        reason=_text(said.get("reason")),
        causes=_causes(details.get("causes")),
        doing=doing,
    )
    if isinstance(error, TooManyRequests):
        error.retry_after = _seconds(details.get("retryAfterSeconds")) or error.retry_after
    return error


def _unsaid(status: int) -> str:
    if status == 404:  # an unknown path is answered with plain text, an unknown object is not
        return "the API server does not serve this kind; is its CRD installed?"
    return f"the API server answered {status} without saying why"


def _kind(status: int) -> type[ApiError]:
    return _BY_STATUS.get(status) or (ServerError if status >= 500 else ApiError)


def _causes(said: object) -> tuple[Cause, ...]:
    entries = said[:_CAUSES_LIMIT] if isinstance(said, list) else []
    return tuple(
        Cause(_text(each.get("reason")), _text(each.get("message")), _text(each.get("field")))
        for each in entries
        if isinstance(each, dict)
    )


def _text(value: object) -> str:
    return value[:_MESSAGE_LIMIT] if isinstance(value, str) else ""


def _seconds(value: object) -> float:
    # Retry-After may also be a date (RFC 9110); API servers send seconds, and 0 means "not said".
    try:
        seconds = float(str(value))
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def _not_kubernetes(doing: str) -> ServerError:
    return ServerError(
        "the answer is not a JSON object: check that the address is that of a Kubernetes API "
        "server and not of a proxy or login page in front of it",
        reason="NotKubernetes",
        doing=doing,
    )
