"""The console's host leads to the API's own socket, with nothing but the edge's own word about the visitor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from innkeeper.edge.caddy_config import FORGED, EdgePlan
from tests.edge.house import Stage

VISITOR = {"Host": "console.localhost"}


@asynccontextmanager
async def listening(path: Path) -> AsyncIterator[list[bytes]]:
    """Something in the API's place: the heads of all requests."""
    heads: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            heads.append(head)
            writer.write(b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\nhi")

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(quietly, path=path)
    try:
        yield heads
    finally:
        server.close()
        for writer in writers:
            writer.close()
        path.unlink(missing_ok=True)


async def test_what_a_visitor_claims_is_replaced_by_what_the_edge_knows(edge: Stage, common_plan: EdgePlan) -> None:
    forged = {name.replace("*_*", "X_Innkeeper_Client").replace("*", "Client"): "203.0.113.9" for name in FORGED}
    forged |= {f"X-Forwarded-{what}": "203.0.113.9" for what in ("For", "Host", "Proto", "User")}
    async with listening(common_plan.console_socket) as heads:
        answer = await edge.client.get("/v1/status?x=1", headers={**VISITOR, **forged, "Authorization": "Bearer kept"})

    assert answer.text == "hi"
    assert "server" not in answer.headers
    [head] = heads
    lines = head.decode().lower().splitlines()
    assert lines[0] == "get /v1/status?x=1 http/1.1"
    assert "203.0.113.9" not in head.decode()
    assert {"x-innkeeper-client: 127.0.0.1", "host: console.localhost", "authorization: bearer kept"} <= set(lines)
    assert {"x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http", "x-forwarded-host: console.localhost"} <= set(
        lines
    )
    assert edge.outcomes == []


@pytest.mark.parametrize("host", ["console.localhost:8080", "CONSOLE.localhost"])
async def test_as_people_write_it(edge: Stage, common_plan: EdgePlan, host: str) -> None:
    async with listening(common_plan.console_socket):
        assert (await edge.client.get("/", headers={"Host": host})).text == "hi"


async def test_a_request_waits_for_a_control_plane_that_is_being_started(edge: Stage, common_plan: EdgePlan) -> None:
    waiting = asyncio.create_task(edge.client.post("/v1/tenants", headers=VISITOR, content=b"{}"))
    await asyncio.wait([waiting], timeout=0.3)
    assert not waiting.done()

    async with listening(common_plan.console_socket):
        assert (await waiting).text == "hi"
