"""Addresses come and go; streams on the others stay."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import httpx2
import pytest

from innkeeper.broker.demo import DemoModel
from innkeeper.broker.listener import CONNECTIONS_EACH
from innkeeper.broker.problems import BrokerListenFailed
from innkeeper.core.errors import PortTaken
from tests.broker.house import ALICE, BOB, MESSAGES, House, house_with, message, until
from tests.support.fake_provider import FakeProvider, Gated

FIRST, SECOND = "127.0.0.1", "127.0.1.1"


async def healthy(house: House, address: str) -> bool:
    """Whether the broker answers there."""
    async with httpx2.AsyncClient(base_url=house.url.replace(FIRST, address)) as client:
        try:
            return (await client.get("/health")).status_code == 200
        except httpx2.ConnectError:
            return False


async def test_addresses_are_added_and_left(demo_house: House) -> None:
    listeners = demo_house.listeners
    assert await healthy(demo_house, FIRST)
    assert not await healthy(demo_house, SECOND)
    for _ in range(2):
        await listeners.listen_on([FIRST, SECOND, SECOND])
        assert listeners.addresses == [FIRST, SECOND]
        assert await healthy(demo_house, FIRST)
        assert await healthy(demo_house, SECOND)
    await listeners.listen_on([SECOND])
    assert not await healthy(demo_house, FIRST)
    assert await healthy(demo_house, SECOND)
    await listeners.listen_on([])
    assert listeners.addresses == []


async def test_streams_live_through_changes_even_of_their_own_address(
    anthropic_house: House, fake: FakeProvider
) -> None:
    fake.script = gated = Gated()
    async with anthropic_house.client().stream("POST", MESSAGES, json=message(stream=True)) as answer:
        chunks = answer.aiter_raw()
        await anext(chunks)
        await anthropic_house.listeners.listen_on([FIRST, SECOND])
        await anthropic_house.listeners.listen_on([SECOND])
        gated.go.set()
        assert b"message_stop" in b"".join([chunk async for chunk in chunks])


async def test_small_events_arent_delayed_by_nagle(demo_house: House) -> None:
    client = demo_house.client()
    assert (await client.get("/health")).status_code == 200
    (connection,) = demo_house.listeners._state.connections
    accepted = connection.transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_address_that_isnt_there_yet(demo_house: House) -> None:
    await demo_house.listeners.listen_on([FIRST, "192.0.2.77"])
    assert await healthy(demo_house, FIRST)


async def test_taken_port_is_named_and_the_rest_is_served(demo_house: House) -> None:
    port = int(demo_house.url.rpartition(":")[2])
    with socket.socket() as other:
        other.bind((SECOND, port))
        other.listen()
        with pytest.raises(PortTaken, match=f"{port} on {SECOND}") as raised:
            await demo_house.listeners.listen_on([FIRST, SECOND, "127.0.1.2"])
        assert "INNKEEPER_BROKER_PORT" in raised.value.hint
        assert await healthy(demo_house, FIRST)
        assert await healthy(demo_house, "127.0.1.2")
    await demo_house.listeners.listen_on([FIRST, SECOND])
    assert await healthy(demo_house, SECOND)


async def test_what_is_no_address(demo_house: House) -> None:
    with pytest.raises(BrokerListenFailed):
        await demo_house.listeners.listen_on([FIRST, "not an address"])
    assert await healthy(demo_house, FIRST)


async def test_close_lets_streams_end(anthropic_house: House, fake: FakeProvider) -> None:
    fake.script = gated = Gated()
    async with anthropic_house.client().stream("POST", MESSAGES, json=message(stream=True)) as answer:
        chunks = answer.aiter_raw()
        await anext(chunks)
        closing = asyncio.create_task(anthropic_house.listeners.close(grace_s=60))
        await until(lambda: not anthropic_house.listeners.addresses)
        assert not await healthy(anthropic_house, FIRST)
        gated.go.set()
        assert b"message_stop" in b"".join([chunk async for chunk in chunks])
    await closing


async def test_close_cuts_off_what_doesnt_end_and_the_client_can_tell(
    anthropic_house: House, fake: FakeProvider
) -> None:
    fake.script = gated = Gated()
    async with anthropic_house.client().stream("POST", MESSAGES, json=message(stream=True)) as answer:
        chunks = answer.aiter_raw()
        await anext(chunks)
        await anthropic_house.listeners.close(grace_s=0)
        with pytest.raises(httpx2.RemoteProtocolError):
            [chunk async for chunk in chunks]
    await gated.abandoned.wait()
    assert anthropic_house.broker.in_flight("alice") == 0


async def test_forwarded_headers_and_websockets_change_nothing() -> None:
    async with house_with(DemoModel()) as house:
        client = house.client(ALICE, {"x-forwarded-for": "127.0.0.9"})
        upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
        answer = await client.get("/v1/models", headers={**upgrade, "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="})
        assert answer.status_code == 401
        assert "server" not in answer.headers


async def test_one_tenant_cant_have_all_connections(demo_house: House) -> None:
    port = int(demo_house.url.rpartition(":")[2])
    opened = [await asyncio.open_connection(FIRST, port, local_addr=(BOB, 0)) for _ in range(CONNECTIONS_EACH)]
    one_more, writer = await asyncio.open_connection(FIRST, port, local_addr=(BOB, 0))
    with suppress(ConnectionResetError):
        assert await one_more.read() == b""
    assert (await demo_house.client(ALICE).get("/v1/models")).status_code == 200, "others aren't touched"
    for _, each in [*opened, (one_more, writer)]:
        each.close()
    await until(lambda: not demo_house.listeners.connections_of(BOB))
    assert (await demo_house.client(BOB).get("/v1/models")).status_code == 200
