"""Where a request came from, and by which id it is known.

Requests through the edge come by a socket of their own, on which Caddy says who the client is. Anybody else speaks to
us directly: what they say of themselves counts for nothing.
"""

from __future__ import annotations

import ipaddress

from starlette.requests import HTTPConnection

CLIENT_HEADER = "x-innkeeper-client"
"""Set by Caddy, which drops what a client sends under that name."""


def through_edge(request: HTTPConnection) -> bool:
    """Whether Caddy handed the request on: it came by the unix socket, where there is no peer's address."""
    return request.client is None or not request.client.host


def address_of(request: HTTPConnection) -> str | None:
    """The client's address; None where there is none that could be one."""
    told = request.headers.get(CLIENT_HEADER) if through_edge(request) else request.client and request.client.host
    try:
        return str(ipaddress.ip_address(told or ""))
    except ValueError:
        return None


def is_local(request: HTTPConnection) -> bool:
    """Whether a program on this very host speaks to us directly."""
    if through_edge(request):
        return False
    address = address_of(request)
    return address is not None and ipaddress.ip_address(address).is_loopback


def request_id_of(request: HTTPConnection) -> str | None:
    """The id that stands in the answer's `X-Request-ID`."""
    found: str | None = request.scope.get("state", {}).get("request_id")
    return found
