"""Looking hosts up in DNS as this machine does."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address, ip_address

_AT_ONCE = 4
_threads = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="lookup")
"""Of their own: a name server that is away keeps them for long, and nobody else may have to wait for that."""


async def addresses_of(host: str) -> frozenset[str]:
    """The host's addresses; none where it has none, or the name server doesn't answer."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.run_in_executor(_threads, _ask, host)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(found)


def _ask(host: str) -> set[str]:
    answers = socket.getaddrinfo(f"{host}.", None, type=socket.SOCK_STREAM)  # the dot: no search list, just this name
    return {_plain(str(address[0])) for *_, address in answers}


def _plain(address: str) -> str:
    parsed = ip_address(address.partition("%")[0])
    return str((parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed)
