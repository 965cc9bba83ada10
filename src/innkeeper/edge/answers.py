"""The gate's answers to Caddy, as bytes ready to be sent.

A yes is `204` with `X-Upstream` and the headers that the request gets on its way. Anything else is a refusal, which
Caddy hands to the client as it is: a problem document, or a small page for browsers.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus

from innkeeper.core.door import Upstream
from innkeeper.core.errors import EdgeFault, Problem
from innkeeper.edge.page import html_page, refusal_body
from innkeeper.edge.raw import answer
from innkeeper.problems import MEDIA_TYPE, document, retry_after_s, status_of, title_of

CARRIED = ("Authorization", "X-Forwarded-User")
"""The headers that an Upstream may set: they stand in Caddy's static configuration."""

_CARRIED = frozenset(name.lower().encode() for name in CARRIED)


@lru_cache(maxsize=4096)
def passage(upstream: Upstream, authorization: bytes = b"") -> bytes:
    """The yes: where to, and with which headers; `authorization` is the client's own, where it goes through."""
    headers = {b"authorization": authorization} if authorization else {}
    headers.update(upstream.headers)
    lines = [b"HTTP/1.1 204 No Content", b"X-Upstream: " + upstream.address.encode()]
    for name, value in headers.items():
        if name not in _CARRIED or b"\n" in value or b"\r" in value:
            raise EdgeFault(f"The edge can't carry the header {name.decode()!r} to a tenant.")
        lines.append(b"X-Upstream-" + name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])


@lru_cache(maxsize=4096)
def as_stranger(upstream: Upstream) -> Upstream:
    """The same without the agent's own credential and without a user: for those who come in by a public path."""
    return replace(upstream, headers=tuple(each for each in upstream.headers if each[0] not in _CARRIED))


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
