"""What was opened with a credential ends with it: real connections, of which this process is the edge."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import ExitStack

import pytest

from innkeeper.core.callers import Callers, Pass
from innkeeper.core.errors import RuntimeFault
from innkeeper.core.ports import Endpoint
from innkeeper.host.sever import EdgeConnections
from innkeeper.loops.severing import DIAL_S, LOOK_EVERY_S, PRUNE_EVERY_S, Severing
from innkeeper.loops.supervise import Supervisor

pytestmark = pytest.mark.looptime

KEY, OTHER, BOBS = Pass("key_1", "alice"), Pass("key_2", "alice"), Pass("key_3", "bob")
HOMES = {"alice": "127.78.0.2", "bob": "127.78.0.3"}


class Balky(EdgeConnections):
    """Refuses as often as it is told to."""

    refusals = 0

    async def sever(self, endpoints: Collection[Endpoint]) -> int:
        self._balk()
        return await super().sever(endpoints)

    async def upstreams(self) -> dict[str, frozenset[int]]:
        self._balk()
        return dict(await super().upstreams())

    def _balk(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise RuntimeFault("Not now.")


class Stage:
    """An edge with clients and tenants, and what is valid there."""

    def __init__(self, ends: ExitStack) -> None:
        self._ends = ends
        self._door = ends.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._homes = {name: ends.enter_context(socket.create_server((ip, 0))) for name, ip in HOMES.items()}
        self.held: socket.socket
        """The edge's side of the last client."""
        self.callers = Callers()
        self.valid = {KEY, OTHER, BOBS}
        self.lost: set[str] = set()
        self.severed: list[tuple[str, int]] = []
        self.connections = Balky(ports=[self._door.getsockname()[1]], pid=os.getpid)
        self.severing = Severing(
            callers=self.callers,
            connections=self.connections,
            still=self.valid.__contains__,
            lost=self.lost.__contains__,
            address=HOMES.get,
            tenant_at={ip: name for name, ip in HOMES.items()}.get,
            on_severed=lambda side, count: self.severed.append((side, count)),
            note_done=self._note_done,
        )
        self.done = 0

    async def _note_done(self) -> None:
        self.done += 1

    def client(self, *passes: Pass) -> socket.socket:
        """Somebody outside, who has used these."""
        client = self._ends.enter_context(socket.create_connection(self._door.getsockname()))
        self.held = self._ends.enter_context(self._door.accept()[0])
        for given in passes:
            self.callers.note(b"%b:%d" % (client.getsockname()[0].encode(), client.getsockname()[1]), given)
        return client

    def upstream(self, name: str) -> socket.socket:
        """The tenant's side of a connection of the edge's."""
        home = self._homes[name]
        self._ends.enter_context(socket.create_connection(home.getsockname()))
        return self._ends.enter_context(home.accept()[0])


@pytest.fixture
def stage() -> Iterator[Stage]:
    with ExitStack() as ends:
        yield Stage(ends)


def is_open(side: socket.socket) -> bool:
    """Told at once: on this host, what was ended has ended on both sides by then."""
    try:
        return side.recv(1, socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


async def test_whoever_came_with_it_is_severed_and_nobody_else(stage: Stage) -> None:
    first, both, other = stage.client(KEY), stage.client(OTHER, KEY, OTHER), stage.client(OTHER)
    await stage.severing.look()
    assert stage.severed == []

    stage.valid.remove(KEY)
    await stage.severing.look()

    assert [is_open(each) for each in (first, both, other)] == [False, False, True]
    assert stage.severed == [("client", 2)]
    await stage.severing.look()
    assert stage.callers.passes() == {OTHER}
    assert stage.severed == [("client", 2)]


async def test_it_is_tried_again_when_it_fails(stage: Stage) -> None:
    client = stage.client(KEY)
    await stage.severing.look()
    stage.valid.remove(KEY)
    stage.connections.refusals = 2
    for still_open in (True, True, False):
        await stage.severing.look()
        assert is_open(client) is still_open


async def test_what_was_left_open_isnt_noted_as_done(stage: Stage) -> None:
    stage.client(KEY)
    stage.valid.discard(KEY)
    await stage.severing.remember()
    stage.connections.refusals = 1
    await stage.severing.look()
    assert stage.done == 0
    await stage.severing.look()
    assert (stage.done, stage.severed) == (1, [("client", 1)])


async def test_over_http_3_the_tenants_connections_end_instead(stage: Stage) -> None:
    await stage.severing.look()
    stage.callers.note_elsewhere(KEY)
    stage.callers.note_elsewhere(BOBS)
    alice, bob = stage.upstream("alice"), stage.upstream("bob")
    stage.valid.remove(KEY)

    await stage.severing.look()
    late = stage.upstream("alice")  # of a request that had just passed
    await asyncio.sleep(DIAL_S)
    await stage.severing.look()

    assert [is_open(each) for each in (alice, late, bob)] == [False, False, True]
    assert stage.severed == [("tenant", 2)]
    after = stage.upstream("alice")
    await asyncio.sleep(DIAL_S)
    await stage.severing.look()
    assert is_open(after)


async def test_what_is_older_than_we_are_ends_once_with_anything_of_the_tenants(stage: Stage) -> None:
    old, bobs_old = stage.upstream("alice"), stage.upstream("bob")
    stage.connections.refusals = 1
    with pytest.raises(RuntimeFault):
        await stage.severing.remember()
    await stage.severing.remember()
    new = stage.upstream("alice")
    await stage.severing.look()
    assert is_open(old)

    stage.lost.add("alice")
    for _ in range(2):
        await stage.severing.look()

    assert [is_open(each) for each in (old, new, bobs_old)] == [False, True, True]
    assert stage.severed == [("tenant", 1)]


async def test_it_looks_by_itself_and_at_once_when_hurried(stage: Stage) -> None:
    supervisor = Supervisor()
    stage.severing.start(supervisor)
    first, second = stage.client(KEY), stage.client(OTHER)
    async with supervisor.running():
        await asyncio.sleep(LOOK_EVERY_S / 2)
        stage.valid.remove(KEY)
        stage.severing.hurry()
        while is_open(first):  # no virtual time passes: a look that is due by itself never comes
            await asyncio.sleep(0)
        stage.valid.remove(OTHER)
        while is_open(second):
            await asyncio.sleep(LOOK_EVERY_S)
    assert not supervisor.loops["severing"].restarts


async def test_those_who_left_are_forgotten(stage: Stage) -> None:
    stays, leaves = stage.client(KEY), stage.client(OTHER)
    leaves.close()
    stage.held.close()
    for _ in range(3):
        await stage.severing.look()
        await asyncio.sleep(PRUNE_EVERY_S)
    assert stage.callers.passes() == {KEY}
    assert is_open(stays)
