"""Judges where connections may go: each name is resolved once, and each of its addresses must be allowed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from ipaddress import ip_address
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from innkeeper.broker.addresses import Address, is_metadata, is_public, literal
from innkeeper.broker.problems import DestinationRefused

_ADDRESSES_TRIED = 4
_LOOKUPS_AT_ONCE, _LOOKUPS_EACH = 32, 8
"""In all, and for one tenant: a look-up can't be called off, and a name server that stays silent holds it for long."""

ON_BEHALF_OF: ContextVar[str] = ContextVar("on_behalf_of", default="")
"""The id of the tenant whose call is under way; empty for what is nobody's."""

Resolve = Callable[[str, int], list[Address]]
"""All addresses of a host; blocks, and raises OSError."""


def addresses_of(host: str, port: int) -> list[Address]:
    """What the system's resolver says."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(place[0]) for *_, place in found))


class Guard:
    """Gives the addresses that may be connected to."""

    def __init__(self, private_hosts: Iterable[str], resolve: Resolve) -> None:
        self._private_hosts = frozenset(_normal(host) for host in private_hosts)
        self._resolve = resolve
        # Threads of its own: names that never resolve may hold up these, and nobody else's.
        self._lookups = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="resolve")
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def judged(self, host: str, port: int) -> list[Address]:
        """The name's addresses; raises DestinationRefused when one of them is out of bounds, and OSError.

        One is enough: a name that has both public and private addresses is what an attack looks like.
        """
        try:
            addresses = await self._looked_up(host, port)
        except UnicodeError as error:
            raise OSError(f"{host} can't be a name") from error
        if not addresses:
            raise OSError(f"{host} has no address")
        self.judge(host, port, addresses)
        return addresses[:_ADDRESSES_TRIED]

    async def _looked_up(self, host: str, port: int) -> list[Address]:
        """In the tenant's turn, which is over when the look-up is, and not when somebody gives it up."""
        loop = asyncio.get_running_loop()
        turns = self._turns.setdefault(ON_BEHALF_OF.get(), asyncio.Semaphore(_LOOKUPS_EACH))
        await turns.acquire()

        def over(lookup: Future[list[Address]]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(turns.release)

        try:
            lookup = self._lookups.submit(self._resolve, host, port)
        except BaseException:
            turns.release()
            raise
        lookup.add_done_callback(over)
        return await asyncio.wrap_future(lookup)

    def judge(self, host: str, port: int, addresses: Iterable[Address]) -> None:
        """Raise DestinationRefused where one of the host's addresses is out of bounds."""
        named = not self._private_hosts.isdisjoint((_normal(host), _normal(_joined(host, port))))
        for address in addresses:
            if is_metadata(address) or not (named or is_public(address)):
                raise DestinationRefused(f"{host} isn't on the public internet.")

    def close(self) -> None:
        """Start no look-up any more."""
        self._lookups.shutdown(wait=False, cancel_futures=True)


def spelled_out(urls: Iterable[str]) -> list[str]:
    """`HOST:PORT` of those URLs whose host is `localhost` or a private address as it stands.

    Whoever writes that into the settings means it. A name doesn't count: its owner may change what it means.
    """
    return [
        _joined(host, port)
        for host, port in map(_place_of, urls)
        if host == "localhost" or ((address := literal(host)) and not is_public(address))
    ]


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
