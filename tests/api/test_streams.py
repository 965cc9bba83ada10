"""Streams: events and logs, and how any stream ends."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.types import Scope

from innkeeper.api import sse
from innkeeper.core.access import SYSTEM
from innkeeper.core.events import Subscription, TenantChanged
from innkeeper.core.instance import Instance, LogLine
from tests.api.bench import Bench
from tests.api.listening import stream, upto

# --- events -----------------------------------------------------------------------------------------------------------


async def test_events_tell_what_happens_as_it_happens(bench: Bench, url: str) -> None:
    async with stream(bench, url, "/v1/events") as events:
        await upto(events, "listening")
        await bench.tenant("bob")
        seen = await upto(events, "operation")
        while seen[-1][1]["operation"]["status"] != "done":
            seen += await upto(events, "operation")
        assert {data["tenant"] for name, data in seen if name != "listening"} == {"bob"}
        changed = next(data for name, data in seen if name == "tenant.changed")
        assert changed["now"]["name"] == "bob"
        states = [data["now"]["state"] for name, data in seen if name == "tenant.state"]
        assert states[-1] == "running"
        await bench.house.control.delete("bob", purge=True, actor=SYSTEM)
        assert (await upto(events, "tenant.gone"))[-1][1]["tenant"] == "bob"


async def test_a_tenants_events_are_its_own_and_end_with_it(bench: Bench, url: str) -> None:
    async with stream(bench, url, "/v1/tenants/alice/events") as events:
        await upto(events, "listening")
        await bench.tenant("bob")
        await bench.house.control.delete("alice", purge=True, actor=SYSTEM)
        seen = [event async for event in events]
    assert {data["tenant"] for _, data in seen} == {"alice"}
    assert seen[-1][0] == "tenant.gone"


async def test_a_slow_listener_is_told_what_it_missed_and_holds_nothing_up(bench: Bench) -> None:
    """The client reads nothing, so the socket fills; memory stays bounded by the queues."""
    tenant = await _some_tenant(bench)
    blocked, go_on = asyncio.Event(), asyncio.Event()
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and sent:
            blocked.set()
            await go_on.wait()
        sent.append(message.get("body", b""))

    request = asyncio.create_task(bench.app(_get(bench, "/v1/events"), _forever, send))
    bench.house.bus.publish(TenantChanged(tenant="alice", now=tenant))
    while not blocked.is_set():
        await asyncio.sleep(0)
        bench.house.bus.publish(TenantChanged(tenant="alice", now=tenant))
    for _ in range(5000):
        bench.house.bus.publish(TenantChanged(tenant="alice", now=tenant))
        await asyncio.sleep(0)
    go_on.set()
    while b"event: lagged" not in b"".join(sent):
        await asyncio.sleep(0)
        bench.house.bus.publish(TenantChanged(tenant="alice", now=tenant))
    assert b"".join(sent).count(b"event: tenant.changed") < 1000
    bench.inn.stopping.set()
    async with asyncio.timeout(10):
        await request


async def _some_tenant(bench: Bench) -> Any:
    await bench.tenant()
    return await bench.house.tenant()


def _get(bench: Bench, path: str) -> Scope:
    headers = [(b"authorization", f"Bearer {bench.admin_token}".encode())]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


async def _forever() -> Any:
    await asyncio.Event().wait()


# --- how streams end --------------------------------------------------------------------------------------------------


async def test_streams_and_waiting_requests_end_when_the_server_stops(bench: Bench) -> None:
    await bench.tenant()
    bench.house.prober.answer = None
    server = uvicorn.Server(uvicorn.Config(bench.app, log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        serve = asyncio.create_task(server.serve(sockets=[listener]))
        headers = {"Authorization": f"Bearer {bench.admin_token}"}
        async with (
            httpx2.AsyncClient(base_url=url, timeout=20, headers=headers) as client,
            stream(bench, url, "/v1/events") as events,
        ):
            await upto(events, "listening")
            waiting = asyncio.create_task(client.post("/v1/tenants/alice/restart?wait=600"))
            await upto(events, "tenant.changed")
            bench.inn.stopping.set()
            server.should_exit = True
            async with asyncio.timeout(10):
                assert "gone" not in [name async for name, _ in events]
                assert (await waiting).status_code == 202
        async with asyncio.timeout(10):
            await serve


async def test_a_revoked_key_loses_its_open_streams(bench: Bench, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "PING_S", 0.05)
    key_id, secret = await bench.key()
    async with stream(bench, url, "/v1/tenants/alice/events", token=secret) as events:
        await upto(events, "listening")
        await bench.house.keys.revoke("alice", key_id, actor=SYSTEM)
        async with asyncio.timeout(10):
            assert [name async for name, _ in events] == []


async def test_a_silent_stream_pings(bench: Bench, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "PING_S", 0.01)
    headers = {"Authorization": f"Bearer {bench.admin_token}"}
    async with (
        httpx2.AsyncClient(base_url=url, headers=headers, timeout=20) as client,
        client.stream("GET", "/v1/events") as response,
    ):
        lines = response.aiter_lines()
        seen = [await anext(lines) for _ in range(9)]
    assert seen.count(": ping") >= 2


async def test_a_client_that_leaves_leaves_nothing_behind(
    bench: Bench, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()
    subscribe = bench.house.bus.subscribe

    @contextmanager
    def watched(size: int) -> Iterator[Subscription]:
        with subscribe(size) as subscription:
            try:
                yield subscription
            finally:
                ended.set()

    monkeypatch.setattr(bench.house.bus, "subscribe", watched)
    async with stream(bench, url, "/v1/events") as events:
        await upto(events, "listening")
        assert not ended.is_set()
    async with asyncio.timeout(10):
        await ended.wait()


# --- logs -------------------------------------------------------------------------------------------------------------


async def test_logs_are_read_from_the_end_and_followed(bench: Bench, url: str) -> None:
    runtime = bench.house.runtime
    for number in range(5):
        runtime.say("alice", f"line {number}")
    runtime.say("alice", "using sk-abcdefgh12345678 now")
    async with stream(bench, url, "/v1/tenants/alice/logs?tail=2") as events:
        seen = [event async for event in events]
    assert [(name, data.get("text")) for name, data in seen] == [
        ("line", "line 4"),
        ("line", "using sk-… now"),
        ("end", None),
    ]
    async with stream(bench, url, "/v1/tenants/alice/logs?tail=0&follow=true") as events:
        bench.house.clock.turn(1)
        first = asyncio.create_task(upto(events, "line"))
        while not first.done():
            runtime.say("alice", "later")
            await asyncio.sleep(0.001)
        assert (await first)[-1][1]["text"] == "later"
        runtime.by_hand_stop("alice")
        assert (await upto(events, "end"))[-1][0] == "end"


async def test_the_log_of_what_never_ran_is_empty(bench: Bench, url: str) -> None:
    bench.house.runtime.by_hand_remove("alice")
    async with stream(bench, url, "/v1/tenants/alice/logs?since=2026-01-01T00:00:00") as events:
        assert [name async for name, _ in events] == ["end"]


async def test_logs_without_a_runtime_are_a_problem(bench: Bench, url: str) -> None:
    bench.house.runtime.down = True
    async with bench.client() as api:
        answer = await api.get("/v1/tenants/alice/logs")
    assert (answer.status_code, answer.json()["code"]) == (503, "runtime_unavailable")


async def test_a_stream_that_goes_wrong_says_so(bench: Bench, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(instance: Instance, **_: object) -> AsyncIterator[Any]:
        yield LogLine(at=bench.house.clock.now(), stream="stdout", text="so far, so good")
        raise RuntimeError("secret sauce")

    monkeypatch.setattr(bench.house.runtime, "logs", broken)
    async with stream(bench, url, "/v1/tenants/alice/logs") as events:
        seen = [event async for event in events]
    assert [(name, data.get("code")) for name, data in seen] == [("line", None), ("error", "internal")]
    assert "sauce" not in json.dumps(seen)
