"""One run of restic: started in its sandbox, read as it speaks, ended in good order whatever happens."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from innkeeper.core.snapshot_errors import BackupToolMissing
from innkeeper.restic.said import is_a_lack, is_retry
from innkeeper.restic.sandbox import Sandbox

STOPS_WITHIN_S = 10.0
"""How long restic may take to remove its lock when it is asked to end."""
_ASKS_AGAIN_S = 0.5
PATIENCE_S = 60.0
"""How long a far target may make no progress before it counts as gone."""
_MOVES_BYTES = 64 * 1024
_MOVES_TICKS = 20
"""What counts as progress between two looks: so many bytes read or written, or hundredths of a second of processor
time. Retries of a small request are less."""
_LINE = 1 << 20
"""No line of restic's is longer: a path has 4,096 bytes at most, each of six characters as JSON."""
_SAID = 200
"""So many of its last lines on stderr are kept …"""
_LACKS = 20
"""… and so many of those that tell of missing parts, of which there may be thousands before one that matters more."""


class Run:
    """A restic that runs."""

    def __init__(self, process: asyncio.subprocess.Process, child: int | None, told: int, *, patient: bool) -> None:
        self._process = process
        self.patient = patient
        """Whether what it works on is far, so that it may try again what fails."""
        self._child = child
        self._told = told
        self._lacks = 0
        self._said: deque[str] = deque(maxlen=_SAID)
        self._listener = asyncio.create_task(self._listen(), name=f"restic {process.pid} stderr")
        self.gone_silent = False

    @property
    def said(self) -> Sequence[str]:
        """The last lines of its stderr."""
        return list(self._said)

    async def lines(self) -> AsyncIterator[bytes]:
        """Its stdout, line by line."""
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        while line := await self._process.stdout.readline():
            yield line

    async def read(self, size: int) -> bytes:
        """The next bytes of its stdout; none at the end."""
        assert self._process.stdout is not None  # noqa: S101
        return await self._process.stdout.read(size)

    async def ended(self) -> int:
        """Its exit code, when it has ended by itself and said all."""
        await self._listener
        return await self._process.wait()

    async def stop(self) -> None:
        """End it: asked first, so that it removes its lock; then by force. Nothing of it runs when this returns."""
        until_s = time.monotonic() + STOPS_WITHIN_S
        while self._process.returncode is None and time.monotonic() < until_s:
            self._signal(signal.SIGINT)  # again and again: before restic runs, bubblewrap doesn't hear it
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _ASKS_AGAIN_S)
        # What is inside, not bubblewrap: that one killed, before it has let the other go, leaves it waiting for ever.
        self._signal(signal.SIGKILL)
        await self._process.wait()
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        os.close(self._told)

    async def watch(self, patience_s: float) -> None:
        """End it when it makes no progress for so long."""
        before, since = self._moved(), time.monotonic()
        while self._process.returncode is None:
            await asyncio.sleep(min(1.0, patience_s / 4))
            now = self._moved()
            if now[0] - before[0] >= _MOVES_BYTES or now[1] - before[1] >= _MOVES_TICKS:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > patience_s:
                self.gone_silent = True
                self._signal(signal.SIGKILL)
                return

    def written(self) -> int:
        """How many bytes it has written so far."""
        try:
            counted = Path(f"/proc/{self._child}/io").read_text()
        except OSError:
            return 0
        return next(int(line.split()[1]) for line in counted.splitlines() if line.startswith("wchar:"))

    def _moved(self) -> tuple[int, int]:
        """Bytes and processor time so far."""
        try:
            counted = Path(f"/proc/{self._child}/io").read_text()
            stat = Path(f"/proc/{self._child}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0, 0
        moved = dict(line.split(": ") for line in counted.splitlines())
        return int(moved["rchar"]) + int(moved["wchar"]), int(stat[11]) + int(stat[12])

    def _signal(self, number: signal.Signals) -> None:
        # The child is its parent's until that one, whom we haven't reaped, has done so: the number is nobody else's.
        if self._child is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._child, number)

    async def _listen(self) -> None:
        assert self._process.stderr is not None  # noqa: S101
        while line := await self._process.stderr.readline():
            if text := line.decode(errors="replace").strip():
                self._lacks += is_a_lack(text)
                if self._lacks <= _LACKS or not is_a_lack(text):
                    self._said.append(text)
                if not self.patient and is_retry(text):
                    self._signal(signal.SIGINT)
                    # It may be stuck on the very disk that it should tidy up.
                    asyncio.get_running_loop().call_later(STOPS_WITHIN_S, self._signal, signal.SIGKILL)


@asynccontextmanager
async def running(
    program: str, arguments: Sequence[str], sandbox: Sandbox, *, patience_s: float | None = None
) -> AsyncIterator[Run]:
    """A restic while the block lasts; whoever leaves early, by an error or a cancel, has it ended first.

    With `patience_s` it is ended when it makes no progress for so long; without, at the first error that it would try
    to get over for a quarter of an hour, for a disk doesn't get better by that.
    """
    starting = asyncio.ensure_future(_start(program, arguments, sandbox, patient=patience_s is not None))
    try:
        await _to_its_end(starting)
    except asyncio.CancelledError:
        if not starting.cancelled() and starting.exception() is None:
            await _to_its_end(asyncio.ensure_future(starting.result().stop()))
        raise
    run = starting.result()
    watcher = None if patience_s is None else asyncio.create_task(run.watch(patience_s), name="restic's watcher")
    try:
        yield run
    finally:
        if watcher is not None:
            watcher.cancel()
        await _to_its_end(asyncio.ensure_future(run.stop()))


async def _to_its_end(task: asyncio.Future[Any]) -> None:
    """Wait for it though we be cancelled meanwhile, as often as that may be: a restic that its caller believes dead
    must not work on."""
    cancelled = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


@asynccontextmanager
async def telling(run: Run, tell: Callable[[int, int], None] | None) -> AsyncIterator[None]:
    """Tell once a second how much a run has written, of which it says nothing itself."""

    async def ticking(tell: Callable[[int, int], None]) -> None:
        while True:
            tell(run.written(), 0)
            await asyncio.sleep(1.0)

    ticker = None if tell is None else asyncio.create_task(ticking(tell), name="restic's progress")
    try:
        yield
    finally:
        if ticker is not None:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)


async def _start(program: str, arguments: Sequence[str], sandbox: Sandbox, *, patient: bool) -> Run:
    with ExitStack() as files:
        fds = {name: files.enter_context(_in_memory(content)) for name, content in sandbox.files.items()}
        told, tells = os.pipe2(os.O_CLOEXEC)
        broken = files.enter_context(ExitStack())
        broken.callback(os.close, told)
        try:
            argv = sandbox.argv(program, list(arguments), fds, tells)
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                # Not by --setenv: what is in the command line, every user of the host can read.
                env={"HOME": "/tmp", "LC_ALL": "C", **sandbox.environment},  # noqa: S108 - the sandbox's own
                pass_fds=(*fds.values(), tells),
                limit=_LINE,
            )
        except FileNotFoundError as error:
            raise BackupToolMissing("bubblewrap isn't installed.") from error
        finally:
            os.close(tells)
        child = await asyncio.to_thread(_child, told)
        broken.pop_all()  # bubblewrap writes there once more at its end, and would die where nobody could read it
        return Run(process, child, told, patient=patient)


def _child(told: int) -> int | None:
    """The process id of the program inside, as bubblewrap tells it; None where that failed before."""
    line = b""
    while b"\n" not in line:
        more = os.read(told, 4096)
        if not more:
            return None
        line += more
    found: Mapping[str, int] = json.loads(line.partition(b"\n")[0])
    return found.get("child-pid")


class _in_memory:  # noqa: N801 - used as a function
    """A descriptor that reads `content`, which lies on no disk."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __enter__(self) -> int:
        self._fd = os.memfd_create("restic", os.MFD_CLOEXEC)
        os.write(self._fd, self._content)
        os.lseek(self._fd, 0, os.SEEK_SET)
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
