"""The gate's answers to Caddy, as bytes ready to be sent.

A yes is `204` with `X-Upstream` and the headers that the request gets on its way. Anything else is a refusal, which
Caddy hands to the client as it is: a problem document, or a small page for browsers.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from html import escape
from http import HTTPStatus

from innkeeper.core.door import Upstream
from innkeeper.core.errors import EdgeFault, Problem
from innkeeper.problems import MEDIA_TYPE, document, retry_after_s, status_of, title_of

CARRIED = ("Authorization",)
"""The headers that an Upstream may set: they stand in Caddy's static configuration."""

_CARRIED = frozenset(name.lower().encode() for name in CARRIED)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">{refresh}
<title>{title}</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem}}</style>
</head><body><h1>{title}</h1><p>{detail}</p><p>{hint}</p></body></html>
"""


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
    """The same without the agent's own credential: for those who come in by a public path."""
    return replace(upstream, headers=tuple(each for each in upstream.headers if each[0] != b"authorization"))


def refusal(problem: Problem, *, page: bool = False) -> bytes:
    """The no: what is wrong and what to do about it, as a problem document or as a page."""
    status = HTTPStatus(status_of(problem))
    again_s = retry_after_s(problem)
    headers = [f"HTTP/1.1 {status} {status.phrase}", "Cache-Control: no-store"]
    if again_s:
        headers.append(f"Retry-After: {again_s}")
    if status is HTTPStatus.UNAUTHORIZED:
        headers.append('WWW-Authenticate: Bearer realm="innkeeper"')
    if page:
        headers += [
            "Content-Type: text/html; charset=utf-8",
            "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'",
        ]
        body = _page(problem, again_s)
    else:
        headers.append(f"Content-Type: {MEDIA_TYPE}")
        body = json.dumps(document(problem))
    raw = body.encode()
    return "\r\n".join([*headers, f"Content-Length: {len(raw)}", "", ""]).encode() + raw


def _page(problem: Problem, again_s: int | None) -> str:
    refresh = f'<meta http-equiv="refresh" content="{again_s}">' if again_s else ""
    return _PAGE.format(
        title=title_of(problem.code), detail=escape(problem.message), hint=escape(problem.hint), refresh=refresh
    )
