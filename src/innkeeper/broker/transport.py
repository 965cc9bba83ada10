"""httpx2's requests carried by aiohttp, whose parser is compiled: a stream of twenty events costs a third of the time.

Every connection goes to an address that the guard has judged.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
import httpx2
from aiohttp.abc import AbstractResolver, AbstractStreamWriter, ResolveResult
from aiohttp.payload import BytesPayload
from yarl import URL

from innkeeper.broker.addresses import literal
from innkeeper.broker.guard import Guard
from innkeeper.broker.problems import DestinationRefused

_KEPT_OPEN_S = 15.0
_UNTOUCHED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""What aiohttp would add by itself."""
_PORTS = {"http": 80, "https": 443}
_PIECE = 256 * 1024
"""What is smaller goes to the kernel and to aiohttp's buffer, whether or not the other side takes it."""


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """Connections that are kept open for a while, without a limit to their number."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request; the answer's body is still to be read."""
        host, port = request.url.host, request.url.port or _PORTS.get(request.url.scheme, 0)
        if address := literal(host):  # aiohttp asks no resolver for it
            self._guard.judge(host, port, [address])
        headers = [
            (name.decode("ascii"), _text(value))
            for name, value in request.headers.raw
            if name.lower() != b"transfer-encoding"
        ]
        with _translated():
            response = await self._opened().request(
                request.method,
                URL(str(request.url.copy_with(userinfo=b"")), encoded=True),  # httpx2 has made a header of it
                headers=headers,
                data=await _body(request),
                allow_redirects=False,
                timeout=_timeout(request),
            )
        return httpx2.Response(
            response.status, headers=list(response.raw_headers), stream=_Body(response), request=request
        )

    async def aclose(self) -> None:
        """Close the connections, and start no look-up any more."""
        self._guard.close()
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        """The session; made inside the running loop, which aiohttp wants."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=_KEPT_OPEN_S,
                resolver=_Judging(self._guard),
                use_dns_cache=False,
                ssl=httpx2.create_ssl_context(),
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=_UNTOUCHED,
            )
        return self._session


class _Judging(AbstractResolver):
    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The judged addresses of the name."""
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._guard.judged(host, port)
        ]

    async def close(self) -> None:
        """The guard is closed by itself."""


class _Body(httpx2.AsyncByteStream):
    """What is left of an answer; closed before its end, the connection goes with it."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for part in self._response.content.iter_any():
                yield part

    async def aclose(self) -> None:
        """Let go of it."""
        self._response.close()


class _Large(BytesPayload):
    """A body that is sent in pieces: whoever takes none of it for a while is given up, which aiohttp doesn't do."""

    def __init__(self, body: bytes, patience_s: float | None) -> None:
        super().__init__(body)
        self._body = body
        self._patience_s = patience_s

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Send it; raises TimeoutError."""
        for at in range(0, len(self._body), _PIECE):
            async with asyncio.timeout(self._patience_s):
                await writer.write(self._body[at : at + _PIECE])


async def _body(request: httpx2.Request) -> bytes | BytesPayload | httpx2.AsyncByteStream | None:
    if isinstance(request.stream, httpx2.AsyncByteStream) and not isinstance(request.stream, httpx2.ByteStream):
        return request.stream
    body: bytes = await request.aread()
    return _Large(body, request.extensions.get("timeout", {}).get("write")) if len(body) > _PIECE else body or None


def _text(value: bytes) -> str:
    """As aiohttp wants a header's value, which it sends as UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _timeout(request: httpx2.Request) -> aiohttp.ClientTimeout:
    asked = request.extensions.get("timeout", {})
    return aiohttp.ClientTimeout(total=None, connect=asked.get("connect"), sock_read=asked.get("read"))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx2.ConnectTimeout("the connection isn't made in time") from error
    except aiohttp.ServerTimeoutError as error:
        raise httpx2.ReadTimeout("nothing came in time") from error
    except TimeoutError as error:
        raise httpx2.WriteTimeout("nothing was taken in time") from error
    except (aiohttp.ClientConnectorError, aiohttp.ClientSSLError) as error:
        raise httpx2.ConnectError(str(error)) from error
    except aiohttp.InvalidURL as error:  # such as 127.1, which some would read as an address
        raise DestinationRefused("The host is neither a name nor an address as it is usually written.") from error
    except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError, aiohttp.ServerDisconnectedError) as error:
        raise httpx2.RemoteProtocolError(str(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx2.ReadError(str(error)) from error
