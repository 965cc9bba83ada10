"""Listens for tenants' questions on the gateway addresses of their networks, over UDP and TCP (RFC 1035, 7766)."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import cast

import structlog

from innkeeper.core.errors import PortTaken, Problem
from innkeeper.resolver.problems import NamesListenFailed
from innkeeper.resolver.wire import QUERY_MAX

log = structlog.get_logger("innkeeper.resolver")

UNDER_WAY_MAX = 2048
"""So many datagrams are looked at all at once; one more is dropped unread."""
CONNECTIONS_EACH, CONNECTIONS_IN_ALL = 16, 1024
IDLE_S, QUESTIONS_EACH = 10.0, 200
"""How long a connection may be silent, in seconds, and how many questions it may be used for."""
_FREEBIND = getattr(socket, "IP_FREEBIND", 15)  # Linux's number; Python knows the name only from 3.14 on

Answer = Callable[..., Awaitable[bytes | None]]
"""`NameServer.answer`."""


class NameListeners:
    """One name server over many addresses, which come and go."""

    def __init__(self, answer: Answer, *, port: int) -> None:
        self._answer = answer
        self._port = port
        self._udp: dict[str, asyncio.DatagramTransport] = {}
        self._tcp: dict[str, asyncio.Server] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._conversations: set[asyncio.Task[None]] = set()
        self._connections: Counter[str] = Counter()
        self._changing = asyncio.Lock()

    @property
    def addresses(self) -> Sequence[str]:
        """Where it listens now."""
        return sorted(self._udp.keys() & self._tcp.keys())

    async def listen_on(self, addresses: Collection[str]) -> None:
        """Listen on exactly these; PortTaken, after all that could be done is done."""
        failed: Problem | None = None
        async with self._changing:
            for address in (self._udp.keys() | self._tcp.keys()) - set(addresses):
                self._leave(address)
            for address in sorted(set(addresses) - set(self.addresses)):
                try:
                    await self._listen(address)
                except Problem as problem:
                    self._leave(address)
                    failed = failed or problem
        if failed:
            raise failed

    async def close(self) -> None:
        """Leave everything, at once."""
        async with self._changing:
            for address in tuple(self._udp.keys() | self._tcp.keys()):
                self._leave(address)
        for task in (running := [*self._tasks, *self._conversations]):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _listen(self, address: str) -> None:
        loop = asyncio.get_running_loop()
        bound = _bound(address, self._port, socket.SOCK_DGRAM, socket.IPPROTO_UDP)
        self._udp[address], _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=bound)
        bound = _bound(address, self._port, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._tcp[address] = await asyncio.start_server(self._serve, sock=bound)

    def _leave(self, address: str) -> None:
        if udp := self._udp.pop(address, None):
            udp.close()
        if tcp := self._tcp.pop(address, None):
            tcp.close()

    # --- UDP ----------------------------------------------------------------------------------------------------------

    def heard(self, question: bytes, sender: tuple[str, int], transport: asyncio.DatagramTransport) -> None:
        """A datagram came."""
        if len(self._tasks) < UNDER_WAY_MAX:
            self._keep(asyncio.create_task(self._send_back(question, sender, transport), name="a name"))

    async def _send_back(self, question: bytes, sender: tuple[str, int], transport: asyncio.DatagramTransport) -> None:
        answer = await self._answer(sender[0], question)
        if answer is not None and not transport.is_closing():
            transport.sendto(answer, sender)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()):
            log.error("a question wasn't answered", exc_info=fault)

    # --- TCP ----------------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        sender: str = writer.get_extra_info("peername")[0]
        if task is not None:
            self._conversations.add(task)
            task.add_done_callback(self._conversations.discard)
        self._connections[sender] += 1
        try:
            if self._connections[sender] <= CONNECTIONS_EACH and len(self._conversations) <= CONNECTIONS_IN_ALL:
                with suppress(TimeoutError, asyncio.IncompleteReadError, OSError):
                    await self._converse(sender, reader, writer)
        finally:
            self._connections[sender] -= 1
            if not self._connections[sender]:
                del self._connections[sender]
            writer.close()

    async def _converse(self, sender: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(QUESTIONS_EACH):
            async with asyncio.timeout(IDLE_S):
                length = int.from_bytes(await reader.readexactly(2), "big")
                if length > QUERY_MAX:
                    return
                question = await reader.readexactly(length)
            answer = await self._answer(sender, question, over_tcp=True)
            if answer is None:
                return
            async with asyncio.timeout(IDLE_S):
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, listeners: NameListeners) -> None:
        self._listeners = listeners
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # not by inheritance, in some event loops

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None:
            self._listeners.heard(data, addr, self._transport)


def _bound(address: str, port: int, kind: socket.SocketKind, protocol: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, kind, protocol)
    try:
        if kind is socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The network, and its address with it, may come after us or go away for a while.
        bound.setsockopt(socket.IPPROTO_IP, _FREEBIND, 1)
        bound.bind((address, port))
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"Port {port} on {address} belongs to another program.",
                hint="Stop the other program, or set INNKEEPER_NAMES_PORT.",
            ) from error
        raise NamesListenFailed(f"The name server can't listen on {address}:{port}: {error.strerror}.") from error
    return bound
