"""Probes: short, curious about nothing, and gone without a trace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from innkeeper.core.ports import Probe
from innkeeper.edge.prober import HttpProber
from tests.support.serving import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n"


Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that reads a request's head, answers, and waits until the other side goes; its port, what it heard."""
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        try:
            await answer(writer)
            heard.append(await reader.read())
        except ConnectionError:
            heard.append(b"")
        finally:
            writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], heard


@pytest.fixture
async def prober() -> AsyncIterator[HttpProber]:
    """A prober."""
    prober = HttpProber()
    yield prober
    await prober.close()


async def test_an_answer_and_no_connection_is_kept(prober: HttpProber) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b'{"ok":true}')

    async with answering(answer) as (port, heard):
        probe = Probe(port=port, path="/readyz", headers={"X-Forwarded-For": "192.0.2.1"})
        assert await prober.ask("127.0.0.1", probe) == (200, b'{"ok":true}')
        while len(heard) < 2:
            await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0.01))])

    assert heard[0].startswith(b"GET /readyz HTTP/1.1\r\n")
    assert b"x-forwarded-for: 192.0.2.1" in heard[0].lower()
    assert heard[1] == b""


async def test_a_redirect_is_an_answer_and_isnt_followed(prober: HttpProber) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    async with answering(answer) as (port, heard):
        assert await prober.ask("127.0.0.1", Probe(port=port, path="/")) == (302, b"")

    assert len([head for head in heard if head]) == 1


async def test_an_endless_body_is_cut(prober: HttpProber) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()

    async with answering(answer) as (port, _):
        assert await prober.ask("127.0.0.1", Probe(port=port, path="/")) == (200, b"x" * 65536)


async def test_silence_ends_with_the_time_out(prober: HttpProber) -> None:
    async def answer(_: asyncio.StreamWriter) -> None:
        pass

    async with answering(answer) as (port, _):
        assert await prober.ask("127.0.0.1", Probe(port=port, path="/", timeout_s=0.05)) is None


async def test_a_body_that_drips_ends_with_the_time_out(prober: HttpProber) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        while True:
            writer.write(b"")
            await asyncio.sleep(0.01)

    async with answering(answer) as (port, _):
        assert await prober.ask("127.0.0.1", Probe(port=port, path="/", timeout_s=0.05)) is None


@pytest.mark.parametrize("nonsense", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx"])
async def test_nonsense_is_no_answer(prober: HttpProber, nonsense: bytes) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(nonsense)
        writer.close()

    async with answering(answer) as (port, _):
        assert await prober.ask("127.0.0.1", Probe(port=port, path="/")) is None


async def test_nobody_there(prober: HttpProber) -> None:
    assert await prober.ask("127.0.0.1", Probe(port=free_port(), path="/")) is None
