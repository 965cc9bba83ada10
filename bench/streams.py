"""A client of chat completions that only reads a clock: when the first word came, and when the last."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from random import Random
from time import perf_counter

SPREAD_S, PAUSE_S = 0.4, 0.02
_CHANCE = Random(20)
_BODY = json.dumps({"model": "bench", "stream": True, "messages": [{"role": "user", "content": "Say something."}]})


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks, and from where."""

    token: str
    address: str | None = None


ANYBODY = Caller(token="none")  # noqa: S106 - that is what it says


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where streams are asked for."""

    name: str
    host: str
    port: int
    callers: Sequence[Caller] = (ANYBODY,)
    """Among whom the connections are shared."""
    path: str = "/v1/chat/completions"


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One stream, in milliseconds from its request."""

    first_ms: float
    total_ms: float


async def streams(target: Target, *, at_once: int, each: int) -> Sequence[Timed]:
    """So many connections at once, on each one stream after the other; the first of each only warms it up.

    They begin spread over the time of one stream, as agents that know nothing of each other do: all at the same instant
    would measure a queue.
    """
    found = await asyncio.gather(
        *(_one_connection(target, caller, each + 1) for caller in islice(cycle(target.callers), at_once))
    )
    return [timed for one in found for timed in one[1:]]


async def _one_connection(target: Target, caller: Caller, count: int) -> list[Timed]:
    here = (caller.address, 0) if caller.address else None
    reader, writer = await asyncio.open_connection(target.host, target.port, local_addr=here)
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {caller.token}\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    )
    request = (head + _BODY).encode()
    try:
        await asyncio.sleep(_CHANCE.uniform(0, SPREAD_S))
        found = []
        for _ in range(count):
            found.append(await _one_stream(reader, writer, request))
            await asyncio.sleep(_CHANCE.uniform(0, PAUSE_S))
        return found
    finally:
        writer.close()


async def _one_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> Timed:
    began = perf_counter()
    writer.write(request)
    status = await reader.readline()
    if b" 200 " not in status:
        raise RuntimeError(f"not a stream: {status!r} {(await reader.read(500))!r}")
    first, seen = 0.0, b""
    while not seen.endswith(b"0\r\n\r\n"):
        part = await reader.read(65536)
        if not part:
            raise RuntimeError("the stream broke")
        seen += part
        if not first and b"data:" in seen:
            first = perf_counter()
    return Timed(first_ms=(first - began) * 1000, total_ms=(perf_counter() - began) * 1000)
