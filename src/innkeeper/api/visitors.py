"""Where a request to the API comes from: this host, elsewhere, or through the edge."""

from __future__ import annotations

import ipaddress

from starlette.requests import HTTPConnection

CLIENT = "X-Innkeeper-Client"
"""Caddy says so whom it serves. It is believed on the edge's own socket alone, which nobody else can open."""


def came_through_edge(request: HTTPConnection) -> bool:
    """Whether Caddy brought it, on a unix socket: such a connection has no address."""
    return request.client is None or not request.client.host


def address_of(request: HTTPConnection) -> str | None:
    """The visitor's address; None: it can't be told."""
    peer = request.client.host if request.client is not None else ""
    claimed = peer or request.headers.get(CLIENT, "")
    try:
        return str(ipaddress.ip_address(claimed.partition("%")[0]))
    except ValueError:
        return None


def is_local(request: HTTPConnection) -> bool:
    """Whether a program on this very host connected to the API itself."""
    peer = request.client.host if request.client is not None else ""
    server = request.scope.get("server")
    try:
        return ipaddress.ip_address(peer).is_loopback or (server is not None and server[0] == peer)
    except ValueError:
        return False


def request_id_of(request: HTTPConnection) -> str | None:
    """The id that stands in the answer's `X-Request-ID`."""
    found: str | None = request.scope.get("state", {}).get("request_id")
    return found
