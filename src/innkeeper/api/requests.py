"""What every request to the API goes through: an id, a limit for its body, a count, and a net for our own bugs."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from innkeeper import telemetry
from innkeeper.api import problems
from innkeeper.core.ids import new_id

log = structlog.get_logger(__name__)
V1 = "/v1"
UNITS = f"{V1}/units/import"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Requests:
    """The outermost layer of the app."""

    def __init__(self, app: ASGIApp, *, body_limit: int, larger: Mapping[tuple[str, str], int]) -> None:
        self._app = app
        self._body_limit = body_limit
        self._larger = larger
        """By method and path: what is streamed to the disk may be larger."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_id("req")
        structlog.contextvars.bind_contextvars(request=request_id)
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.monotonic()
        status = 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
                _count(scope, status, time.monotonic() - began)
            await send(message)

        try:
            # A unit that is sent is held to a limit of its own, by whoever takes it in.
            is_unit = (scope["method"], scope["path"]) == ("PUT", UNITS)
            limit = self._larger.get((scope["method"], scope["path"]), self._body_limit)
            await self._app(scope, receive if is_unit else _limited(scope, receive, limit), counted)
        except Exception:
            log.exception("a request went wrong", method=scope["method"], path=scope["path"])
            if status:
                raise  # too late to say anything: the connection is cut, so that nobody takes this for the whole
            bug = problems.OurBug("Something went wrong in the control plane.")
            await problems.answer(bug, request_id=request_id)(scope, receive, counted)
        finally:
            structlog.contextvars.unbind_contextvars("request")


def _limited(scope: Scope, receive: Receive, limit: int) -> Receive:
    """`receive` that refuses a body over the limit: by its declared length at once, else when it grows too long."""
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        if re.fullmatch(rb"\d{1,20}", declared) and int(declared) > limit:
            raise _too_large(limit)
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise _too_large(limit)
        return message

    return limited


def _too_large(limit: int) -> HTTPException:
    # FastAPI lets only this kind through unchanged while it reads a body.
    return HTTPException(413, f"The body is larger than {limit / (1 << 20):.3g} MB.", headers={"Connection": "close"})


def _count(scope: Scope, status: int, seconds: float) -> None:
    route = _template(scope)
    method = scope["method"] if scope["method"] in _METHODS else "other"
    telemetry.api_requests.labels(method=method, route=route, status=str(status)).inc()
    telemetry.api_request.labels(route=route).observe(seconds)


def _template(scope: Scope) -> str:
    """`/v1/tenants/{name}`: never a path as it came, which would make a series of every name."""
    matched = getattr(scope.get("route"), "path", None)
    if matched is None:
        return "unmatched"
    # A route knows its path within its router, not the prefix under which that was included.
    return V1 + matched if scope["path"].startswith(V1 + "/") else str(matched)
