"""Listens for tenants on the gateway addresses of their networks, which come and go."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from innkeeper.broker.problems import BrokerListenFailed
from innkeeper.core.errors import PortTaken, Problem

_FREEBIND = getattr(socket, "IP_FREEBIND", 15)  # Linux's number; Python knows the name only from 3.14 on
_BACKLOG = 1024
_HEAD_LIMIT = 64 * 1024
_KEEP_ALIVE_S = 75
CONNECTIONS_EACH = 512
"""Of one address: four times the calls that a tenant may have under way. One more is closed unread, for each takes a
file descriptor and some twenty kilobytes of what all share."""


class BrokerListeners:
    """One HTTP server over many addresses: each can be added and left without the others noticing.

    Built from uvicorn's protocol and its shared state rather than from its Server, whose set of sockets is fixed.
    """

    def __init__(self, app: ASGIApp, *, port: int) -> None:
        self._app = app
        self._port = port
        # h11 and not httptools: it bounds what a client may send as headers.
        self._config = uvicorn.Config(
            self._serve,
            interface="asgi3",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            h11_max_incomplete_event_size=_HEAD_LIMIT,
        )
        self._config.load()
        self._state = ServerState()
        self._servers: dict[str, asyncio.Server] = {}
        self._connections: Counter[str] = Counter()
        self._changing = asyncio.Lock()

    @property
    def addresses(self) -> Sequence[str]:
        """Where it listens now."""
        return sorted(self._servers)

    def connections_of(self, peer: str) -> int:
        """How many the address has open."""
        return self._connections[peer]

    async def listen_on(self, addresses: Sequence[str]) -> None:
        """Listen on exactly these; streams on all others go on. PortTaken, after all that could be done is done."""
        failed: Problem | None = None
        async with self._changing:
            for address in self._servers.keys() - set(addresses):
                self._leave(address)
            for address in sorted(set(addresses) - self._servers.keys()):
                try:
                    self._servers[address] = await self._listen(address)
                except Problem as problem:
                    failed = failed or problem
        if failed:
            raise failed

    async def close(self, *, grace_s: float = 5.0) -> None:
        """Take nothing new, let what runs end within `grace_s`, then cut it off."""
        async with self._changing:
            for address in tuple(self._servers):
                self._leave(address)
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=grace_s)
        for task in self._state.tasks:
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        for connection in tuple(self._state.connections):
            connection.transport.close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Cut off by `close`: the connection ends without its last chunk, and the client knows.
        with suppress(asyncio.CancelledError):
            await self._app(scope, receive, send)

    async def _listen(self, address: str) -> asyncio.Server:
        listener = _bound(address, self._port)
        try:
            return await asyncio.get_running_loop().create_server(self._protocol, sock=listener, backlog=_BACKLOG)
        except OSError:
            listener.close()
            raise

    def _leave(self, address: str) -> None:
        self._servers.pop(address).close()
        for connection in tuple(self._state.connections):
            if isinstance(connection, H11Protocol) and connection.server and connection.server[0] == address:
                connection.shutdown()

    def _protocol(self) -> asyncio.Protocol:
        state: dict[str, Any] = {}
        protocol = _Connection(config=self._config, server_state=self._state, app_state=state)
        protocol.share(self._connections)
        return protocol


class _Connection(H11Protocol):
    """One of those that its peer may have."""

    def share(self, connections: Counter[str]) -> None:
        """Be counted there."""
        self._connections = connections
        self._peer: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve it, unless there are too many."""
        peer = str((transport.get_extra_info("peername") or ("",))[0])
        if self._connections[peer] >= CONNECTIONS_EACH:
            transport.abort()
            return
        self._connections[peer] += 1
        self._peer = peer
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another."""
        if self._peer is None:
            return
        self._connections[self._peer] -= 1
        if not self._connections[self._peer]:
            del self._connections[self._peer]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read nothing of those that are too many."""
        if self._peer is not None:
            super().data_received(data)


def _bound(address: str, port: int) -> socket.socket:
    # The protocol has to be named: asyncio turns Nagle's delay off (40 ms on a stream) only where it is.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The network, and its address with it, may come after us or go away for a while.
        listener.setsockopt(socket.IPPROTO_IP, _FREEBIND, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"Port {port} on {address} belongs to another program.",
                hint="Stop the other program, or set INNKEEPER_BROKER_PORT and restart the tenants.",
            ) from error
        raise BrokerListenFailed(f"The broker can't listen on {address}:{port}: {error.strerror}.") from error
    return listener
