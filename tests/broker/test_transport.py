"""What goes over the wire, and what becomes of a call when the other side behaves oddly there."""

from __future__ import annotations

import asyncio
from base64 import b64encode

import httpx2
import pytest

from innkeeper.broker.outbound import outbound_client
from tests.broker.house import HERE
from tests.support.serving import listening

LARGE = 16 * 1024 * 1024


async def sent_by(path: str = "", user: str = "", **request: object) -> bytes:
    """The head of a request, as it arrives."""
    heads = []

    async def takes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 Fine\r\n\r\n")

    async with listening(takes) as port, outbound_client([HERE]) as client:
        await client.get(f"http://{user}{HERE}:{port}{path}", **request)  # type: ignore[arg-type]
    return heads[0]


async def test_who_takes_no_more_of_a_request_is_given_up() -> None:
    over = asyncio.Event()

    async def takes_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()

    timeout = httpx2.Timeout(60.0, write=0.1)
    async with listening(takes_nothing) as port, outbound_client([HERE], timeout=timeout) as client:
        with pytest.raises(httpx2.WriteTimeout):
            await client.post(f"http://{HERE}:{port}/", content=bytes(LARGE))
        over.set()


async def test_a_large_request_arrives_whole() -> None:
    async def counts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(LARGE + 1)
        counted = f"{len(body) == LARGE + 1} {b'transfer-encoding' in head.lower()} {body.count(b'x')}".encode()
        writer.write(b"HTTP/1.1 200 Fine\r\ncontent-length: %d\r\n\r\n" % len(counted) + counted)

    async with listening(counts) as port, outbound_client([HERE]) as client:
        answer = await client.post(f"http://{HERE}:{port}/", content=b"x" + bytes(LARGE - 1) + b"x")
    assert answer.text == "True False 2"


async def test_who_answers_before_it_took_all_is_heard() -> None:
    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too much\r\ncontent-length: 3\r\n\r\nno!")
        await reader.read()

    async with listening(refuses) as port, outbound_client([HERE]) as client:
        answer = await client.post(f"http://{HERE}:{port}/", content=bytes(LARGE))
        assert (answer.status_code, answer.text) == (413, "no!")


async def test_a_headers_bytes_stay_as_they_are() -> None:
    head = await sent_by(headers=[(b"x-city", "Tromsø".encode())])
    assert b"\r\nx-city: Troms\xc3\xb8\r\n" in head


async def test_a_path_stays_as_it_is() -> None:
    assert (await sent_by("/a%2Fb//c;d?q=%C3%A9%20x+y&&z")).startswith(
        b"GET /a%2Fb//c;d?q=%C3%A9%20x+y&&z HTTP/1.1\r\n"
    )


async def test_who_is_named_in_the_url_is_sent_as_a_header() -> None:
    head = await sent_by(user="me:word@")
    assert b"Authorization: Basic " + b64encode(b"me:word") in head


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 2**20 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
)
async def test_answers_that_are_none_are_errors_of_the_connection(said: bytes) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)

    async with listening(answers) as port, outbound_client([HERE]) as client:
        with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
            await client.get(f"http://{HERE}:{port}/")


async def test_a_stream_that_is_left_takes_its_connection_with_it() -> None:
    connections: list[asyncio.StreamWriter] = []
    gone = asyncio.Event()

    async def never_ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        if len(connections) == 1:
            await reader.read()  # until the other side has hung up
            gone.set()
        else:
            writer.write(b"0\r\n\r\n")

    async with listening(never_ends) as port, outbound_client([HERE]) as client:
        async with client.stream("GET", f"http://{HERE}:{port}/") as answer:
            await anext(answer.aiter_raw())
        await gone.wait()
        assert (await client.get(f"http://{HERE}:{port}/")).text == "abc"
    assert len(connections) == 2
