"""Browsers at a tenant's door: the cookies that are ours, and the questions that tell a person from a hostile page.

The names begin with `__Host-`: a browser takes such a cookie only from the host itself, over TLS or on this machine,
and never one that a neighbour has set for the whole domain (RFC 6265bis, 4.1.3.2).
"""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import quote

from innkeeper.core.access import digest, new_secret
from innkeeper.edge.raw import answer

PREFIX = b"__Host-innkeeper"
DOOR_COOKIE = b"__Host-innkeeper-door"
KNOCK_COOKIE = b"__Host-innkeeper-knock"
"""What a browser that was sent away to sign in is known by when it comes back."""
ENTER = b"/.innkeeper/enter"
KNOCK_LASTS_S = 900
_OURS = re.compile(rb"__host-innkeeper", re.IGNORECASE)
_SECRET = re.compile(rb"ik_[a-z]_[A-Za-z0-9_-]{43}")
_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})
_FLAGS = "Path=/; Secure; HttpOnly; SameSite=Lax"


def parted(cookies: bytes) -> tuple[bytes, bytes, bytes]:
    """Of a Cookie header: what the tenant may see, the door's cookie and the knock's. What comes twice counts for
    nothing; what has our name anywhere else, neither."""
    if not cookies or (PREFIX not in cookies and not _OURS.search(cookies)):
        return cookies, b"", b""
    theirs: list[bytes] = []
    ours: dict[bytes, list[bytes]] = {DOOR_COOKIE: [], KNOCK_COOKIE: []}
    for part in cookies.split(b";"):
        name, _, value = part.strip().partition(b"=")
        if name in ours:
            ours[name].append(value)
        elif not _OURS.search(part):
            theirs.append(part.strip())
    door, knock = (values[0] if len(values) == 1 else b"" for values in ours.values())
    return b"; ".join(filter(None, theirs)), door, knock


def is_own_origin(origin: bytes, host: bytes) -> bool:
    """Whether a page at that origin is one of the host that is asked; schemes may differ behind another proxy."""
    _, separator, there = origin.partition(b"://")
    return bool(separator) and there.lower() == host.lower()


def is_foreign(*, method: bytes, origin: bytes, site: bytes, host: bytes, navigates: bool) -> bool:
    """Whether a page of another origin has made the browser ask, other than by a link that somebody followed.

    By Fetch Metadata where the browser sends it (all do since 2023), else by the Origin that goes with all that changes
    something. A neighbour under the same domain is `same-site`, and as foreign as anybody.
    """
    if origin and method not in _SAFE:
        return not is_own_origin(origin, host)
    if site in (b"", b"same-origin", b"none"):
        return False
    return not navigates


def knock_of(cookie: bytes) -> str | None:
    """The secret that the browser got when it was sent away last, if it is one: tabs share it."""
    return cookie.decode() if _SECRET.fullmatch(cookie) else None


def sent_to_sign_in(console: str, *, host: bytes, uri: bytes, knock: str | None) -> bytes:
    """Away to the console, and back with a ticket for this browser alone."""
    secret = knock or new_secret("n")
    asked = f"host={quote(host)}&to={quote(uri)}&knock={digest(secret)}"
    headers = [f"Location: {console}/enter?{asked}", "Referrer-Policy: no-referrer"]
    if knock is None:
        headers.append(f"Set-Cookie: {KNOCK_COOKIE.decode()}={secret}; Max-Age={KNOCK_LASTS_S}; {_FLAGS}")
    return answer(HTTPStatus.SEE_OTHER, headers, "")


def let_in(cookie: str, *, path: str) -> bytes:
    """On to where the browser wanted to go, with the door's cookie; the knock's has done its work."""
    headers = [
        f"Location: {path}",
        "Referrer-Policy: no-referrer",
        f"Set-Cookie: {DOOR_COOKIE.decode()}={cookie}; {_FLAGS}",
        f"Set-Cookie: {KNOCK_COOKIE.decode()}=; Max-Age=0; {_FLAGS}",
    ]
    return answer(HTTPStatus.SEE_OTHER, headers, "")
