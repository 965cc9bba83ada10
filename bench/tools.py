"""Calls of tools through the broker, beside the same calls at the server itself."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle, islice
from time import perf_counter

from bench.gate import FIRST_ADDRESS
from bench.plane import full_house
from bench.report import Area, Floor, Judged, Row, row
from bench.report import Target as Bound
from bench.rivals import running
from bench.samples import Samples, percentile, samples
from bench.seed import id_of, name_of
from bench.streams import Caller, Target
from innkeeper.keyring import Keyring
from tests.support.serving import free_port

AT_ONCE = (1, 10)
ADDS_MS = {50: 10.0, 95: 30.0}
"""A model takes a second or more before it calls a tool again: this isn't to be felt."""
_PATH = "/mcp"


async def measure(*, quick: bool) -> Area:
    """The same calls in turn at the server itself and through the broker."""
    rounds, each = (3, 30) if quick else (5, 100)
    rows = list[Row]()
    async with AsyncExitStack() as stack:
        server = Target(name="the server itself", host="127.0.0.1", port=free_port(), path="echo")
        command = [sys.executable, "-m", "bench.tool_server", server.host, str(server.port)]
        await stack.enter_async_context(running(command, server.host, server.port))
        broker = await stack.enter_async_context(_broker(server))
        for at_once in AT_ONCE:
            found: dict[str, list[float]] = {server.name: [], broker.name: []}
            for _ in range(rounds):
                for target in (server, broker):
                    found[target.name] += await _calls(target, at_once=at_once, each=max(10, each // at_once))
            rows += _rows(at_once, found[broker.name], found[server.name])
    return Area(
        name="mcp",
        how="Calls of a tool that says what it is told, one after the other on each connection, all on this host; "
        "each beside the same percentile of the server itself.",
        rows=rows,
        missing=[],
    )


def _rows(at_once: int, found: Sequence[float], floor: Sequence[float]) -> Iterable[Row]:
    for percent, most in ADDS_MS.items():
        yield row(
            f"a tool's call through the broker, {at_once} at once, p{percent}",
            Samples(values=(percentile(samples(found).values, percent),)),
            "ms",
            floor=Floor(what="direct", value=percentile(samples(floor).values, percent)),
            target=Bound(judged=Judged.EXCESS, at_most=most) if at_once == 1 else None,
        )


@asynccontextmanager
async def _broker(server: Target) -> AsyncIterator[Target]:
    gateway = f"{FIRST_ADDRESS.rpartition('.')[0]}.1"
    async with full_house(1) as house:
        servers = {"bench": {"url": f"http://{server.host}:{server.port}{_PATH}"}}
        house.env["INNKEEPER_MCP_SERVERS"] = json.dumps(servers)
        await house.start()
        async with house.api() as api:
            given = await api.patch(f"/v1/tenants/{name_of(0)}", json={"uses": {"mcp": {"bench": "bench"}}})
            assert given.status_code == 202, given.text
            found = await api.get(f"/v1/tenants/{name_of(0)}/tools")
            assert found.json()["items"][0]["tools"], found.text
        token, port = Keyring.open(house.data).broker_token(id_of(0), 1), int(house.env["INNKEEPER_BROKER_PORT"])
        caller = Caller(token=token, address=FIRST_ADDRESS)
        yield Target(name="the broker", host=gateway, port=port, callers=[caller], path="bench__echo")


async def _calls(target: Target, *, at_once: int, each: int) -> Sequence[float]:
    """Milliseconds of every call but the first on each connection, which only warms it up."""
    callers = islice(cycle(target.callers), at_once)
    found = await asyncio.gather(*(_one_connection(target, caller, each + 1) for caller in callers))
    return [taken for one in found for taken in one[1:]]


async def _one_connection(target: Target, caller: Caller, count: int) -> list[float]:
    here = (caller.address, 0) if caller.address else None
    reader, writer = await asyncio.open_connection(target.host, target.port, local_addr=here)
    params = {"name": target.path, "arguments": {"text": "a few words to say"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    head = (
        f"POST {_PATH} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\nContent-Type: application/json\r\n"
        "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-06-18\r\n"
        f"Authorization: Bearer {caller.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        return [await _one_call(reader, writer, (head + body).encode()) for _ in range(count)]
    finally:
        writer.close()


async def _one_call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> float:
    began = perf_counter()
    writer.write(request)
    seen = b""
    while not seen.endswith(b"0\r\n\r\n"):
        part = await reader.read(65536)
        if not part:
            raise RuntimeError(f"the answer broke: {seen[:500]!r}")
        seen += part
    if b"a few words" not in seen:
        raise RuntimeError(f"that is no answer: {seen[:500]!r}")
    return (perf_counter() - began) * 1000
