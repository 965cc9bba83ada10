"""Chats, streamed from a tenant's own agent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.door import Upstream
from tests.api.bench import Bench
from tests.api.listening import stream, upto
from tests.api.talker import Talker
from tests.support.serving import serving


@pytest.fixture
async def talker(bench: Bench, url: str) -> AsyncIterator[Talker]:
    """Served at the tenant's very address."""
    talker = Talker()
    place = await bench.house.runtime.place((await bench.house.tenant()).slot)
    async with serving(talker, host=place.address) as address:
        bench.agent.port = int(address.rpartition(":")[2])
        yield talker


CHAT = "/v1/tenants/alice/chat"


async def test_a_chat_is_streamed_through_the_tenants_own_door(bench: Bench, url: str, talker: Talker) -> None:
    talker.go_on.clear()
    async with stream(bench, url, CHAT, {"message": "Hi"}) as events:
        assert (await upto(events, "delta"))[-1] == ("delta", {"text": "Hello "})
        talker.go_on.set()
        rest = [event async for event in events]
    assert rest == [("delta", {"text": "wörld"}), ("done", {"finish_reason": "stop"})]
    assert talker.asked == {"model": "plain", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    tenant = await bench.house.tenant()
    assert talker.headers[b"authorization"] == f"Bearer gateway-{tenant.id}-1".encode()
    assert bench.house.directory.last_activity(tenant) is not None


async def test_a_chat_wakes_the_tenant_and_works_with_its_own_key(bench: Bench, url: str, talker: Talker) -> None:
    _, secret = await bench.key()
    _, operation = await bench.house.control.sleep("alice", "stop", actor=SYSTEM)
    await bench.house.control.wait(operation.id, timeout_s=20)
    said = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}
    async with stream(bench, url, CHAT, said, token=secret) as events:
        assert (await upto(events, "done"))[-1][0] == "done"
    assert talker.asked["messages"] == said["messages"]
    assert secret not in json.dumps([value.decode() for value in talker.headers.values()])


async def test_whose_key_is_revoked_while_they_wait_tells_the_agent_nothing(
    bench: Bench, talker: Talker, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = await bench.key()
    enter = bench.inn.door.enter

    async def slowly(*args: Any, **more: Any) -> Upstream:
        upstream = await enter(*args, **more)
        await bench.house.keys.revoke("alice", key, actor=SYSTEM)
        return upstream

    monkeypatch.setattr(bench.inn.door, "enter", slowly)
    async with bench.client(secret) as client:
        answer = await client.post(CHAT, json={"message": "Pay the bill"})
    assert answer.status_code == 401
    assert talker.asked == {}


async def test_an_open_tenants_agent_is_entered_with_its_own_credential_all_the_same(
    bench: Bench, url: str, talker: Talker
) -> None:
    async with bench.client() as api:
        assert (await api.patch("/v1/tenants/alice?wait=20", json={"access": "open"})).status_code == 202
    async with stream(bench, url, CHAT, {"message": "Hi"}) as events:
        assert (await upto(events, "done"))[-1][0] == "done"
    assert talker.headers[b"authorization"].startswith(b"Bearer gateway-")


async def test_whoever_leaves_a_chat_stops_the_agent(bench: Bench, url: str, talker: Talker) -> None:
    talker.go_on.clear()
    async with stream(bench, url, CHAT, {"message": "Hi"}) as events:
        await upto(events, "delta")
    async with asyncio.timeout(10):
        await talker.left.wait()


@pytest.mark.parametrize(
    ("status", "kind", "answer"),
    [
        (500, b"application/json", b'{"error": "no sk-abcdefgh12345678"}'),
        (302, b"text/html", b""),
        (200, b"text/html", b"<h1>hello</h1>"),
        (200, b"text/event-stream", b"data: {broken\n\n"),
        (200, b"text/event-stream", b'data: {"error": {"message": "overloaded"}}\n\n'),
        (200, b"text/event-stream", b"data: [1]\n\n"),
        (200, b"application/json", b"x" * (5 << 20)),
        (200, b"text/event-stream", b"data: " + b"x" * (5 << 20)),
    ],
)
async def test_an_agent_that_answers_nonsense_is_an_error(
    status: int, kind: bytes, answer: bytes, bench: Bench, url: str, talker: Talker
) -> None:
    talker.status, talker.kind, talker.answer = status, kind, answer
    async with stream(bench, url, CHAT, {"message": "Hi"}) as events:
        seen = [event async for event in events]
    assert [(name, data["code"], data["status"]) for name, data in seen] == [("error", "agent_fault", 502)]


async def test_an_answer_that_comes_whole_is_one_delta(bench: Bench, url: str, talker: Talker) -> None:
    talker.kind = b"application/json"
    talker.answer = b'{"choices": [{"message": {"content": "All at once"}, "finish_reason": "stop"}]}'
    async with stream(bench, url, CHAT, {"message": "Hi"}) as events:
        seen = [event async for event in events]
    assert seen == [("delta", {"text": "All at once"}), ("done", {"finish_reason": "stop"})]


async def test_nobody_there_is_not_ready(bench: Bench, url: str) -> None:
    bench.agent.port = 1
    async with stream(bench, url, CHAT, {"message": "Hi"}) as events:
        assert [(name, data["code"]) async for name, data in events] == [("error", "tenant_not_ready")]


async def test_chats_that_cant_be(bench: Bench, url: str) -> None:
    async with bench.client() as api:
        for body in ({}, {"message": ""}, {"message": "a", "messages": []}, {"messages": [{"role": "tool"}]}):
            assert (await api.post(CHAT, json=body)).json()["code"] == "invalid_request"
        assert (await api.patch("/v1/tenants/alice?wait=20", json={"wanted": "asleep"})).status_code == 202
        asleep = await api.post(CHAT, json={"message": "Hi"})
        assert (asleep.status_code, asleep.json()["code"]) == (503, "tenant_asleep")
        assert int(asleep.headers["retry-after"]) > 0
        bench.agent.model = None
        mute = await api.post(CHAT, json={"message": "Hi"})
        assert (mute.status_code, mute.json()["code"]) == (409, "no_chat")
