"""The Engine's log stream, as bytes."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import aiohttp
from aiohttp.base_protocol import BaseProtocol

from innkeeper.core.instance import LogLine
from innkeeper.runtimes.docker_logs import LINE_BYTES, lines

STAMP = b"2026-11-20T05:42:00.123456789Z "


def frame(text: bytes, *, stream: int = 1) -> bytes:
    payload = STAMP + text
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


async def read(*chunks: bytes) -> list[LogLine]:
    protocol = BaseProtocol(asyncio.get_running_loop())
    protocol.transport = Mock(spec=asyncio.Transport)
    stream = aiohttp.StreamReader(protocol, limit=2**16)
    for chunk in chunks:
        stream.feed_data(chunk)
    stream.feed_eof()
    return [line async for line in lines(stream)]


async def test_streams_and_times() -> None:
    told = await read(frame(b"one\n"), frame(b"two\r\n", stream=2))
    assert [(line.stream, line.text) for line in told] == [("stdout", "one"), ("stderr", "two")]
    assert told[0].at.isoformat() == "2026-11-20T05:42:00.123456+00:00"


async def test_frames_may_be_torn_anywhere() -> None:
    whole = frame(b"hello\n") + frame(b"world\n")
    told = await read(*(whole[at : at + 1] for at in range(len(whole))))
    assert [line.text for line in told] == ["hello", "world"]


async def test_a_long_line_in_parts_is_one_line() -> None:
    told = await read(frame(b"a" * 1000), frame(b"other\n", stream=2), frame(b"b" * 1000 + b"\n"))
    assert [line.text for line in told] == ["other", "a" * 1000 + "b" * 1000]


async def test_an_endless_line_is_cut_and_the_next_one_whole() -> None:
    told = await read(*[frame(b"x" * LINE_BYTES)] * 5, frame(b"end\n"), frame(b"next\n"))
    assert [len(line.text) for line in told] == [LINE_BYTES, 4]
    assert told[1].text == "next"


async def test_bad_utf_8_is_shown_as_well_as_can_be() -> None:
    (line,) = await read(frame(b"caf\xe9 \xff!\n"))
    assert line.text == "caf\ufffd \ufffd!"


async def test_empty_lines_are_lines() -> None:
    assert [line.text for line in await read(frame(b"\n"), frame(b"x\n"))] == ["", "x"]


async def test_what_has_no_line_break_at_the_end_is_told_too() -> None:
    assert [line.text for line in await read(frame(b"dying wor"))] == ["dying wor"]


async def test_a_stream_that_breaks_off_in_a_frame_ends_quietly() -> None:
    assert [line.text for line in await read(frame(b"one\n"), frame(b"two\n")[:-3])] == ["one"]
