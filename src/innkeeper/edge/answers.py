"""The gate's answers to Caddy, as bytes ready to be sent.

A yes is `204` with `X-Upstream` and the headers that the request gets on its way. Anything else is a refusal, which
Caddy hands to the client as it is: a problem document, or a small page for browsers.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from innkeeper.core.callers import Pass
from innkeeper.core.door import Upstream
from innkeeper.core.errors import EdgeFault, Problem
from innkeeper.edge.page import html_page, refusal_body
from innkeeper.edge.raw import answer
from innkeeper.problems import MEDIA_TYPE, document, retry_after_s, status_of, title_of

CARRIED = ("Authorization", "X-Forwarded-User", "Cookie")
"""The headers that an Upstream may set: they stand in Caddy's static configuration."""

_CARRIED = frozenset(name.lower().encode() for name in CARRIED)


class Onward(NamedTuple):
    """What goes with a request on its way to the tenant, beside the agent's own credential."""

    authorization: bytes = b""
    """The client's own, where it goes through."""
    cookies: bytes = b""
    """The tenant's own; never one of ours."""
    user: bytes = b""
    """Whom the gate has let in."""
    stranger: bool = False
    """Whether they came in by a public path: without the agent's credential and without a user."""
    client: bytes = b""
    by: Pass | None = None
    """What let them in, and from where; to be looked at again when they had to wait."""


NOTHING_MORE = Onward()


def passage(upstream: Upstream, onward: Onward = NOTHING_MORE) -> bytes:
    """The yes: where to, and with which headers."""
    lines = _stranger_lines(upstream) if onward.stranger else _lines(upstream, bool(onward.user))
    authorization, cookies, user = onward[:3]
    if authorization and b"X-Upstream-authorization" not in lines:
        lines += b"\r\nX-Upstream-authorization: " + authorization
    if user:
        lines += b"\r\nX-Upstream-x-forwarded-user: " + user
    if cookies:
        lines += b"\r\nX-Upstream-cookie: " + cookies
    return lines + b"\r\n\r\n"


@lru_cache(maxsize=4096)
def _lines(upstream: Upstream, named: bool) -> bytes:
    """All that is the same for everybody; a user of the gate's takes the place of the agent's usual one."""
    lines = [b"HTTP/1.1 204 No Content", b"X-Upstream: " + upstream.address.encode()]
    for name, value in upstream.headers:
        if name not in _CARRIED or b"\n" in value or b"\r" in value:
            raise EdgeFault(f"The edge can't carry the header {name.decode()!r} to a tenant.")
        if not (named and name == b"x-forwarded-user"):
            lines.append(b"X-Upstream-" + name + b": " + value)
    return b"\r\n".join(lines)


@lru_cache(maxsize=4096)
def _stranger_lines(upstream: Upstream) -> bytes:
    kept = tuple(each for each in upstream.headers if each[0] not in _CARRIED)
    return _lines(replace(upstream, headers=kept), named=False)


def refusal(problem: Problem, *, page: bool = False) -> bytes:
    """The no: what is wrong and what to do about it, as a problem document or as a page."""
    again_s = retry_after_s(problem)
    headers = [f"Retry-After: {again_s}"] if again_s else []
    status = HTTPStatus(status_of(problem))
    if status is HTTPStatus.UNAUTHORIZED:
        headers.append('WWW-Authenticate: Bearer realm="innkeeper"')
    if not page:
        return answer(status, [*headers, f"Content-Type: {MEDIA_TYPE}"], json.dumps(document(problem)))
    title = title_of(problem.code)
    body = refusal_body(title=title, detail=problem.message, hint=problem.hint)
    own, whole = html_page(title=title, body=body, refresh_s=again_s)
    return answer(status, [*headers, *own], whole)
