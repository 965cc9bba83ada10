"""The host's name servers, asked over real sockets: slow, silent, lying, or sending one over to TCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from innkeeper.resolver import upstream
from innkeeper.resolver.upstream import HostServers, NobodyAnswers
from tests.support.serving import free_port

FIRST, SECOND = "127.0.0.1", "127.0.1.1"
Reply = Callable[[dns.message.Message], dns.message.Message | None]


def good(question: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(question)
    (asked,) = question.question
    response.answer.append(dns.rrset.from_text(asked.name, 60, "IN", "A", "203.0.113.7"))
    return response


def failing(question: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(question)
    response.set_rcode(dns.rcode.SERVFAIL)
    return response


def cut(question: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(question)
    response.flags |= dns.flags.TC
    return response


def forged(question: dns.message.Message) -> dns.message.Message:
    response = good(question)
    response.id = question.id ^ 1
    return response


def silent(_question: dns.message.Message) -> None:
    return None


class _Server(asyncio.DatagramProtocol):
    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if (said := self._reply(dns.message.from_wire(data))) is not None:
            self._transport.sendto(said.to_wire(), addr)  # type: ignore[attr-defined]


@asynccontextmanager
async def serving(address: str, port: int, reply: Reply, over_tcp: Reply = silent) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(2), "big")
        said = over_tcp(dns.message.from_wire(await reader.readexactly(length)))
        if said is not None:
            wire = said.to_wire()
            writer.write(len(wire).to_bytes(2, "big") + wire)
        writer.close()

    udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Server(reply), local_addr=(address, port)
    )
    tcp = await asyncio.start_server(serve, address, port)
    try:
        yield
    finally:
        udp.close()
        tcp.close()
        await asyncio.sleep(0)  # a transport closes its socket a turn later


@pytest.fixture
def port() -> int:
    return free_port()


async def asked(port: int) -> dns.message.Message:
    return await HostServers(lambda: [FIRST, SECOND], port=port).ask(dns.message.make_query("a.example", "A"))


async def test_the_first_answers(port: int) -> None:
    async with serving(FIRST, port, good), serving(SECOND, port, failing):
        assert (await asked(port)).rcode() == dns.rcode.NOERROR


async def test_the_second_is_asked_where_the_first_fails(port: int) -> None:
    async with serving(FIRST, port, failing), serving(SECOND, port, good):
        assert (await asked(port)).rcode() == dns.rcode.NOERROR
    async with serving(FIRST, port, failing), serving(SECOND, port, failing):
        assert (await asked(port)).rcode() == dns.rcode.SERVFAIL


async def test_the_second_is_asked_where_the_first_is_silent_or_lies(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "EACH_S", 0.2)
    for reply in (silent, forged):
        async with serving(FIRST, port, reply), serving(SECOND, port, good):
            assert (await asked(port)).answer


async def test_a_long_answer_is_fetched_over_tcp(port: int) -> None:
    async with serving(FIRST, port, cut, over_tcp=good):
        assert (await asked(port)).answer
    async with serving(FIRST, port, cut, over_tcp=silent), serving(SECOND, port, good):
        assert (await asked(port)).answer


async def test_nobody_answers(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "IN_ALL_S", 0.3)
    with pytest.raises(NobodyAnswers):
        await asked(port)
    async with serving(FIRST, port, silent):
        with pytest.raises(NobodyAnswers):
            await asked(port)
    with pytest.raises(NobodyAnswers):
        await HostServers(list, port=port).ask(dns.message.make_query("a.example", "A"))
