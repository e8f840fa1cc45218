"""What can go wrong, as a tree; whoever catches a branch knows what to do next.

KvsyncError
├── AccessError              no usable way to an API server (kubeconfig, token): a person must act
├── NotLeading               a write that was not sent: another process may be the leader by now
└── ApiError                 the API server refused, or did not answer
    ├── Unauthorized         401: credentials missing or expired
    ├── Forbidden            403: RBAC, an admission policy, or a namespace being deleted
    ├── NotFound             404: the object or its kind is not there
    ├── Conflict             409: exists already, or changed meanwhile: read again
    ├── Gone                 410: the resource version or page token is too old: list again
    ├── Invalid              422: refused by validation, or a JSON patch did not fit
    ├── TooManyRequests      429: wait `retry_after` seconds
    └── Unavailable          the server may do better in a moment; a write may have happened
        ├── ServerError      5xx, or an answer that is no Kubernetes answer
        ├── Timeout          no answer in time (also 408 and 504)
        └── ConnectionLost   refused, reset, unreachable, TLS failure
"""

# ruff: noqa: N818 - the names are the field's words; the tree above says that they are errors

from __future__ import annotations

from dataclasses import dataclass


class KvsyncError(Exception):
    """Root of everything this package raises on purpose."""


class AccessError(KvsyncError):
    """There is no usable way to an API server; the message names what was tried."""


class NotLeading(KvsyncError):
    """This process may not write now, so nothing was sent. It is about to end."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of a Status's ``details.causes``: which field, and what is wrong with it."""

    reason: str
    message: str
    field: str


class ApiError(KvsyncError):
    """The API server refused a request (``status`` > 0) or never answered it (``status`` 0).

    ``reason`` is the machine word of the server's Status (``NotFound``, ``AlreadyExists``),
    ``message`` its sentence, ``doing`` the request as ``PATCH deployments.apps ns/name``.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        doing: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.causes = causes
        self.doing = doing

    def __str__(self) -> str:
        answer = f"{self.status or ''} {self.reason}".strip()
        context = ": ".join(part for part in (self.doing, answer) if part)
        return f"{self.message} ({context})" if context else self.message


class Unauthorized(ApiError):
    """401: the credentials are missing, expired or of another cluster."""


class Forbidden(ApiError):
    """403: the message names the user, verb and resource that RBAC or a policy refused."""


class NotFound(ApiError):
    """404: no such object, or the API server does not know the kind."""


class Conflict(ApiError):
    """409: the object exists already, or changed since it was read."""


class Gone(ApiError):
    """410: a resource version or page token is older than what the server remembers."""


class Invalid(ApiError):
    """422: refused by validation (``causes`` name the fields), or a JSON patch did not fit."""

    @property
    def patch_did_not_fit(self) -> bool:
        """Whether a JSON patch failed a ``test`` or met a missing path: re-read and re-plan.

        The API server gives both the same sentence and no causes, validation gives causes
        (``applyJSPatch`` in apiserver's endpoints/handlers/patch.go).
        """
        return self.reason == "Invalid" and not self.causes


class TooManyRequests(ApiError):
    """429: the server asks for a pause of ``retry_after`` seconds."""

    retry_after: float = 1.0


class Unavailable(ApiError):
    """No answer that can be trusted; a write may have happened, so read before writing again."""


class ServerError(Unavailable):
    """5xx, or an answer that is not one of a Kubernetes API server."""


class Timeout(Unavailable):
    """No complete answer within the request's time limit."""


class ConnectionLost(Unavailable):
    """The connection could not be made, or broke before the answer was complete."""
