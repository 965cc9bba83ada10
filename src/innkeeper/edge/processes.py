"""Other processes by a handle of the kernel's, which can't come to mean another process as a bare pid can."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from types import TracebackType
from typing import Self


class Process:
    """A process that may be a child of ours or anybody's; use it as a context."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._handle: int | None = None

    def __enter__(self) -> Self:
        try:
            self._handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self._handle = None  # it has ended already
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)

    async def ended(self) -> None:
        """Wait for its end."""
        if self._handle is None:
            return
        loop = asyncio.get_running_loop()
        end: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._handle, _settle, end)
        try:
            await end
        finally:
            loop.remove_reader(self._handle)

    def kill(self) -> None:
        """End it at once."""
        if self._handle is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)


def _settle(end: asyncio.Future[None]) -> None:
    if not end.done():
        end.set_result(None)
