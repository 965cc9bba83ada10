"""The name server's sockets: they come and go, and nobody can hold them up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from innkeeper.core.errors import PortTaken
from innkeeper.resolver.listening import CONNECTIONS_EACH, NameListeners
from innkeeper.resolver.problems import NamesListenFailed
from tests.support.serving import free_port

FIRST, SECOND = "127.0.0.1", "127.0.1.1"


class Echo:
    """Answers with what it was asked; `silent` with nothing, `broken` not at all."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes, bool]] = []

    async def __call__(self, address: str, question: bytes, *, over_tcp: bool = False) -> bytes | None:
        self.asked.append((address, question, over_tcp))
        if question == b"broken":
            raise ValueError(question)
        return None if question == b"silent" else b"re: " + question


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def listeners(echo: Echo) -> AsyncIterator[NameListeners]:
    listeners = NameListeners(echo, port=free_port())
    yield listeners
    await listeners.close()


async def by_udp(address: str, port: int, question: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        asker.connect((address, port))
        await loop.sock_sendall(asker, question)
        async with asyncio.timeout(5):
            return await loop.sock_recv(asker, 4096)


async def by_tcp(address: str, port: int, *questions: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_connection(address, port)
    answers = []
    async with asyncio.timeout(5):
        for question in questions:
            writer.write(len(question).to_bytes(2, "big") + question)
            try:
                length = int.from_bytes(await reader.readexactly(2), "big")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            answers.append(await reader.readexactly(length))
    writer.close()
    return answers


async def test_both_ways_on_every_address(listeners: NameListeners, echo: Echo) -> None:
    port = listeners._port
    await listeners.listen_on([FIRST, SECOND])
    assert listeners.addresses == [FIRST, SECOND]
    assert await by_udp(SECOND, port, b"a") == b"re: a"
    assert await by_tcp(FIRST, port, b"b", b"c") == [b"re: b", b"re: c"]
    assert [(question, over_tcp) for _, question, over_tcp in echo.asked] == [(b"a", False), (b"b", True), (b"c", True)]
    await listeners.listen_on([SECOND])
    await asyncio.sleep(0)  # a transport closes its socket a turn later
    with pytest.raises(ConnectionError):
        await by_udp(FIRST, port, b"d")
    assert await by_udp(SECOND, port, b"d") == b"re: d"


async def test_a_question_that_breaks_the_server_breaks_nothing_else(listeners: NameListeners) -> None:
    port = listeners._port
    await listeners.listen_on([FIRST])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for question in (b"broken", b"silent", b"", b"x" * 60_000):
            asker.sendto(question, (FIRST, port))
    assert await by_udp(FIRST, port, b"a") == b"re: a"


async def test_a_long_question_and_a_silent_answer_end_the_connection(listeners: NameListeners) -> None:
    port = listeners._port
    await listeners.listen_on([FIRST])
    assert await by_tcp(FIRST, port, b"x" * 5000) == []
    assert await by_tcp(FIRST, port, b"silent") == []
    assert await by_tcp(FIRST, port, b"a") == [b"re: a"]


async def test_so_many_connections_of_one_tenant(listeners: NameListeners) -> None:
    port = listeners._port
    await listeners.listen_on([FIRST])
    idle = [await asyncio.open_connection(FIRST, port) for _ in range(CONNECTIONS_EACH)]
    assert await by_tcp(FIRST, port, b"a") == []
    assert await by_udp(FIRST, port, b"a") == b"re: a"
    for _, writer in idle:
        writer.close()
    async with asyncio.timeout(5):
        while await by_tcp(FIRST, port, b"a") != [b"re: a"]:
            await asyncio.sleep(0.01)


async def test_a_taken_port_is_named_and_the_rest_is_served(listeners: NameListeners) -> None:
    port = listeners._port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((FIRST, port))
        with pytest.raises(PortTaken, match=f"{port} on {FIRST}") as raised:
            await listeners.listen_on([FIRST, SECOND])
        assert "INNKEEPER_NAMES_PORT" in raised.value.hint
        assert listeners.addresses == [SECOND]
        assert await by_udp(SECOND, port, b"a") == b"re: a"
    await listeners.listen_on([FIRST, SECOND])
    assert await by_udp(FIRST, port, b"a") == b"re: a"


async def test_addresses_that_arent_there_yet_and_what_is_none(listeners: NameListeners) -> None:
    with pytest.raises(NamesListenFailed):
        await listeners.listen_on(["192.0.2.77", "not an address"])
    assert listeners.addresses == ["192.0.2.77"]


async def test_the_end_cuts_everything_off(listeners: NameListeners) -> None:
    await listeners.listen_on([FIRST])
    reader, writer = await asyncio.open_connection(FIRST, listeners._port)
    await listeners.close()
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    assert listeners.addresses == []
