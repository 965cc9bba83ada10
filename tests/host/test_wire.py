"""The wire over real sockets: who is in use, and at whom somebody knocks."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Network

import pytest

from innkeeper.host.wire import Wire

CLIENT = """
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print("open", flush=True)
for line in sys.stdin:
    connection.sendall(b"x" * int(line))
    print("sent", flush=True)
"""


class Stranger:
    """A client in a process of its own: connections of ours don't count."""

    def __init__(self, address: str, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, address, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def told(self) -> None:
        """Wait for its next word."""
        assert self._process.stdout is not None
        await asyncio.to_thread(self._process.stdout.readline)

    async def send(self, count: int) -> None:
        """Have it send so many bytes, and let them arrive."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        await self.told()
        await asyncio.sleep(0.1)

    def end(self) -> None:
        """It goes."""
        self._process.kill()
        self._process.communicate()


@asynccontextmanager
async def connected(*, answers: bool = False, pings: bool = False) -> AsyncIterator[tuple[str, Stranger, Wire]]:
    network = f"127.{100 + secrets.randbelow(100)}.{secrets.randbelow(256)}"
    address = f"{network}.7"

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            if answers or (pings and len(piece) == 50):
                await asyncio.sleep(0.02)  # so much later that the kernel's milliseconds tell
                writer.write(piece[:10])
        writer.close()

    server = await asyncio.start_server(swallow, address, 0)
    stranger = Stranger(address, server.sockets[0].getsockname()[1])
    await stranger.told()
    wire = Wire(networks=lambda: [IPv4Network(f"{network}.0/24")], quiet_bytes_per_s=1.0)
    try:
        yield address, stranger, wire
    finally:
        stranger.end()
        server.close()


async def test_a_silent_connection_is_no_use() -> None:
    async with connected() as (_, _, wire):
        for _ in range(3):
            moves = await wire.look()
            assert (moves.in_use, moves.knocked_at) == (frozenset(), frozenset())


@pytest.mark.parametrize("count", [70, 5000])
async def test_bytes_are_use_and_a_knock_until_the_next_look(count: int) -> None:
    async with connected() as (address, stranger, wire):
        await wire.look()
        await stranger.send(count)
        moves = await wire.look()
        assert (moves.in_use, moves.knocked_at) == ({address}, {address})
        moves = await wire.look()
        assert (moves.in_use, moves.knocked_at) == (frozenset(), frozenset())


async def test_what_we_say_ourselves_is_no_use() -> None:
    async with connected() as (address, _, wire):
        server = await asyncio.start_server(lambda reader, writer: None, address, 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await wire.look()
        writer.write(b"a question of ours" * 100)
        await writer.drain()
        await asyncio.sleep(0.1)
        moves = await wire.look()
        assert (moves.in_use, moves.knocked_at) == (frozenset(), frozenset())
        writer.close()
        server.close()


@pytest.mark.parametrize("answers", [True, False])
async def test_an_answer_is_awaited_until_it_comes(answers: bool) -> None:
    async with connected(answers=answers) as (address, stranger, wire):
        assert (await wire.look()).awaited == frozenset()
        await stranger.send(50)
        assert (await wire.look()).awaited == (frozenset() if answers else {address})


@pytest.mark.parametrize(("says", "is_awaited"), [(10, False), (60, True)])
async def test_an_answer_to_a_ping_awaits_nothing(says: int, is_awaited: bool) -> None:
    async with connected(pings=True) as (address, stranger, wire):
        await wire.look()
        await stranger.send(50)  # and the tenant pings
        assert (await wire.look()).awaited == frozenset()
        await stranger.send(says)
        for _ in range(2):
            assert (await wire.look()).awaited == ({address} if is_awaited else frozenset())
