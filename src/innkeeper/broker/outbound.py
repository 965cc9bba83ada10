"""The way out: connections to where providers and tools answer, and to nothing inside.

A URL that a tenant may set, or a name whose owner may point it anywhere, must not become a way into the operator's
own networks. So each connection's name is resolved once, every address is judged, and the connection goes to a judged
address: a name that says something else a moment later (DNS rebinding) gains nothing. The certificate is still checked
against the name.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import httpx2

from innkeeper.broker.addresses import Address, is_metadata, is_public, literal
from innkeeper.broker.problems import DestinationRefused

PATIENT = httpx2.Timeout(connect=10.0, read=300.0, write=60.0, pool=10.0)
"""For models: they may think for minutes before they say anything."""
_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=15.0)
_ADDRESSES_TRIED = 4
_LOOKUPS_AT_ONCE = 8

Resolve = Callable[[str, int], list[Address]]
"""All addresses of a host; blocks, and raises OSError."""


def outbound_client(
    private_hosts: Iterable[str] = (), *, timeout: httpx2.Timeout = PATIENT, resolve: Resolve | None = None
) -> httpx2.AsyncClient:
    """A client for calls to the outside, which keeps no memory of earlier calls.

    `private_hosts` names, as `HOST` or `HOST:PORT`, whom it may reach wherever they are. Everybody else must be on the
    public internet; DestinationRefused is raised otherwise, and ever for a cloud's metadata. It follows no redirect
    unless a request asks for it, and then each is judged as the first was; a caller that asks must take care of its
    own credentials, for only `Authorization` is dropped on the way to another host. A proxy that the environment
    names isn't used: names would be resolved there, and nothing judged.
    """
    transport = _Transport(_Guard(private_hosts, resolve or _addresses_of))
    # No cookies: what a provider sets for one tenant's call must not ride along with another's.
    cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx2.AsyncClient(
        timeout=timeout, transport=transport, follow_redirects=False, cookies=cookies, trust_env=False
    )


def spelled_out(urls: Iterable[str]) -> list[str]:
    """`HOST:PORT` of those URLs whose host is `localhost` or a private address as it stands.

    Whoever writes that into the settings means it. A name doesn't count: its owner may change what it means.
    """
    return [
        _joined(host, port)
        for host, port in map(_place_of, urls)
        if host == "localhost" or ((address := literal(host)) and not is_public(address))
    ]


class _Transport(httpx2.AsyncHTTPTransport):
    """The usual transport, but every connection of it is made by the guard."""

    def __init__(self, guard: _Guard) -> None:
        super().__init__(limits=_LIMITS)
        self._guard = guard
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(),
            max_connections=_LIMITS.max_connections,
            max_keepalive_connections=_LIMITS.max_keepalive_connections,
            keepalive_expiry=_LIMITS.keepalive_expiry,
            network_backend=guard,
        )

    async def aclose(self) -> None:
        """Close the connections, and start no look-up any more."""
        await super().aclose()
        self._guard.close()


class _Guard(httpcore2.AsyncNetworkBackend):
    """Resolves, judges, and connects to what it judged."""

    def __init__(self, private_hosts: Iterable[str], resolve: Resolve) -> None:
        self._private_hosts = frozenset(_normal(host) for host in private_hosts)
        self._resolve = resolve
        self._network = httpcore2.AnyIOBackend()
        # Threads of its own: names that never resolve may hold up these, and nobody else's.
        self._lookups = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="resolve")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers; each gets its share of the time."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._judged(host, port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"{host} doesn't resolve in time") from error
        share = timeout / len(addresses) if timeout else None
        *firsts, last = addresses
        for address in firsts:
            with suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                return await self._network.connect_tcp(str(address), port, share, local_address, socket_options)
        return await self._network.connect_tcp(str(last), port, share, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._network.sleep(seconds)

    def close(self) -> None:
        """Start no look-up any more."""
        self._lookups.shutdown(wait=False, cancel_futures=True)

    async def _judged(self, host: str, port: int) -> list[Address]:
        """The host's addresses, or DestinationRefused when one of them is out of bounds.

        One is enough: a name that has both public and private addresses is what an attack looks like.
        """
        addresses = [known] if (known := literal(host)) else await self._look_up(host, port)
        if not addresses:
            raise httpcore2.ConnectError(f"{host} has no address")
        named = not self._private_hosts.isdisjoint((_normal(host), _normal(_joined(host, port))))
        for address in addresses:
            if is_metadata(address) or not (named or is_public(address)):
                raise DestinationRefused(f"{host} isn't on the public internet.")
        return addresses[:_ADDRESSES_TRIED]

    async def _look_up(self, host: str, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._lookups, self._resolve, host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"{host} doesn't resolve") from error


def _addresses_of(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(place[0]) for *_, place in found))


def _place_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return (parts.hostname or "").rstrip("."), parts.port or (443 if parts.scheme == "https" else 80)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _normal(place: str) -> str:
    """`HOST` or `HOST:PORT` in one spelling: lower case, no final dot, addresses as they are usually written."""
    place = place.strip().lower()
    host, colon, port = place, "", ""
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        colon, port = rest[:1], rest[1:]
    elif place.count(":") == 1:
        host, colon, port = place.partition(":")
    host = host.rstrip(".")
    address = literal(host)
    host = str(address) if address else host
    return _joined(host, int(port)) if colon and port.isdigit() else host
