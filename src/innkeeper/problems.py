"""Problems as HTTP tells them (RFC 9457): one table of statuses and one form, for the API and the edge alike."""

from __future__ import annotations

from collections.abc import Mapping

from innkeeper.core.errors import Kind, Problem, TenantAsleep
from innkeeper.core.redaction import redact

MEDIA_TYPE = "application/problem+json"

_STATUS: Mapping[Kind, int] = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.NOT_READY: 503,
    Kind.UNAVAILABLE: 503,
    Kind.FAILED: 500,
}
_OWN_STATUS: Mapping[str, int] = {
    "agent_fault": 502,
    "budget_reserved": 429,
    "budget_spent": 429,
    "idempotency_mismatch": 422,
    "inbox_full": 429,
    "method_not_allowed": 405,
    "rate_limited": 429,
    "too_many_attempts": 429,
}


def status_of(problem: Problem | type[Problem]) -> int:
    """The HTTP status of a problem."""
    return _OWN_STATUS.get(problem.code, _STATUS[problem.kind])


def title_of(code: str) -> str:
    """`tenant_exists` as people read it."""
    return code.replace("_", " ").capitalize()


def retry_after_s(problem: Problem) -> int | None:
    """After how many seconds it makes sense to ask again; None: it doesn't."""
    if isinstance(problem, TenantAsleep):
        return 60  # somebody has to wake it by hand
    return {Kind.NOT_READY: 5, Kind.UNAVAILABLE: 15}.get(problem.kind)


def document(problem: Problem, *, status: int | None = None) -> dict[str, object]:
    """The problem document, redacted, without members that say nothing."""
    members: dict[str, object | None] = {
        "type": f"urn:innkeeper:problem:{problem.code}",
        "title": title_of(problem.code),
        "status": status or status_of(problem),
        "code": problem.code,
        "detail": redact(problem.message),
        "hint": redact(problem.hint) or None,
        "field": problem.field and redact(problem.field),
    }
    return {name: value for name, value in members.items() if value is not None}
