"""The gate's pages for browsers: each one document, with nothing from elsewhere and nothing that isn't said to run."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from innkeeper.core.redaction import redact

_PLACE = files("innkeeper.edge") / "pages"


def part(name: str) -> str:
    """A piece of a page as it lies beside the code."""
    return (_PLACE / name).read_text(encoding="utf-8")


_PAGE = Template(part("page.html"))
_REFUSAL = Template(part("refusal.html"))
_STYLE = part("page.css")


def html_page(*, title: str, body: str, script: str = "", refresh_s: int | None = None) -> tuple[tuple[str, ...], str]:
    """A whole page and the headers that go with it. `body` is HTML already; `title` is text.

    With a script, the refresh is for those who don't run it.
    """
    refresh = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
    if script and refresh:
        refresh = f"<noscript>{refresh}</noscript>"
    document = _PAGE.substitute(
        refresh=refresh,
        title=escape(title),
        style=_STYLE,
        body=body,
        script=f"<script>{script}</script>" if script else "",
    )
    return _headers(script), document


def refusal_body(*, title: str, detail: str, hint: str) -> str:
    """What is wrong and what to do about it, from plain text with `programs` in it."""
    return _REFUSAL.substitute(title=escape(title), detail=_text(redact(detail)), hint=_text(redact(hint)))


def _text(plain: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(plain))


@cache
def _headers(script: str) -> tuple[str, ...]:
    policy = [
        "default-src 'none'",
        f"style-src '{_hash(_STYLE)}'",
        "img-src data:",  # the empty icon, so that no browser asks the tenant for one
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    if script:
        policy += [f"script-src '{_hash(script)}'", "connect-src 'self'"]
    return (
        "Content-Type: text/html; charset=utf-8",
        f"Content-Security-Policy: {'; '.join(policy)}",
        "X-Frame-Options: DENY",
        "X-Content-Type-Options: nosniff",
        "X-Robots-Tag: noindex",
        "Referrer-Policy: no-referrer",
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
