"""Messages handed to Caddy, which carries them to tenants and outlives us: the core's `Courier`.

Caddy gives a request up as soon as it sees that whoever sent it has gone, and we may go at any moment. It can't see
that, however, once something follows the request on its connection: Go's server looks for the end of a connection by
reading ahead one byte, and stops looking when there is one. So each message is followed by the beginning of a second
request, in the same write as its own last bytes. Either both are Caddy's, and it finishes whatever becomes of us, or
the message is incomplete, and Caddy sends none of it on.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import socket
import struct
import termios
from pathlib import Path

from innkeeper.core.errors import EdgeFault
from innkeeper.core.ports import Parcel
from innkeeper.edge.caddy_config import ATTEMPT, TO, EdgePlan
from innkeeper.edge.deliveries import LookBack, look_back

DELIVERY = "X-Innkeeper-Delivery"
_LAST_WRITE = 32 * 1024
"""A socket's buffer takes this and what follows it at once, if it is empty: 208 KiB is the kernel's default."""
_FOLLOWS = b"GET / HTTP/1.1\r\nHost: follows\r\nX-Follows: " + b"." * 8192 + b"\r\n\r\n"
"""Longer than the 4 KiB that Go's server may have read ahead into a buffer of its own. It is never answered."""
_DRAINED_EVERY_S = 0.001
_PATIENCE_S = 15.0
"""Beyond the time that the tenant has to answer: Caddy ends each attempt before we give it up."""
_ANSWER_READ_S = 10.0


class CaddyCourier:
    """Brings messages to Caddy's socket for them, and reads its record."""

    def __init__(self, plan: EdgePlan) -> None:
        self._plan = plan
        place = f"{socket.gethostname()}:{plan.run.absolute()}"
        self.name = hashlib.sha256(place.encode()).hexdigest()[:12]

    async def deliver(self, parcel: Parcel) -> int:
        """The status of the answer."""
        connection = _connected(self._plan.courier_socket)
        try:
            async with asyncio.timeout(self._plan.answer_s + _PATIENCE_S):
                await _send(connection, _request(parcel))
                return await _status(connection)
        except (OSError, EOFError, TimeoutError) as error:
            broken = error
        finally:
            connection.close()
        # Caddy has died, or been stopped. Whatever it managed to record stands.
        status = await (await self.look_back()).ended(parcel.attempt)
        if status is None:
            raise EdgeFault("Caddy broke off a delivery.") from broken
        return status

    async def look_back(self) -> LookBack:
        """A look at all that is under way now."""
        return await look_back(self._plan.deliveries, self._plan.courier_socket)


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        connection.connect(str(path))  # a unix socket answers at once
    except OSError as error:
        connection.close()
        raise EdgeFault("Caddy doesn't take messages for tenants.") from error
    return connection


def _request(parcel: Parcel) -> bytes:
    payload = parcel.payload
    target = parcel.path + (f"?{payload.query}" if payload.query else "")
    lines = [
        f"{payload.method} {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in payload.headers),
        f"{DELIVERY}: {parcel.message_id}",
        f"{ATTEMPT}: {parcel.attempt}",
        f"{TO}: {parcel.to}",
        f"Content-Length: {len(payload.body)}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + payload.body


async def _send(connection: socket.socket, request: bytes) -> None:
    loop = asyncio.get_running_loop()
    first, last = request[:-_LAST_WRITE], request[-_LAST_WRITE:] + _FOLLOWS
    if first:
        await loop.sock_sendall(connection, first)
        while _unread(connection):  # noqa: ASYNC110 - nobody tells us when a buffer is empty
            await asyncio.sleep(_DRAINED_EVERY_S)
    if connection.send(last) < len(last):
        raise OSError("the kernel took less than a whole write")


def _unread(connection: socket.socket) -> int:
    """How much of what was sent the other side has yet to read."""
    (size,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0\0\0\0"))
    return int(size)


async def _status(connection: socket.socket) -> int:
    """The status of the first answer that isn't a provisional one; the rest of it is read and dropped."""
    loop = asyncio.get_running_loop()
    read = b""
    while True:
        head, end, rest = read.partition(b"\r\n\r\n")
        if end:
            status = int(head.split(b" ", 2)[1])
            if status >= 200:
                break
            read = rest
            continue
        piece = await loop.sock_recv(connection, 65536)
        if not piece:
            raise EOFError
        read += piece
    try:
        async with asyncio.timeout(_ANSWER_READ_S):  # leaving at once would look like trouble in Caddy's log
            while await loop.sock_recv(connection, 65536):
                pass
    except (OSError, TimeoutError):
        pass  # Caddy closes with our second request unread, which counts as an error
    return status
