"""Caddy as a program: found or started, watched and stopped. It outlives the control plane, so that streams do.

There is no pid file to believe: whoever listens on the admin socket is our Caddy, and the kernel says which process
that is. A lock keeps two starts from making two of them.
"""

from __future__ import annotations

import asyncio
import fcntl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from innkeeper.core.errors import EdgeFault, PortTaken
from innkeeper.edge.caddy_admin import CaddyAdmin
from innkeeper.edge.caddy_config import EdgePlan, render
from innkeeper.edge.caddy_launch import check_module, find_binary, last_words, launch
from innkeeper.edge.listening import who_listens
from innkeeper.edge.own_files import with_own_files
from innkeeper.edge.processes import Process
from innkeeper.edge.sockets import check_length

log = structlog.get_logger(__name__)

_START_WITHIN_S = 30.0
_STOP_WITHIN_S = 5.0
_LONGEST_PAUSE_S = 30.0
_STEADY_AFTER_S = 60.0


@dataclass(frozen=True, kw_only=True)
class CaddyStatus:
    """What there is to say about Caddy."""

    running: bool
    pid: int | None = None
    version: str | None = None
    problem: str | None = None
    """Why the last start failed."""


class Caddy:
    """The one Caddy of a data directory."""

    def __init__(self, plan: EdgePlan, *, binary: Path | None = None) -> None:
        self._plan = plan
        self._binary = binary
        self._admin = CaddyAdmin(plan.admin_socket)
        self._child: subprocess.Popen[bytes] | None = None
        self._problem: str | None = None
        self._versions: dict[int, str] = {}

    async def start(self) -> int:
        """Find Caddy or start it, with the present configuration either way; its pid. Raises EdgeFault, PortTaken."""
        check_length(self._plan.admin_socket)
        async with self._alone():
            caddyfile = render(await asyncio.to_thread(with_own_files, self._plan))
            pid = self._admin.pid()
            for port in self._plan.ports:
                await self._refuse_taken_port(port, pid)
            if pid is None:
                return await self._launch(caddyfile)
            if not await self._admin.carries(caddyfile):
                await self._admin.load(caddyfile)
                log.info("caddy_reloaded", pid=pid)
            return pid

    async def watch(self) -> None:
        """Keep Caddy there for ever: start it again whenever it ends, ever more slowly if it doesn't stay."""
        pause_s = 0.0
        while True:
            started = time.monotonic()
            try:
                pid = await self.start()
            except EdgeFault as fault:
                self._problem = fault.message
                log.warning("caddy_not_started", problem=fault.message, next_try_in_s=pause_s)
            else:
                self._problem = None
                with Process(pid) as process:
                    await process.ended()
                self._reap()
                log.warning("caddy_ended", pid=pid)
            if time.monotonic() - started > _STEADY_AFTER_S:
                pause_s = 0.0
            await asyncio.sleep(pause_s)
            pause_s = min(max(0.5, pause_s * 2), _LONGEST_PAUSE_S)

    async def stop(self) -> None:
        """End Caddy, and with it every open stream: for taking the whole system down."""
        async with self._alone():
            pid = self._admin.pid()
            if pid is None:
                return
            with Process(pid) as process:
                try:
                    async with asyncio.timeout(_STOP_WITHIN_S):
                        await self._admin.stop()
                        await process.ended()
                except (TimeoutError, EdgeFault):  # it waits for streams to end by themselves, which they may never
                    process.kill()
                    await process.ended()
            self._reap()

    async def status(self) -> CaddyStatus:
        """Whether it runs, and which version of it does."""
        pid = self._admin.pid()
        if pid is None:
            return CaddyStatus(running=False, problem=self._problem)
        return CaddyStatus(running=True, pid=pid, version=await self._version(pid), problem=self._problem)

    async def _version(self, pid: int) -> str | None:
        """Asked once of each Caddy: running it for an answer costs more than all else that is done at rest."""
        if pid not in self._versions and (version := await _version(f"/proc/{pid}/exe")) is not None:
            self._versions = {pid: version}
        return self._versions.get(pid)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """One start or stop at a time, over all processes; the kernel drops the lock when its holder dies."""
        self._plan.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._plan.run / "caddy.lock").open("a") as lock:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            yield

    async def _refuse_taken_port(self, port: int, own_pid: int | None) -> None:
        # Caddy would share the port with another Caddy of the same user, and each would get half of the requests.
        host = self._plan.host
        found = await asyncio.to_thread(who_listens, host, port)
        for _ in range(20):
            if found is None or found.pid is not None:
                break
            await asyncio.sleep(0.05)  # nobody's: the kernel may still be clearing up after a Caddy that was killed
            found = await asyncio.to_thread(who_listens, host, port)
        if found is not None and (found.pid is None or found.pid != own_pid):
            who = f"{found.program} (process {found.pid})" if found.program else "another program"
            raise PortTaken(f"Port {port}, which the edge needs, belongs to {who}.")

    async def _launch(self, caddyfile: str) -> int:
        binary = self._binary or find_binary(self._plan.binary)
        if self._plan.tls is not None and (module := self._plan.tls.dns_module) is not None:
            await check_module(binary, module)
        self._child = launch(binary, self._plan, caddyfile)
        pid = self._child.pid
        with Process(pid) as process:
            await self._until_it_serves(process)
        log.info("caddy_started", pid=pid)
        return pid

    async def _until_it_serves(self, process: Process) -> None:
        ended = asyncio.ensure_future(process.ended())
        serving = asyncio.ensure_future(self._serving(process.pid))
        try:
            await asyncio.wait({ended, serving}, timeout=_START_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            started = serving.done() and serving.exception() is None
        finally:
            ended.cancel()
            serving.cancel()
            await asyncio.wait({ended, serving})  # they let go of the process's handle before it is closed
        if not started:
            process.kill()
            self._reap()
            raise EdgeFault(f"Caddy didn't start: {last_words(self._plan)}")

    async def _serving(self, pid: int) -> None:
        while self._admin.pid() != pid:  # noqa: ASYNC110 - nobody tells us when a socket appears
            await asyncio.sleep(0.02)
        await self._admin.settled()

    def _reap(self) -> None:
        if self._child is not None and self._child.poll() is not None:
            self._child = None


async def _version(binary: str) -> str | None:
    """What the binary calls itself."""
    try:
        process = await asyncio.create_subprocess_exec(
            binary, "version", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}
        )
    except OSError:
        return None  # it has just ended
    output, _ = await process.communicate()
    return output.decode().split(" ")[0].strip() or None
