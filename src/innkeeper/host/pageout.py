"""Pushes a container's memory to swap: all of it when it is frozen, what it doesn't need when it runs."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from pathlib import Path

from innkeeper.core.errors import RuntimeFault
from innkeeper.core.instance import PagedOut
from innkeeper.host import madvise
from innkeeper.host.memory_cgroup import MemoryCgroup, cgroup_of, membership
from innkeeper.host.swap import free_swap_bytes

SQUEEZES = 3
"""The first leaves in the swap cache what processes share, the second frees that; one too many costs a millisecond."""
_ENDED = (errno.ENOENT, errno.ESRCH, errno.ENODEV)
"""What the kernel answers about a process or a cgroup that is no more."""


class PageOut:
    """Pages containers out, half as many at a time as there are cores: compressing keeps one busy."""

    def __init__(self, *, cgroup_root: Path = Path("/sys/fs/cgroup"), proc_root: Path = Path("/proc")) -> None:
        self._cgroup_root = cgroup_root
        self._proc_root = proc_root
        self._turns = asyncio.Semaphore(max(1, (os.cpu_count() or 1) // 2))

    async def capability(self) -> str | None:
        """Why this host can't page out; None: it can."""
        return await asyncio.to_thread(self._obstacle)

    async def page_out(self, pid: int) -> PagedOut:
        """Page out the container whose first process this is; cancelled, it ends within one batch, the rest staying.

        Frozen, it gives up all that the kernel can take; running, it keeps its page cache and fetches back what it
        touches. Repeatable at any time; RuntimeFault when the kernel refuses.
        """
        stop = threading.Event()
        async with self._turns:
            work = asyncio.get_running_loop().run_in_executor(None, self._page_out, pid, stop)
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                stop.set()
                await asyncio.gather(work, return_exceptions=True)
                raise

    def _page_out(self, pid: int, stop: threading.Event) -> PagedOut:
        began_s = time.monotonic()
        try:
            cgroup = cgroup_of(pid, cgroup_root=self._cgroup_root, proc_root=self._proc_root)
            before_bytes = cgroup.charged_bytes()
            skipped = self._obstacle() or _refusal(cgroup)
            if skipped is None:
                self._push(cgroup, stop)
            return PagedOut(
                before_bytes=before_bytes,
                after_bytes=cgroup.charged_bytes(),
                swapped_bytes=cgroup.swapped_bytes(),
                seconds=time.monotonic() - began_s,
                skipped=skipped,
            )
        except OSError as error:
            if error.errno in _ENDED:
                took_s = time.monotonic() - began_s
                return PagedOut(
                    before_bytes=0, after_bytes=0, swapped_bytes=0, seconds=took_s, skipped="it has just ended"
                )
            raise RuntimeFault(f"The memory of process {pid} can't be paged out: {error}") from error

    def _push(self, cgroup: MemoryCgroup, stop: threading.Event) -> None:
        for pid in cgroup.pids():
            try:
                self._push_process(cgroup, pid, stop)
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended meanwhile
        for _ in range(SQUEEZES):
            # Never while it runs: the kernel would take pages as fast as they are fetched back, for many seconds.
            if not stop.is_set() and cgroup.frozen():
                cgroup.squeeze()

    def _push_process(self, cgroup: MemoryCgroup, pid: int, stop: threading.Event) -> None:
        pidfd = os.pidfd_open(pid)
        try:
            # Read behind the pidfd: if the number is another process's by now, the pidfd is dead and takes nothing.
            if membership(pid, self._proc_root)[1] == cgroup.path:
                maps = (self._proc_root / str(pid) / "maps").read_bytes()
                madvise.push(pidfd, madvise.private_regions(maps), stopped=stop.is_set)
        finally:
            os.close(pidfd)

    def _obstacle(self) -> str | None:
        if os.geteuid() != 0:
            return "it takes root"
        if not _kernel_can():
            return "this kernel can't page out another process (Linux 5.10 or newer can)"
        total_bytes, free_bytes = free_swap_bytes(self._proc_root)
        if not total_bytes:
            return "this host has no swap"
        return None if free_bytes else "the swap of this host is full"


def _refusal(cgroup: MemoryCgroup) -> str | None:
    if not cgroup.path or os.getpid() in cgroup.pids():
        return "it isn't in a cgroup of its own"
    return None if cgroup.may_swap() else "its own limits leave it no swap"


def _kernel_can() -> bool:
    pidfd = os.pidfd_open(os.getpid())
    try:
        madvise.page_out(pidfd, [])
    except OSError:
        return False
    finally:
        os.close(pidfd)
    return True
