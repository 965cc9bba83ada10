"""Errors as RFC 9457 problem documents: the one table from kinds to statuses, and the handlers that use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from innkeeper.core.errors import Invalid, Kind, NotFound, Problem, TooLarge
from innkeeper.telemetry import redact

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
ANY_HINT = "See /docs for what it takes."

STATUS: Mapping[Kind, int] = {
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

_OWN_STATUS: Mapping[str, int] = {"agent_fault": 502, "idempotency_mismatch": 422, "method_not_allowed": 405}


class MethodNotAllowed(Problem):
    """The path is there, but doesn't take that method."""

    code = "method_not_allowed"
    kind = Kind.INVALID
    default_hint = "See /docs for what each path takes."


class NoSuchPath(NotFound):
    """The API has no such path."""

    default_hint = "See /docs for the paths that there are."


class OurBug(Problem):
    """A bug of ours; what went wrong is in the log, under the request's id."""

    default_hint = "Look for the request's id in the control plane's log, and report what you find."


def status_of(problem: Problem | type[Problem]) -> int:
    """The HTTP status of a problem."""
    return _OWN_STATUS.get(problem.code, STATUS[problem.kind])


def title_of(code: str) -> str:
    """`tenant_exists` as people read it."""
    return code.replace("_", " ").capitalize()


def document(problem: Problem, **more: object) -> dict[str, object]:
    """The problem document, without members that say nothing."""
    members: dict[str, object | None] = {
        "type": f"urn:innkeeper:problem:{problem.code}",
        "title": title_of(problem.code),
        "status": status_of(problem),
        "code": problem.code,
        "detail": redact(problem.message),
        "hint": redact(problem.hint) or (ANY_HINT if problem.kind is Kind.INVALID else None),
        "field": problem.field,
        **more,
    }
    return {name: value for name, value in members.items() if value is not None}


def answer(problem: Problem, **more: object) -> Response:
    """The problem as a response."""
    status = status_of(problem)
    headers = {}
    if problem.kind is Kind.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = 'Bearer realm="innkeeper"'
    if problem.kind is Kind.NOT_READY:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return JSONResponse(document(problem, **more), status_code=status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make the app answer every error with a problem document."""

    @app.exception_handler(Problem)
    async def _problem(_request: Request, problem: Problem) -> Response:
        return answer(problem)

    @app.exception_handler(RequestValidationError)
    async def _validation(_request: Request, error: RequestValidationError) -> Response:
        return invalid(error.errors())

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        response = answer(_translated(request, error))
        for name, value in (error.headers or {}).items():
            response.headers[name] = value
        return response


def _translated(request: Request, error: HTTPException) -> Problem:
    """Starlette's own errors, in our words."""
    match error.status_code:
        case 404:
            return NoSuchPath(f"There is nothing at {request.url.path[:200]!r}.")
        case 405:
            return MethodNotAllowed(f"{request.url.path[:200]} doesn't take {request.method[:20]}.")
        case 413:
            return TooLarge(error.detail)
        case _:
            return Invalid("The request can't be read.", hint="Send a JSON document in UTF-8.")


def invalid(errors: Sequence[Any]) -> Response:
    """What pydantic found, told by the first field; values are never repeated, for they may be secret."""
    found = [{"field": _field(error), "says": _sentence(error)} for error in errors[:20]]
    first = found[0]
    where = f"`{first['field']}`: " if first["field"] else ""
    hint = ANY_HINT if where else "Send a JSON object with `Content-Type: application/json`."
    return answer(Invalid(f"{where}{first['says']}", field=first["field"] or None, hint=hint), errors=found)


def _field(error: Mapping[str, Any]) -> str:
    """`limits.memory_mb` from ("body", "limits", "memory_mb"); nothing where the body as a whole is at fault."""
    _, *within = error["loc"]
    return "" if error["type"] == "json_invalid" else ".".join(str(part)[:60] for part in within if part != "[key]")


def _sentence(error: Mapping[str, Any]) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "there is no such field."
        case "missing":
            return "this is required."
        case "json_invalid":
            return "the body isn't valid JSON."
        case _:
            said = str(error["msg"])
            return said[:1].lower() + said[1:] + ("" if said.endswith(".") else ".")
