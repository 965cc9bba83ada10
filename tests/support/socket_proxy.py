"""A unix socket in front of another one, to play a server that dies and comes back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path


class SocketProxy:
    """Passes bytes on while it is up; `down` cuts every connection and refuses new ones."""

    def __init__(self, path: Path, target: str) -> None:
        self.path = str(path)
        self._target = target
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def up(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def down(self) -> None:
        """Die, as far as clients can tell."""
        if self._server is not None:
            self._server.close()
            self._server = None
            Path(self.path).unlink(missing_ok=True)
        self.cut()

    def cut(self) -> None:
        """Break every connection, and take new ones."""
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._target)
        ends = {writer, back}
        self._open |= ends
        try:
            await asyncio.gather(_pipe(reader, back), _pipe(there, writer))
        except asyncio.CancelledError:
            pass  # the test's loop ends
        finally:
            self._open -= ends
            for end in ends:
                end.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
