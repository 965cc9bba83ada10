"""The console's own cookies, and the questions that tell its own pages from others' that make a browser ask."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import HTTPConnection
from starlette.responses import Response

from innkeeper.core.access import Actor, digest
from innkeeper.core.identities import Identities
from innkeeper.core.people import Session
from innkeeper.core.people_errors import ForeignOrigin

COOKIE = "__Host-innkeeper-console"
"""Stays at the console's host: no tenant's domain ever gets it."""
PENDING = "__Host-innkeeper-pending"
"""A sign-in at the identity provider that was begun, sealed."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def signed_in(request: HTTPConnection, identities: Identities) -> tuple[Session, Actor] | None:
    """Who is signed in with this browser."""
    secrets = [value for name, value in _cookies(request) if name == COOKIE]
    return identities.by_session(digest(secrets[0])) if len(secrets) == 1 else None


def _cookies(request: HTTPConnection) -> Iterator[tuple[str, str]]:
    """All of them: what comes twice counts for nothing, so it has to be seen that it does."""
    for part in ";".join(request.headers.getlist("cookie")).split(";"):
        name, _, value = part.strip().partition("=")
        yield name, value


def check_own_page(request: HTTPConnection, method: str) -> None:
    """Raise ForeignOrigin where a page of another origin has made the browser ask. Tenants' pages are such: they share
    the domain, so SameSite doesn't stop them."""
    origin = request.headers.get("origin")
    if origin is not None:
        is_own = origin.partition("://")[2].lower() == request.headers.get("host", "").lower()
    else:
        is_own = method in _SAFE or request.headers.get("sec-fetch-site") == "same-origin"
    if not is_own or request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise ForeignOrigin("A page of another site asked for this.")


def set_cookie(response: Response, name: str, value: str, *, lasts_s: int) -> None:
    """A cookie of ours; of no length, it goes."""
    response.set_cookie(name, value, max_age=lasts_s, path="/", secure=True, httponly=True, samesite="lax")
