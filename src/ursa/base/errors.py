"""Errors that a caller can act on, with their HTTP code and Kubernetes reason.

An `ApiError` is raised anywhere between a request and its answer and becomes a Kubernetes
`Status` at the edge (`status()`); the client turns a Status back into the same class
(`from_status`). Everything that is not an ApiError is an outage or a bug and propagates.
Source: Kubernetes apimachinery, pkg/apis/meta/v1/types.go (StatusReason) and pkg/api/errors.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple


class FieldError(NamedTuple):
    """One fault of a document: where, what, and why."""

    path: str
    message: str
    reason: str = "FieldValueInvalid"  # a metav1.CauseType


class ApiError(Exception):
    """A refusal that names the object, the field and the remedy."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __init__(self, message: str, *, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or {}

    def status(self) -> dict[str, Any]:
        """Return the metav1.Status document of this error."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"


class NotFound(ApiError):
    code, reason = 404, "NotFound"


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(ApiError):
    code, reason = 409, "AlreadyExists"


class Conflict(ApiError):
    code, reason = 409, "Conflict"


class Expired(ApiError):
    """The asked revision is compacted: list again."""

    code, reason = 410, "Expired"


class TooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(ApiError):
    """A document with faults; `faults` becomes details.causes."""

    code, reason = 422, "Invalid"

    def __init__(self, group_kind: str, name: str, faults: Iterable[FieldError]) -> None:
        listed = list(faults)
        texts = [f"{fault.path}: {fault.message}" for fault in listed]
        joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
        kind, _, group = group_kind.partition(".")
        causes = [{"reason": f.reason, "message": f.message, "field": f.path} for f in listed]
        super().__init__(
            f'{group_kind} "{name}" is invalid: {joined}',
            details={"name": name, "group": group, "kind": kind, "causes": causes},
        )
        self.faults = listed


class TooManyRequests(ApiError):
    code, reason = 429, "TooManyRequests"


class InternalError(ApiError):
    code, reason = 500, "InternalError"


class NotImplementedByServer(ApiError):
    """What is not there answers with this, never with silence."""

    code, reason = 501, "NotImplemented"


class ServiceUnavailable(ApiError):
    code, reason = 503, "ServiceUnavailable"


class GatewayTimeout(ApiError):
    code, reason = 504, "Timeout"


class TerminalError(Exception):
    """A reconcile that no retry can help; wait for a change of the object."""


_BY_REASON: dict[str, type[ApiError]] = {
    cls.reason: cls for cls in ApiError.__subclasses__() if cls is not Invalid
}
_BY_CODE: dict[int, type[ApiError]] = {
    cls.code: cls for cls in reversed(ApiError.__subclasses__()) if cls is not Invalid
}


def from_status(status: dict[str, Any]) -> ApiError:
    """Return the ApiError that a Status document stands for."""
    message = str(status.get("message", "unknown failure"))
    details = status.get("details") or {}
    if status.get("reason") == Invalid.reason:
        invalid = Invalid("", "", [])
        invalid.message, invalid.details = message, details
        invalid.args = (message,)
        return invalid
    cls = _BY_REASON.get(str(status.get("reason"))) or _BY_CODE.get(int(status.get("code") or 500))
    return (cls or InternalError)(message, details=details)


def not_found(resource: str, name: str, group: str = "") -> NotFound:
    """Return the NotFound that Kubernetes words as `pods "web" not found`."""
    qualified = f"{resource}.{group}" if group else resource
    details = {"name": name, "group": group, "kind": resource}
    return NotFound(f'{qualified} "{name}" not found', details=details)
