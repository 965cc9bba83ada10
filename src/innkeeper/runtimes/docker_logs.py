"""The Engine's log stream, taken apart: frames of two streams with a time in front, put together to lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime

import aiohttp

from innkeeper.core.instance import LogLine
from innkeeper.runtimes.docker_engine import LOOK_S, Engine

LINE_BYTES = 16 * 1024
"""Longer lines are cut: the rest up to the next line break is dropped."""
_STREAMS = {1: "stdout", 2: "stderr"}


async def read_logs(
    engine: Engine, container_id: str, *, follow: bool, since: datetime | None, tail: int | None
) -> AsyncIterator[LogLine]:
    """The lines of a container, oldest first."""
    params = {
        "stdout": "1",
        "stderr": "1",
        "timestamps": "1",
        "follow": "1" if follow else "0",
        "tail": "all" if tail is None else str(tail),
    }
    if since is not None:
        params["since"] = f"{int(since.timestamp())}.{since.microsecond:06d}"
    idle_s = None if follow else LOOK_S
    path = f"containers/{container_id}/logs"
    async with engine.stream("show its log", path, params, idle_s=idle_s) as stream:
        async for line in lines(stream):
            yield line


async def lines(stream: aiohttp.StreamReader) -> AsyncIterator[LogLine]:
    """Every line in a multiplexed stream; what an unfinished one holds at the end counts as a line."""
    parts = {name: _Line(stream=name) for name in _STREAMS.values()}
    async for name, payload in _frames(stream):
        line = parts[name].add(payload)
        if line is not None:
            yield line
    for part in parts.values():
        line = part.end()
        if line is not None:
            yield line


async def _frames(stream: aiohttp.StreamReader) -> AsyncIterator[tuple[str, bytes]]:
    while True:
        try:
            header = await stream.readexactly(8)
            payload = await stream.readexactly(int.from_bytes(header[4:], "big"))
        except asyncio.IncompleteReadError:
            return
        yield _STREAMS.get(header[0], "stdout"), payload


@dataclass(kw_only=True)
class _Line:
    """A line in the making: a long one comes in several frames, each with a time of its own in front."""

    stream: str
    at: datetime | None = None
    text: bytearray = field(default_factory=bytearray)
    told: bool = False

    def add(self, payload: bytes) -> LogLine | None:
        stamp, _, text = payload.partition(b" ")
        at = _time(stamp)
        if at is None:
            at, text = self.at, payload
        self.at = self.at or at
        finished = text.endswith(b"\n")
        self.text += text[: LINE_BYTES - len(self.text)]
        line = None
        if not self.told and (finished or len(self.text) >= LINE_BYTES):
            line = self._told()
        if finished:
            self.at, self.told = None, False
            self.text.clear()
        return line

    def end(self) -> LogLine | None:
        return self._told() if self.text and not self.told else None

    def _told(self) -> LogLine | None:
        self.told = True
        if self.at is None:
            return None
        text = self.text.decode("utf-8", errors="replace").rstrip("\r\n")
        return LogLine(at=self.at, stream=self.stream, text=text)


def _time(stamp: bytes) -> datetime | None:
    try:
        return datetime.fromisoformat(stamp.decode("ascii"))
    except ValueError:
        return None
