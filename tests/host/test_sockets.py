"""The socket table and what moves in it, read from this kernel over real connections on the loopback network."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Network

import pytest

from innkeeper.core.errors import RuntimeFault
from innkeeper.host import sock_diag
from innkeeper.host.sockets import Reading, SocketTable, Traffic, own_sockets

BLOCK = f"127.{128 + os.getpid() // 256 % 127}.{os.getpid() % 256}"  # tests in parallel each have their own
ALICE, BOB = f"{BLOCK}.2", f"{BLOCK}.5"
TENANTS = [IPv4Network(f"{BLOCK}.0/24")]
TABLE = SocketTable()


class Street:
    """Tenants that listen at addresses of their own, and the host's connections to them."""

    def __init__(self, ends: ExitStack) -> None:
        self._ends = ends
        self._doors: dict[str, socket.socket] = {}

    def door(self, address: str) -> socket.socket:
        if address not in self._doors:
            door = self._doors[address] = self._ends.enter_context(socket.socket())
            door.bind((address, 0))
            door.listen(512)
        return self._doors[address]

    def knock(self, address: str) -> socket.socket:
        """The host's end of a connection that the tenant's kernel has taken, and the tenant hasn't yet."""
        return self._ends.enter_context(socket.create_connection(self.door(address).getsockname()))

    def connect(self, address: str) -> tuple[socket.socket, socket.socket]:
        """Both ends: the host's and the tenant's."""
        host = self.knock(address)
        return host, self._ends.enter_context(self.door(address).accept()[0])


@pytest.fixture
def street() -> Iterator[Street]:
    with ExitStack() as ends:
        yield Street(ends)


def carry(sender: socket.socket, receiver: socket.socket, data: bytes) -> None:
    """Send and receive all of it: what the receiver has read, its kernel has counted."""
    sender.sendall(data)
    assert receiver.recv(len(data), socket.MSG_WAITALL) == data


def exchange(host: socket.socket, tenant: socket.socket, asked: bytes, answered: bytes) -> None:
    """A question and its answer, which also acknowledges the question."""
    carry(host, tenant, asked)
    carry(tenant, host, answered)


async def read() -> Reading:
    return await TABLE.read(TENANTS)


def moved(before: Reading, after: Reading, *, quiet_bytes_per_s: float = 0.0) -> frozenset[str]:
    return after.moved_since(before, quiet_bytes_per_s=quiet_bytes_per_s)


async def test_an_open_and_silent_connection_is_there_and_does_not_move(street: Street) -> None:
    nobody = await read()
    street.connect(ALICE)
    before = await read()
    after = await read()
    assert dict(after) == {ALICE: Traffic(connections=1, bytes_in=0, bytes_out=0)}
    assert moved(nobody, before) == moved(before, after) == frozenset()


async def test_the_bytes_are_counted_as_the_host_sees_them(street: Street) -> None:
    for asked, answered in ((b"x" * 300, b"y" * 50_000), (b"x", b"y")):
        exchange(*street.connect(ALICE), asked, answered)
    assert (await read())[ALICE] == Traffic(connections=2, bytes_in=50_001, bytes_out=301)


async def test_one_byte_from_a_tenant_is_its_movement_and_nobody_elses(street: Street) -> None:
    host, tenant = street.connect(ALICE)
    street.connect(BOB)
    exchange(host, tenant, b"upgrade", b"switching")
    before = await read()
    carry(tenant, host, b"x")
    assert moved(before, await read()) == {ALICE}


async def test_a_byte_to_a_tenant_that_does_not_read_is_movement(street: Street) -> None:
    host = street.knock(ALICE)
    before = await read()
    host.sendall(b"x")
    async with asyncio.timeout(30):  # its kernel acknowledges in its own time
        while moved(before, await read()) != {ALICE}:
            await asyncio.sleep(0)


@pytest.mark.parametrize("by_host", [True, False])
async def test_closing_is_no_movement(street: Street, by_host: bool) -> None:
    host, tenant = street.connect(ALICE)
    exchange(host, tenant, b"hello", b"hello")
    before = await read()
    first, second = (host, tenant) if by_host else (tenant, host)
    first.close()
    assert second.recv(1) == b""
    half = await read()
    second.close()
    closed = await read()
    assert list(before) == [ALICE]
    assert list(half) == list(closed) == []
    assert moved(before, half) == moved(before, closed) == frozenset()


async def test_a_new_connection_moves_with_its_first_byte_and_not_before(street: Street) -> None:
    host, tenant = street.connect(ALICE)
    exchange(host, tenant, b"x" * 1000, b"y" * 1000)
    before = await read()
    tenant.close()
    host.close()
    host, tenant = street.connect(ALICE)
    silent = await read()
    carry(tenant, host, b"x")
    assert moved(before, silent) == frozenset()
    assert moved(before, await read(), quiet_bytes_per_s=1e12) == {ALICE}


async def test_pings_below_the_rate_do_not_count(street: Street) -> None:
    host, tenant = street.connect(ALICE)
    exchange(host, tenant, b"upgrade", b"switching")
    before = await read()
    exchange(host, tenant, b"ping", b"pong")
    after = await read()
    after.at_s = before.at_s + 4
    per_s = len(b"pingpong") / 4
    assert moved(before, after, quiet_bytes_per_s=per_s * 1.01) == frozenset()
    assert moved(before, after, quiet_bytes_per_s=per_s * 0.99) == {ALICE}


async def test_looks_in_quick_succession_make_no_ping_a_message(street: Street) -> None:
    host, tenant = street.connect(ALICE)
    exchange(host, tenant, b"upgrade", b"switching")
    before = await read()
    exchange(host, tenant, b"ping", b"pong")
    after = await read()
    after.at_s = before.at_s + 0.01
    assert moved(before, after, quiet_bytes_per_s=8) == frozenset()
    after.at_s = before.at_s - 0.01
    assert moved(before, after, quiet_bytes_per_s=8) == frozenset()


async def test_hundreds_of_connections_are_read_in_one_go(street: Street) -> None:
    tenants = [f"{BLOCK}.{each}" for each in range(1, 51)]
    for address in tenants * 10:
        street.knock(address)
    reading = await read()
    assert {address: traffic.connections for address, traffic in reading.items()} == dict.fromkeys(tenants, 10)


@pytest.mark.parametrize(
    ("networks", "found"),
    [
        ([], set()),
        (["240.1.0.0/16"], set()),
        ([f"{ALICE}/32"], {ALICE}),
        ([f"{BLOCK}.4/31", "240.1.0.0/16"], {BOB}),
        (["240.1.0.0/16", f"{BLOCK}.4/31"], {BOB}),
        (["240.1.0.0/16", f"{ALICE}/32", "240.2.0.0/16", f"{BOB}/32", "240.3.0.0/16"], {ALICE, BOB}),
        ([f"240.{each}.0.0/16" for each in range(256)] + [f"{BLOCK}.0/24"], {ALICE, BOB}),
        ([f"{BLOCK}.0/24", f"{BLOCK}.0/28"], {ALICE, BOB}),
    ],
)
async def test_only_what_is_inside_the_networks_is_read(street: Street, networks: list[str], found: set[str]) -> None:
    for address in (ALICE, BOB):
        street.connect(address)
    reading = await TABLE.read([IPv4Network(network) for network in networks])
    assert set(reading) == found
    assert all(traffic.connections == 1 for traffic in reading.values())


async def test_a_refusal_of_the_kernel_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sock_diag, "_filter", lambda networks: b"\xff" * 4)
    with pytest.raises(RuntimeFault, match="Invalid argument"):
        await read()


async def test_our_own_sockets_can_be_left_out(street: Street) -> None:
    street.connect(ALICE)
    port = street.door(BOB).getsockname()[1]
    # The child is the edge: somebody else's process.
    child = "import socket, sys; edge = socket.create_connection((sys.argv[1], int(sys.argv[2]))); sys.stdin.read()"
    edge = subprocess.Popen([sys.executable, "-c", child, BOB, str(port)], stdin=subprocess.PIPE)
    with edge, street.door(BOB).accept()[0]:
        assert set(await read()) == {ALICE, BOB}
        assert set(await SocketTable(ours=own_sockets).read(TENANTS)) == {BOB}
