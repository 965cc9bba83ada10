"""Listening to the API's streams over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from tests.api.bench import Bench

Event = tuple[str, Any]


@asynccontextmanager
async def stream(
    bench: Bench, url: str, path: str, body: object = None, token: str | None = None
) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a stream, as they come."""
    headers = {"Authorization": f"Bearer {token or bench.admin_token}"}
    async with (
        httpx2.AsyncClient(base_url=url, headers=headers, timeout=20) as client,
        client.stream("POST" if body else "GET", path, json=body) as response,
    ):
        if response.status_code != 200:
            await response.aread()
            raise AssertionError(response.text)
        assert response.headers["cache-control"] == "no-store"

        async def events() -> AsyncIterator[Event]:
            async for event in httpx2.EventSource(response):
                yield event.event, event.json()

        yield events()


async def upto(events: AsyncIterator[Event], name: str) -> list[Event]:
    """Events up to and including the first of that name."""
    seen = []
    async with asyncio.timeout(10):
        async for event in events:
            seen.append(event)
            if event[0] == name:
                return seen
    raise AssertionError(f"no {name} in {seen}")
