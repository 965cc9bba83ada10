"""The edge's connections are ended from outside: real sockets, a real process that holds them, both ways to do it."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from innkeeper.core.errors import RuntimeFault
from innkeeper.core.ports import Endpoint
from innkeeper.host import pidfd, sever, sock_destroy
from innkeeper.host.sever import EdgeConnections
from innkeeper.host.sock_destroy import Line

# The edge is another process. It listens on a port of both families, and connects to where it is told; what it accepts
# it keeps, and it says when one of its connections has ended.
EDGE = """
import selectors, socket, sys
door = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
watched = selectors.DefaultSelector()
watched.register(door, selectors.EVENT_READ)
watched.register(sys.stdin, selectors.EVENT_READ)
print(door.getsockname()[1], flush=True)
while True:
    for key, _ in watched.select():
        if key.fileobj is door:
            watched.register(door.accept()[0], selectors.EVENT_READ)
            print("accepted", flush=True)
        elif key.fileobj is sys.stdin:
            line = sys.stdin.readline().split()
            if not line:
                sys.exit()
            watched.register(socket.create_connection((line[0], int(line[1]))), selectors.EVENT_READ)
            print("connected", flush=True)
        else:
            try:
                said = key.fileobj.recv(100)
            except OSError:
                said = b""
            if said:
                key.fileobj.sendall(said)
                continue
            watched.unregister(key.fileobj)
            key.fileobj.close()
            print("ended", flush=True)
"""


@dataclass
class Edge:
    """That process, seen from here."""

    process: subprocess.Popen[str]
    port: int
    ends: ExitStack

    @property
    def connections(self) -> EdgeConnections:
        return EdgeConnections(ports=[self.port], pid=lambda: self.process.pid)

    def says(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word

    def client(self, host: str) -> socket.socket:
        client = self.ends.enter_context(socket.create_connection((host, self.port), timeout=30))
        self.says("accepted")
        return client

    def upstream(self, door: socket.socket) -> socket.socket:
        host, port = door.getsockname()
        assert self.process.stdin is not None
        self.process.stdin.write(f"{host} {port}\n")
        self.process.stdin.flush()
        self.says("connected")
        tenant = self.ends.enter_context(door.accept()[0])
        tenant.settimeout(30)
        return tenant


@pytest.fixture
def edge() -> Iterator[Edge]:
    with ExitStack() as ends:
        command = [sys.executable, "-c", EDGE]
        pipe = subprocess.PIPE
        process = ends.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
        assert process.stdout is not None
        yield Edge(process=process, port=int(process.stdout.readline()), ends=ends)


@pytest.fixture(params=["destroyed", "shut down"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way it is done; a kernel without the first of them refuses it as this does."""
    if request.param == "destroyed":
        if (why := sever.ways(os.getpid()).destroy) is not None:
            pytest.skip(why)
        return

    def refused(_line: Line) -> bool:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(sock_destroy, "destroy", refused)


def end(client: socket.socket) -> Endpoint:
    return Endpoint(*client.getsockname()[:2])


def ended(side: socket.socket) -> bool:
    """Wait for its end, and see that nothing came before."""
    try:
        return side.recv(1) == b""
    except ConnectionResetError:
        return True


def lives(side: socket.socket) -> bool:
    side.sendall(b"still there")
    return side.recv(100) == b"still there"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_client_is_severed_and_nobody_else(edge: Edge, host: str) -> None:
    first, second = edge.client(host), edge.client(host)
    assert await edge.connections.clients() == {end(first), end(second)}

    assert await edge.connections.sever([end(first)]) == 1

    assert ended(first)
    edge.says("ended")
    assert lives(second)
    assert await edge.connections.clients() == {end(second)}
    assert await edge.connections.sever([end(first)]) == 0


@pytest.mark.usefixtures("way")
async def test_a_client_that_has_closed_its_side_only_is_severed_too() -> None:
    # The edge stays with it, as a server that still has something to send does.
    with socket.create_server(("127.0.0.1", 0)) as door:
        client = socket.create_connection(door.getsockname(), timeout=30)
        with client, door.accept()[0] as held:
            client.shutdown(socket.SHUT_WR)
            assert held.recv(1) == b""
            connections = EdgeConnections(ports=[door.getsockname()[1]], pid=os.getpid)
            assert await connections.sever([end(client)]) == 1
            assert ended(client)


@pytest.mark.usefixtures("way")
async def test_hundreds_at_once(edge: Edge) -> None:
    clients = [edge.client("127.0.0.1") for _ in range(200)]
    assert await edge.connections.sever([end(each) for each in clients[1:]]) == 199
    assert all(ended(each) for each in clients[1:])
    assert lives(clients[0])


@pytest.mark.usefixtures("way")
async def test_what_the_edge_has_opened_to_a_tenant(edge: Edge) -> None:
    with socket.create_server(("127.77.0.2", 0)) as alice, socket.create_server(("127.77.0.3", 0)) as bob:
        old, other = edge.upstream(alice), edge.upstream(bob)
        before = await edge.connections.upstreams()
        assert {address: len(cookies) for address, cookies in before.items()} == {"127.77.0.2": 1, "127.77.0.3": 1}
        new = edge.upstream(alice)

        assert await edge.connections.sever_upstream(["127.77.0.2"], only=before["127.77.0.2"]) == 1
        assert ended(old)
        edge.says("ended")
        assert lives(new)

        assert await edge.connections.sever_upstream(["127.77.0.2"]) == 1
        assert ended(new)
        edge.says("ended")
        assert lives(other)
        assert await edge.connections.sever_upstream(["127.77.0.2"]) == 0


@pytest.mark.usefixtures("way")
async def test_connections_of_other_processes_are_not_touched(edge: Edge) -> None:
    client = edge.client("127.0.0.1")
    with socket.create_server(("127.77.0.2", 0)) as alice, socket.create_connection(alice.getsockname()) as probe:
        tenant, _ = alice.accept()
        with tenant:
            assert await edge.connections.upstreams() == {}
            assert await edge.connections.sever_upstream(["127.77.0.2"]) == 0
            # Not even on a port of the edge's, at which another program may listen under another address.
            port = alice.getsockname()[1]
            mistaken = EdgeConnections(ports=[port], pid=lambda: edge.process.pid)
            assert await mistaken.sever([end(probe)]) == 0
            # Nor what the edge has on ports that aren't of the clients'.
            assert await mistaken.sever([end(client)]) == 0
            probe.sendall(b"x")
            assert tenant.recv(1) == b"x"
    assert lives(client)


async def test_an_edge_that_is_not_there(edge: Edge) -> None:
    client = edge.client("127.0.0.1")
    away = EdgeConnections(ports=[edge.port], pid=lambda: None)
    assert await away.sever([end(client)]) == 0
    assert await away.upstreams() == {}
    assert await edge.connections.sever([]) == await edge.connections.sever_upstream([]) == 0
    assert lives(client)


async def test_where_neither_way_works_it_says_what_would_help(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    client = edge.client("127.0.0.1")

    def refused(*_: object) -> bool:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(sock_destroy, "destroy", refused)
    monkeypatch.setattr(pidfd, "_borrow", refused)
    with pytest.raises(RuntimeFault, match="Operation not permitted") as fault:
        await edge.connections.sever([end(client)])
    assert "CAP_NET_ADMIN" in fault.value.hint
    assert lives(client)
    found = sever.ways(edge.process.pid)
    assert found.destroy == found.borrow == "Operation not permitted"


async def test_without_a_look_at_the_edges_descriptors_its_ports_must_do(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (why := sever.ways(os.getpid()).destroy) is not None:
        pytest.skip(why)
    client = edge.client("127.0.0.1")
    alice = edge.ends.enter_context(socket.create_server(("127.77.0.2", 0)))
    edge.upstream(alice)

    def refused(_pid: int) -> dict[int, int]:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(pidfd, "sockets_of", refused)
    assert await edge.connections.sever([end(client)]) == 1
    assert ended(client)
    with pytest.raises(RuntimeFault, match="Permission denied"):
        await edge.connections.sever_upstream(["127.77.0.2"])


def test_a_descriptor_that_has_come_to_mean_another_file_is_left_alone() -> None:
    one, other = socket.socketpair()
    with one, other:
        inode = os.fstat(one.fileno()).st_ino
        assert pidfd.shut_down(os.getpid(), {inode: other.fileno()}) == 0
        one.sendall(b"x")
        assert other.recv(1) == b"x"
