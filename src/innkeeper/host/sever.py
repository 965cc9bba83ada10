"""The edge's connections, ended from outside: Caddy neither knows whose they are nor offers a way to close one.

Destroyed by the kernel where it lets us, else shut down through a copy of Caddy's own descriptor.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from innkeeper.core.errors import RuntimeFault
from innkeeper.core.ports import Endpoint
from innkeeper.host import pidfd, sock_destroy
from innkeeper.host.sock_destroy import Line

HINT = "Run the control plane as root, or give it CAP_NET_ADMIN: `innkeeper doctor` says what works here."
_NOT_FOR_US = (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP)

T = TypeVar("T")


class EdgeConnections:
    """Those of the edge's process, which listens on `ports` and is known by `pid` (None: it doesn't run)."""

    def __init__(self, *, ports: Collection[int], pid: Callable[[], int | None]) -> None:
        self._ports = frozenset(ports)
        self._pid = pid

    async def clients(self) -> frozenset[Endpoint]:
        """The other ends of those that clients have opened."""
        return await _told(lambda: frozenset(_remote(line) for line in sock_destroy.lines(self._ports)))

    async def upstreams(self) -> Mapping[str, frozenset[int]]:
        """Those that the edge has opened, by address and then by cookie."""
        return await _told(self._upstreams)

    async def sever(self, endpoints: Collection[Endpoint]) -> int:
        """End those that were opened from there."""
        return await _told(partial(self._sever, frozenset(endpoints))) if endpoints else 0

    async def sever_upstream(self, addresses: Collection[str], *, only: Collection[int] | None = None) -> int:
        """End those that the edge has opened to these addresses."""
        return await _told(partial(self._sever_upstream, frozenset(addresses), only)) if addresses else 0

    def _upstreams(self) -> dict[str, frozenset[int]]:
        found: dict[str, set[int]] = {}
        for line in self._opened(self._pid()):
            found.setdefault(line.remote, set()).add(line.cookie)
        return {address: frozenset(cookies) for address, cookies in found.items()}

    def _sever(self, endpoints: Collection[Endpoint]) -> int:
        pid = self._pid()
        lines = [line for line in sock_destroy.lines(self._ports) if _remote(line) in endpoints]
        try:
            held = _held(pid, lines)
        except PermissionError:  # then the ports must do, and the kernel
            return sum(map(sock_destroy.destroy, lines))
        return _end(pid, held)

    def _sever_upstream(self, addresses: Collection[str], only: Collection[int] | None) -> int:
        pid = self._pid()
        held = self._opened(pid)
        return _end(
            pid,
            {
                line: descriptor
                for line, descriptor in held.items()
                if line.remote in addresses and (only is None or line.cookie in only)
            },
        )

    def _opened(self, pid: int | None) -> dict[Line, int]:
        return _held(pid, (line for line in sock_destroy.lines() if line.local_port not in self._ports))


def _held(pid: int | None, lines: Iterable[Line]) -> dict[Line, int]:
    """Those that are the process's own, each with its descriptor there."""
    found = list(lines)
    held = pidfd.sockets_of(pid) if pid is not None and found else {}
    return {line: held[line.inode] for line in found if line.inode in held}


def _end(pid: int | None, lines: Mapping[Line, int]) -> int:
    done = 0
    for line in lines:
        try:
            done += sock_destroy.destroy(line)
        except OSError as error:
            if error.errno not in _NOT_FOR_US or pid is None:
                raise
            return done + pidfd.shut_down(pid, {line.inode: descriptor for line, descriptor in lines.items()})
    return done


def _remote(line: Line) -> Endpoint:
    return Endpoint(line.remote, line.remote_port)


async def _told(work: Callable[[], T]) -> T:
    """Done on a thread, for the kernel is asked in so many calls; each is bounded."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise RuntimeFault(f"The edge's connections can't be seen or ended: {error}.", hint=HINT) from error


# --- for the doctor ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Ways:
    """Which of the two ways this host offers; each is None where it does, or says why not."""

    destroy: str | None
    borrow: str | None


def ways(pid: int | None) -> Ways:
    """Tried for real: a connection of our own is destroyed, a descriptor of that process's borrowed and given back."""
    borrow = "it doesn't run" if pid is None else _trouble(partial(pidfd.reach, pid))
    return Ways(destroy=_trouble(_destroy_one), borrow=borrow)


def _destroy_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname()) as client:
        held, _ = door.accept()
        with held:
            own = Endpoint(*client.getsockname())
            for line in sock_destroy.lines([door.getsockname()[1]]):
                if _remote(line) == own:
                    sock_destroy.destroy(line)


def _trouble(work: Callable[[], None]) -> str | None:
    try:
        work()
    except OSError as error:
        return error.strerror or str(error)
    return None
