"""Problems in the words of the protocol that the agent speaks, so that its own client understands them."""

from __future__ import annotations

import json

from innkeeper.broker.calls import Dialect
from innkeeper.broker.exchange import JSON, Headers
from innkeeper.broker.problems import ProviderTimeout, TooManyCalls
from innkeeper.core.budget_errors import BudgetReserved, BudgetSpent, RateLimited
from innkeeper.core.errors import Kind, Problem
from innkeeper.core.redaction import redacted

_STATUS = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.NOT_READY: 503,
    Kind.UNAVAILABLE: 502,
    Kind.FAILED: 502,
}
_STATUS_OF_CODE = {
    TooManyCalls.code: 429,
    ProviderTimeout.code: 504,
    BudgetSpent.code: 429,
    BudgetReserved.code: 429,
    RateLimited.code: 429,
}

_QUOTA = "insufficient_quota"
"""What OpenAI says, as type and code, where no money is left."""
_SPEND_LIMIT = "enforced_spend_limit_reached"
"""What Anthropic says in `details` where a limit of spending is reached."""

_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def status_of(problem: Problem) -> int:
    """The HTTP status of a problem at the broker."""
    return _STATUS_OF_CODE.get(problem.code) or _STATUS[problem.kind]


def error_body(dialect: Dialect, problem: Problem, *, status: int | None = None) -> bytes:
    """The body of a refusal; `status` where a provider chose another one than the problem's own."""
    status = status or status_of(problem)
    message = f"{problem.message} {problem.hint}".strip()
    match dialect:
        case Dialect.OPENAI:
            kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
            error = {"message": message, "type": kind, "param": problem.field, "code": problem.code}
            if isinstance(problem, BudgetSpent):
                error |= {"type": _QUOTA, "code": _QUOTA}
            return _json({"error": error})
        case Dialect.ANTHROPIC:
            kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
            details = {"details": {"error_code": _SPEND_LIMIT}} if isinstance(problem, BudgetSpent) else {}
            return _json({"type": "error", "error": {"type": kind, "message": message, **details}})


def headers_of(problem: Problem) -> Headers:
    """What a refusal tells beside its body: when to come back, and whether that makes sense at all.

    Anthropic's and OpenAI's own clients repeat what is refused with 429 unless `x-should-retry` says `false`.
    """
    after_s = getattr(problem, "retry_after_s", None)
    retry = () if after_s is None else ((b"retry-after", str(after_s).encode()),)
    return (*JSON, *retry, *(((b"x-should-retry", b"false"),) if isinstance(problem, BudgetSpent) else ()))


def error_event(dialect: Dialect, problem: Problem) -> bytes:
    """The last event of a stream that broke. It begins with an empty line: the event before may be torn."""
    name = b"event: error\n" if dialect is Dialect.ANTHROPIC else b""
    return b"\n\n" + name + b"data: " + error_body(dialect, problem) + b"\n\n"


def _json(value: object) -> bytes:
    return json.dumps(redacted(value), separators=(",", ":")).encode()
