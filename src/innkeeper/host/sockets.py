"""The kernel's socket table: what this host and its tenants have said to each other, whatever the protocol."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network

from innkeeper.core.errors import RuntimeFault
from innkeeper.host.sock_diag import Connection, established

CONTROL_FRAME_BYTES = 14
"""A client's pong with up to eight bytes of payload (RFC 6455, 5.5): it answers, and awaits nothing itself."""

Ours = Callable[[], Collection[int]]
"""The inodes of sockets that don't count."""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The connections with one tenant that are open now, and what they have carried so far, seen from the host."""

    connections: int
    bytes_in: int
    bytes_out: int


class Reading(Mapping[str, Traffic]):
    """What the table held at one moment, by the tenant's address; two of them tell what moved."""

    def __init__(self, connections: Iterable[Connection], *, at_s: float) -> None:
        self.at_s = at_s
        # By cookie, for a dump taken while connections come and go can name one twice.
        self._connections = {connection.cookie: connection for connection in connections}
        self._traffic = _by_address(self._connections.values())
        self._outsets: dict[int, int] = {}
        """By cookie, what had been said to the other side when it said something last, as far as is known."""

    def __getitem__(self, address: str) -> Traffic:
        return self._traffic[address]

    def __iter__(self) -> Iterator[str]:
        return iter(self._traffic)

    def __len__(self) -> int:
        return len(self._traffic)

    def awaited(self, *, within_ms: int) -> frozenset[str]:
        """The addresses that were told something, not longer ago than that, and have said nothing since."""
        return frozenset(
            each.remote
            for cookie, each in self._connections.items()
            if each.bytes_out - self._outsets.get(cookie, 0) > CONTROL_FRAME_BYTES
            and each.out_ms_ago < within_ms
            # The kernel's milliseconds are some four apart: the first request of a connection may be as old as it.
            and (each.out_ms_ago < each.in_ms_ago or not each.bytes_in)
        )

    def follow(self, before: Reading) -> None:
        """Learn from the reading before how much had been said on each connection when the other side spoke last."""
        for cookie, now in self._connections.items():
            then = before._connections.get(cookie)
            if then is None:
                continue
            if now.bytes_in == then.bytes_in:
                self._outsets[cookie] = before._outsets.get(cookie, 0)
            else:
                self._outsets[cookie] = now.bytes_out if now.in_ms_ago <= now.out_ms_ago else then.bytes_out

    def moved_since(self, before: Reading, *, quiet_bytes_per_s: float) -> frozenset[str]:
        """The addresses whose connections carried more than that in both directions together, or a new one anything.

        Closing is no movement. Pings come in bursts, so the rate is only fair to them over readings that lie further
        apart than two pings; 0 makes every byte count.
        """
        quiet_bytes = quiet_bytes_per_s * max(1.0, self.at_s - before.at_s)
        moved: set[str] = set()
        gained: Counter[str] = Counter()
        for cookie, now in self._connections.items():
            carried = now.bytes_in + now.bytes_out
            if then := before._connections.get(cookie):
                gained[now.remote] += carried - then.bytes_in - then.bytes_out
            elif carried:
                moved.add(now.remote)
        moved.update(address for address, carried in gained.items() if carried > quiet_bytes)
        return frozenset(moved)


def own_sockets() -> frozenset[int]:
    """Those that this process holds: for the control plane, whose probes are nobody's use of a tenant."""
    found = set()
    with os.scandir("/proc/self/fd") as held:
        for link in held:
            with suppress(OSError):  # closed meanwhile
                there = os.fstat(int(link.name))
                if stat.S_ISSOCK(there.st_mode):
                    found.add(there.st_ino)
    return frozenset(found)


class SocketTable:
    """Reads the table of this process's network namespace, which must be the host's, for all tenants at once."""

    def __init__(self, *, ours: Ours = frozenset) -> None:
        self._ours = ours

    async def read(self, networks: Sequence[IPv4Network]) -> Reading:
        """The established connections whose remote address is in one of the networks; RuntimeFault."""
        try:
            return await asyncio.to_thread(self._read, networks)
        except OSError as error:
            raise RuntimeFault(
                f"The kernel's socket table can't be read: {error}.",
                hint="The kernel needs INET_DIAG (modules inet_diag and tcp_diag), and this process netlink sockets.",
            ) from error

    def _read(self, networks: Sequence[IPv4Network]) -> Reading:
        at_s = time.monotonic()
        before = self._ours()
        found = list(established(networks)) if networks else []
        ours = {*before, *self._ours()}  # a probe may have begun or ended meanwhile
        return Reading((connection for connection in found if connection.inode not in ours), at_s=at_s)


def _by_address(connections: Iterable[Connection]) -> dict[str, Traffic]:
    count: Counter[str] = Counter()
    bytes_in: Counter[str] = Counter()
    bytes_out: Counter[str] = Counter()
    for connection in connections:
        count[connection.remote] += 1
        bytes_in[connection.remote] += connection.bytes_in
        bytes_out[connection.remote] += connection.bytes_out
    return {
        address: Traffic(connections=count[address], bytes_in=bytes_in[address], bytes_out=bytes_out[address])
        for address in count
    }
