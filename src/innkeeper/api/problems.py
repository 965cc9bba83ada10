"""The API's errors: whatever goes wrong, a problem document answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from innkeeper.core.errors import Invalid, Kind, NotFound, Problem, TooLarge
from innkeeper.core.redaction import redacted
from innkeeper.problems import MEDIA_TYPE, retry_after_s, status_of
from innkeeper.problems import document as problem_document

ANY_HINT = "See /docs for what it takes."


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


def document(problem: Problem, **more: object) -> dict[str, object]:
    """The problem document as the API tells it: redacted, and never without a hint for a bad request."""
    members = problem_document(problem)
    if problem.kind is Kind.INVALID:
        members.setdefault("hint", ANY_HINT)
    return members | redacted(more)


def answer(problem: Problem, **more: object) -> Response:
    """The problem as a response."""
    status = status_of(problem)
    headers = {}
    if problem.kind is Kind.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = 'Bearer realm="innkeeper"'
    if (seconds := retry_after_s(problem)) is not None:
        headers["Retry-After"] = str(seconds)
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
