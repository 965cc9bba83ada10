"""What Caddy asks of us beside the gate: who may have a certificate, and where plain HTTP leads on to.

Neither is for anybody else: the first is answered to this host alone, the second to the edge's own words alone.
"""

from __future__ import annotations

import re

from fastapi import APIRouter, Request, Response

from innkeeper.api.deps import TheInn
from innkeeper.api.visitors import is_local
from innkeeper.core.errors import UnknownTenant

router = APIRouter(prefix="/edge", include_in_schema=False)
REDIRECT = "X-Innkeeper-Redirect"
_AUTHORITY = re.compile(r"([a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?)\.?(?::\d{0,5})?")


@router.get("/ask")
async def ask(request: Request, inn: TheInn, domain: str = "") -> Response:
    """200 where `domain` may have a certificate, else 404."""
    if not is_local(request):
        raise UnknownTenant("There is nothing here.", hint="")
    known = await inn.names.may_have_certificate(_host(domain))
    return Response(status_code=200 if known else 404)


@router.get("/redirect")
async def redirect(request: Request, inn: TheInn) -> Response:
    """On to HTTPS, for the hosts that we know; 308 keeps the method and the body."""
    authority, _, uri = request.headers.get(REDIRECT, "").partition(" ")
    host = _host(authority)
    if request.client is not None or not uri.startswith("/") or not inn.names.is_known(host):
        raise UnknownTenant("No tenant answers at this address.", hint="")
    return Response(status_code=308, headers={"Location": inn.hosting.origin(host) + uri, "Cache-Control": "no-store"})


def _host(raw: str) -> str:
    """The name in lower case, without port and final dot; empty for what can't be one."""
    found = _AUTHORITY.fullmatch(raw.strip().lower())
    return found[1] if found and ".." not in found[1] else ""
