"""The control plane may die and come back: who streams goes on, who asks waits, and nobody is lost."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
from websockets.asyncio.client import connect

from innkeeper.edge.caddy import Caddy
from innkeeper.edge.caddy_admin import CaddyAdmin
from innkeeper.edge.caddy_config import EdgePlan, render
from tests.edge.house import BEARER, KEY, FakeAgent, Stage, raw, stage
from tests.edge.sockets import echoing
from tests.support.serving import serving

ALICE = {"Host": "alice.localhost", **BEARER}


@asynccontextmanager
async def gate_process(socket: Path, url: str) -> AsyncIterator[Process]:
    """A gate that can be killed; it listens already."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.edge.gate_process", str(socket), url, stdout=PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"open\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def client(plan: EdgePlan) -> httpx2.AsyncClient:
    """A client of the edge."""
    return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{plan.port}", timeout=30, trust_env=False)


async def test_the_gate_is_killed_and_comes_back(common_plan: EdgePlan) -> None:
    agent, socket = FakeAgent(), common_plan.run / "gate.sock"
    async with serving(agent) as url, echoing() as (echo_url, _), client(common_plan) as http:
        async with gate_process(socket, url) as first, http.stream("GET", "/events", headers=ALICE) as events:
            pieces = events.aiter_text()
            assert await anext(pieces) == "data: one\n\n"

            first.kill()
            await first.wait()
            waiting = asyncio.create_task(http.post("/", headers=ALICE, content=b"hello"))
            await asyncio.wait([waiting], timeout=0.3)
            assert not waiting.done()
            agent.go_on.set()
            assert await anext(pieces) == "data: two\n\n"

        async with gate_process(socket, echo_url) as second:
            assert (await waiting).status_code != 200  # alice is a WebSocket server by now: it did get there
            where = f"ws://alice.localhost:{common_plan.port}/"
            async with connect(where, host="127.0.0.1", additional_headers=BEARER, proxy=None) as open_socket:
                second.kill()
                await second.wait()
                await open_socket.send("still there?")
                assert await open_socket.recv() == "still there?"


async def test_who_is_held_when_the_gate_dies_is_held_by_the_next(common_plan: EdgePlan) -> None:
    agent, socket = FakeAgent(), common_plan.run / "gate.sock"
    async with serving(agent) as url, client(common_plan) as http:
        async with gate_process(socket, url) as first:
            held = [asyncio.create_task(http.post("/", headers={**ALICE, **BOB}, content=b"x")) for _ in range(3)]
            await asyncio.wait(held, timeout=0.3)
            assert not any(task.done() for task in held)
            first.kill()
            await first.wait()

        async with stage(port=common_plan.port, run=common_plan.run) as edge:
            edge.door.lead("bob", url)
            for answer in await asyncio.gather(*held):
                assert answer.status_code == 200
                assert answer.json()["length"] == 1


BOB = {"Host": "bob.localhost", "Authorization": "Bearer ik_a_admin"}


async def test_a_thousand_wait_for_one_tenant(edge: Stage) -> None:
    upstream = edge.door.upstreams.pop("alice")
    post = b"POST / HTTP/1.1\r\nHost: alice.localhost\r\nAuthorization: Bearer %b\r\nContent-Length: 1\r\n\r\nx"
    held = [asyncio.create_task(raw(("127.0.0.1", edge.port), post % KEY.encode())) for _ in range(1000)]
    while edge.door.waiting < 1000:
        await asyncio.wait(held, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
    edge.door.upstreams["alice"] = upstream
    edge.door.opened.set()

    assert [status for status, _ in await asyncio.gather(*held)] == [200] * 1000
    assert edge.agent.requests == edge.door.most_waiting == 1000
    assert edge.door.waiting == 0


async def test_who_gives_up_waiting_is_waited_for_no_more(edge: Stage) -> None:
    edge.door.upstreams.clear()
    asking = asyncio.create_task(edge.client.get("/", headers=ALICE))
    while not edge.door.waiting:
        await asyncio.wait([asking], timeout=0.01)
    asking.cancel()

    while edge.door.waiting:
        await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0.01))])


async def test_streams_outlive_a_new_configuration(caddy: Caddy, plan: EdgePlan) -> None:
    pid = await caddy.start()
    async with stage(port=plan.port, run=plan.run) as edge, echoing() as (echo_url, _):
        edge.door.lead("bob", echo_url)
        bob, admin = f"ws://bob.localhost:{plan.port}/", {"Authorization": BOB["Authorization"]}
        async with (
            connect(bob, host="127.0.0.1", additional_headers=admin, proxy=None) as ws,
            edge.client.stream("GET", "/events", headers=ALICE) as events,
        ):
            pieces = events.aiter_text()
            assert await anext(pieces) == "data: one\n\n"

            changed = replace(plan, wake_deadline_s=99)
            assert await Caddy(changed).start() == pid
            assert await CaddyAdmin(plan.admin_socket).carries(render(changed))

            edge.agent.go_on.set()
            assert await anext(pieces) == "data: two\n\n"
            await ws.send("still there?")
            assert await ws.recv() == "still there?"
            assert (await edge.client.get("/", headers=ALICE)).status_code == 200
