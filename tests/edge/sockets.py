"""A WebSocket server as a tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, serve


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """Sends back what it gets: its URL, and the headers of each handshake."""
    handshakes: list[dict[str, str]] = []

    async def echo(connection: ServerConnection) -> None:
        assert connection.request is not None
        handshakes.append({name.lower(): value for name, value in connection.request.headers.raw_items()})
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", handshakes
