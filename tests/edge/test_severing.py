"""What is open through a real Caddy ends when it is severed, by either way, and nothing else does."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
from contextlib import suppress

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from innkeeper.core.ports import Endpoint
from innkeeper.edge.caddy import Caddy
from innkeeper.edge.caddy_admin import listener_pid
from innkeeper.edge.caddy_config import EdgePlan
from innkeeper.host import sever, sock_destroy
from innkeeper.host.sever import EdgeConnections
from innkeeper.host.sock_destroy import Line
from tests.edge.house import BEARER, KEY, Stage, stage
from tests.edge.sockets import echoing

ALICE = {"Host": "alice.localhost", **BEARER}


@pytest.fixture(autouse=True, params=["destroyed", "shut down"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way it is done; a kernel without the first of them refuses it as this does."""
    if request.param == "destroyed":
        if (why := sever.ways(None).destroy) is not None:
            pytest.skip(why)
        return

    def refused(_line: Line) -> bool:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(sock_destroy, "destroy", refused)


def connections_of(edge: Stage) -> EdgeConnections:
    return EdgeConnections(ports=[edge.port], pid=lambda: listener_pid(edge.run / "caddy-admin.sock"))


async def opened(edge: Stage, host: str = "127.0.0.1") -> ClientConnection:
    where = f"ws://alice.localhost:{edge.port}/socket"
    client = await connect(where, host=host, additional_headers=BEARER, proxy=None)
    assert await lives(client)
    return client


async def lives(client: ClientConnection) -> bool:
    await client.send("still there")
    return await client.recv() == "still there"


def end(client: ClientConnection) -> Endpoint:
    return Endpoint(*client.local_address[:2])


def said(edge: Stage) -> list[str]:
    """Caddy's log; other tests may have made it say something before."""
    return (edge.run / "caddy.log").read_text().splitlines()


def wild(edge: Stage, since: int) -> list[str]:
    """What it has beyond warnings, of which a stream that broke off is one."""
    return [line["msg"] for line in map(json.loads, said(edge)[since:]) if line["level"] != "warn"]


async def test_a_websocket_ends_on_both_sides_and_others_stay(edge: Stage) -> None:
    before = len(said(edge))
    async with echoing() as (url, _):
        edge.door.lead("alice", url)
        connections, pid = connections_of(edge), listener_pid(edge.run / "caddy-admin.sock")
        severed, other = await opened(edge), await opened(edge)
        tenants = (await connections.upstreams())["127.0.0.1"]
        assert {end(severed), end(other)} <= await connections.clients()

        assert await connections.sever([end(severed)]) == 1

        with pytest.raises(ConnectionClosedError):
            await severed.recv()
        assert await lives(other)
        while len(tenants & (await connections.upstreams())["127.0.0.1"]) > 1:  # Caddy's side to the tenant ends, too
            await asyncio.sleep(0.01)
        assert await connections.sever([end(severed)]) == 0
        assert listener_pid(edge.run / "caddy-admin.sock") == pid
        await other.close()
        edge.door.lead("alice", edge.agent_url)
        assert (await edge.client.get("/", headers=ALICE)).status_code == 200
        assert wild(edge, before) == []


async def test_a_stream_of_events_ends(edge: Stage) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: alice.localhost\r\nAuthorization: Bearer %b\r\n\r\n" % KEY.encode())
    assert b"data: one" in await reader.readuntil(b"one\n\n")
    assert await connections_of(edge).sever([Endpoint(*writer.get_extra_info("sockname"))]) == 1
    with suppress(ConnectionResetError):
        assert b"two" not in await reader.read()
    writer.close()


async def test_by_the_tenants_side_what_was_open_ends_and_what_comes_after_does_not(edge: Stage) -> None:
    async with echoing() as (url, _):
        edge.door.lead("alice", url)
        connections = connections_of(edge)
        old = await opened(edge)
        before = (await connections.upstreams())["127.0.0.1"]
        new = await opened(edge)

        assert await connections.sever_upstream(["127.0.0.1"], only=before) >= 1

        with pytest.raises(ConnectionClosedError):
            await old.recv()
        assert await lives(new)
        await new.close()


async def test_clients_of_either_family_on_one_door(plan: EdgePlan) -> None:
    both = EdgePlan(host="::", port=plan.port, run=plan.run, wake_deadline_s=20)
    caddy = Caddy(both)
    try:
        await caddy.start()
        async with stage(port=plan.port, run=plan.run) as edge, echoing() as (url, _):
            edge.door.lead("alice", url)
            for host in ("127.0.0.1", "::1"):
                severed, other = await opened(edge, host), await opened(edge, host)
                assert await connections_of(edge).sever([end(severed)]) == 1
                with pytest.raises(ConnectionClosedError):
                    await severed.recv()
                assert await lives(other)
                await other.close()
    finally:
        await caddy.stop()


async def test_a_client_that_asks_for_several_paths_gets_one_and_loses_it(edge: Stage) -> None:
    try:
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
    except OSError:
        pytest.skip("this kernel has no Multipath TCP")
    with client:
        client.connect(("127.0.0.1", edge.port))
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        request = b"GET /events HTTP/1.1\r\nHost: alice.localhost\r\nAuthorization: Bearer %b\r\n\r\n" % KEY.encode()
        await loop.sock_sendall(client, request)
        assert await loop.sock_recv(client, 10_000)
        assert await connections_of(edge).sever([Endpoint(*client.getsockname())]) == 1
        with suppress(ConnectionResetError):
            while await loop.sock_recv(client, 10_000):
                pass
