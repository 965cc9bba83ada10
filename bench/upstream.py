"""The agent that all proxies lead to: answers anything with the same few bytes, as quickly as one core can."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

_BODY = b'{"status": "ok"}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


class _Connection(asyncio.Protocol):
    """Proxies send one small request at a time, so that what arrives is one."""

    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(_ANSWER)
        if b"onnection: close" in data:
            self._transport.close()


async def serve(host: str, port: int) -> None:
    """Answer until killed."""
    server = await asyncio.get_running_loop().create_server(_Connection, host, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
