"""Revocation: how soon an open WebSocket ends once it is to be severed, and what it costs to know whose it is."""

from __future__ import annotations

import asyncio
import errno
import logging
import shutil
import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from unittest.mock import patch

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from bench.gate import FIRST_ADDRESS
from bench.plane import full_house
from bench.report import Area, Judged, Row, Target, row
from bench.samples import Samples, samples, timed_ms
from bench.seed import name_of
from innkeeper.core.callers import Callers, Pass
from innkeeper.core.ports import Endpoint
from innkeeper.edge.caddy import Caddy
from innkeeper.edge.caddy_admin import listener_pid
from innkeeper.edge.caddy_config import EdgePlan
from innkeeper.host import sever, sock_destroy
from innkeeper.host.sever import EdgeConnections
from tests.edge.house import BEARER, stage
from tests.edge.sockets import echoing
from tests.support.serving import free_port

SEVERED = 100
ENDS = 200_000
SOON = Target(judged=Judged.VALUE, at_most=2000.0)
"""Seconds were promised; the loop that carries a revocation out looks every two."""


async def measure(*, quick: bool) -> Area:
    """Each way through the same Caddy, one client after the other and then all at once, among others who stay."""
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # a tenant that complains of every end
    others = 100 if quick else 1000
    rows: list[Row] = []
    missing: list[str] = []
    async with _edge() as (port, connections):
        stay = [await _client(port) for _ in range(others)]
        for name, way in (("destroyed by the kernel", None), ("shut down by descriptor", _refused)):
            if way is None and (why := sever.ways(None).destroy) is not None:
                missing.append(f"{name}: {why}")
                continue
            with patch.object(sock_destroy, "destroy", way or sock_destroy.destroy):
                rows.append(row(f"one, {name}", await _one_by_one(port, connections), "ms", target=SOON))
                rows.append(row(f"{SEVERED} at once, {name}", await _at_once(port, connections), "ms", target=SOON))
        looks = samples([await _took_ms(connections.clients) for _ in range(20)])
        rows.append(row(f"a look at {others} clients", looks, "ms"))
        for client in stay:
            await client.send("still there")
            assert await client.recv() == "still there"
            client.transport.abort()
    return Area(
        name="severing",
        how=f"{SEVERED} WebSockets through a real Caddy among {others:,} that stay, all on this host: from the call to "
        "the client's reading its end. The last from the request that revokes a key, with a control plane of its own.",
        rows=[*rows, await _revoked(10 if quick else 40), *_registry()],
        missing=missing,
    )


@asynccontextmanager
async def _edge() -> AsyncIterator[tuple[int, EdgeConnections]]:
    run = Path(tempfile.mkdtemp(prefix="edge-"))
    plan = EdgePlan(host="127.0.0.1", port=free_port(), run=run, wake_deadline_s=20)
    caddy = Caddy(plan)
    await caddy.start()
    try:
        async with stage(port=plan.port, run=run) as made, echoing() as (url, _):
            made.door.lead("alice", url)
            yield plan.port, EdgeConnections(ports=[plan.port], pid=lambda: listener_pid(plan.admin_socket))
    finally:
        await caddy.stop()
        shutil.rmtree(run)


async def _client(port: int) -> ClientConnection:
    where = f"ws://alice.localhost:{port}/"
    return await connect(where, host="127.0.0.1", additional_headers=BEARER, proxy=None, ping_interval=None)


def _end(client: ClientConnection) -> Endpoint:
    return Endpoint(*client.local_address[:2])


async def _one_by_one(port: int, connections: EdgeConnections) -> Samples:
    clients = [await _client(port) for _ in range(SEVERED)]
    taken = []
    for client in clients:
        began = perf_counter()
        severing = asyncio.create_task(connections.sever([_end(client)]))
        taken.append(await _ended_ms(client, began))
        assert await severing == 1
    return samples(taken)


async def _at_once(port: int, connections: EdgeConnections) -> Samples:
    clients = [await _client(port) for _ in range(SEVERED)]
    began = perf_counter()
    waiting = [asyncio.create_task(_ended_ms(client, began)) for client in clients]
    assert await connections.sever([_end(client) for client in clients]) == SEVERED
    return samples(await asyncio.gather(*waiting))


async def _ended_ms(client: ClientConnection, began: float) -> float:
    await client.wait_closed()
    return (perf_counter() - began) * 1000


async def _took_ms(ask: Callable[[], Awaitable[object]]) -> float:
    began = perf_counter()
    await ask()
    return (perf_counter() - began) * 1000


def _refused(_line: sock_destroy.Line) -> bool:
    raise OSError(errno.EOPNOTSUPP, "this kernel doesn't")


# --- the whole way ----------------------------------------------------------------------------------------------------


async def _revoked(count: int) -> Row:
    """One key after the other is revoked at the API, while a WebSocket of each is open through the edge."""
    port = free_port(FIRST_ADDRESS)
    async with serve(_echo, FIRST_ADDRESS, port), full_house(1, port=port) as house:
        await house.start()
        tenant = name_of(0)
        taken = []
        async with house.api() as api:
            for _ in range(count):
                key = (await api.post(f"/v1/tenants/{tenant}/keys")).json()
                client = await connect(
                    f"ws://{tenant}.localhost:{house.edge_port}/",
                    host="127.0.0.1",
                    additional_headers={"Authorization": f"Bearer {key['key']}"},
                    proxy=None,
                    ping_interval=None,
                )
                began = perf_counter()
                revoking = asyncio.create_task(api.delete(f"/v1/tenants/{tenant}/keys/{key['id']}"))
                taken.append(await _ended_ms(client, began))
                assert (await revoking).status_code == 204
    return row("a key revoked at the API → its WebSocket closed", samples(taken), "ms", target=SOON)


async def _echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


# --- the registry -----------------------------------------------------------------------------------------------------


def _registry() -> Sequence[Row]:
    """What a request pays to be remembered, and what all that is remembered takes."""
    raws = [b"203.0.%d.%d:%d" % (n % 256, n // 256 % 256, 1024 + n % 60_000) for n in range(ENDS)]
    passes = [Pass(f"key_{n}", f"tenant-{n % 10_000}") for n in range(20_000)]
    tracemalloc.start()
    callers = Callers()
    for n, raw in enumerate(raws):
        callers.note(raw, passes[n % len(passes)])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    def note() -> None:
        for _ in range(10_000):
            callers.note(raws[0], passes[0])

    again = timed_ms(note, 20)
    return (
        row("noting a request on a connection that is known", Samples(values=_per_note(again)), "µs"),
        Row(what=f"memory of {len(callers):,} ends", value=held / 1e6, unit="MB"),
    )


def _per_note(rounds: Samples) -> tuple[float, ...]:
    return tuple(each * 1000 / 10_000 for each in rounds.values)
