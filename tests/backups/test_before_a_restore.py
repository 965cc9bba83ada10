"""What a restore in place saves of the present state, and when: as much as it can while the tenant lives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core import restore_in_place
from innkeeper.core.access import SYSTEM
from innkeeper.core.errors import Problem
from innkeeper.core.events import Event, TenantChanged
from innkeeper.core.operations import OperationKind
from innkeeper.core.ports import LEASE_FOR
from innkeeper.core.ports.snapshots import Repository
from innkeeper.core.safety import SafetySnapshots
from innkeeper.core.snapshots import Snapshot
from innkeeper.core.works import Tell
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.works import WorkLoops
from innkeeper.safekeeping import Safekeeping
from innkeeper.units.layout import FolderUnits
from innkeeper.units.marks import TICK_NS
from tests.backups.house import make
from tests.support.restoring import RestoringHouse, until

BROKEN = b"SQLite format 3\0" + b"\xff" * 8000


class Saving:
    """A house whose restores save the present state for real, with an account of when."""

    def __init__(self, root: Path) -> None:
        self.house = RestoringHouse(root)
        self.keeping: Safekeeping = make(root, self.house, snapshots=self.house.repositories).keeping
        units = FolderUnits(root / "tenants")
        safety = SafetySnapshots(backing_up=self.keeping.backing_up, store=self.house.store, units=units)
        self.house.safety_by, self.house.ahead_by = safety.take, safety.ahead
        self.saves: list[str] = []
        self.is_down = False
        self.house.bus.on_event(self._note)
        self._save = self.house.repositories.save
        self.house.repositories.save = self._counted  # type: ignore[method-assign]

    def _note(self, event: Event) -> None:
        if isinstance(event, TenantChanged):
            self.is_down = event.now.closed is not None

    async def _counted(self, *which: Any, **how: Any) -> Any:
        self.saves.append("down" if self.is_down else "alive")
        return await self._save(*which, **how)

    async def over(self, operation: Any) -> Any:
        ended = await self.house.ended(operation)
        assert ended.error is None, ended.error
        return ended.detail["result"]

    async def restored(self) -> Any:
        """A restore of the first snapshot, after something was written since; what came of it."""
        first = await self.over(await self.keeping.backups.create("alice", actor=SYSTEM))
        self.house.remember("second day")
        await until(self._is_settled)  # what was written in the very moment before counts as written since
        self.saves.clear()
        return await self.over(await self.house.restores.in_place("alice", actor=SYSTEM, snapshot=first["snapshot"]))

    async def _is_settled(self) -> bool:
        newest = max(each.stat().st_ctime_ns for each in self.house.data().parent.rglob("*"))
        return time.time_ns() - newest > 2 * TICK_NS

    async def rows(self) -> list[Snapshot]:
        tenant = await self.house.tenant()
        async with self.house.store.look() as tx:
            return list(await tx.snapshots.of(tenant.id))

    async def last_txt(self, snapshot: str, into: Path) -> str:
        """What `last.txt` was in that snapshot."""
        one = next(each for each in await self.rows() if each.id == snapshot)
        into.mkdir()
        repository = Repository(target="local", owner=one.owner)
        await self.house.repositories.restore(repository, one.copies["local"], into)
        return (into / "persistence" / "last.txt").read_text()


@pytest.fixture
async def saving(tmp_path: Path) -> AsyncIterator[Saving]:
    saving = Saving(tmp_path)
    house = saving.house
    works = WorkLoops(saving.keeping.works, store=house.store, bus=house.bus, clock=house.clock, holder="backups")
    works.add(house.restoring)
    supervisor = Supervisor()
    works.start(supervisor)
    async with house.running(works=False), supervisor.running():
        await house.born()
        yield saving
    await asyncio.to_thread(saving.keeping.stills.close)


async def test_while_it_is_down_nothing_is_saved_that_was_saved_before(saving: Saving, tmp_path: Path) -> None:
    result = await saving.restored()
    assert saving.saves == ["alive"]
    assert saving.house.remembered() == ["first day"]
    assert await saving.last_txt(result["safety"], tmp_path / "safety") == "second day"


async def test_what_it_writes_while_it_is_brought_down_is_saved_too(saving: Saving, tmp_path: Path) -> None:
    house = saving.house

    def note(event: Event) -> None:
        if isinstance(event, TenantChanged) and event.now.closed is not None:
            (house.data() / "last.txt").write_text("last words")

    house.bus.on_event(note)
    result = await saving.restored()
    assert saving.saves == ["alive", "down"]
    assert await saving.last_txt(result["safety"], tmp_path / "safety") == "last words"


async def test_that_it_cant_be_saved_ahead_is_no_reason_to_give_up(saving: Saving) -> None:
    async def fails(*_: Any) -> None:
        raise Problem("not now")

    saving.house.ahead_by = fails
    result = await saving.restored()
    assert saving.saves == ["down"]
    assert result["safety"] is not None


async def test_one_that_takes_too_long_isnt_waited_for(saving: Saving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore_in_place, "AHEAD_S", 0.0)
    gone: list[bool] = []

    async def waits(*_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            gone.append(not saving.is_down)

    saving.house.ahead_by = waits
    assert (await saving.restored())["safety"] is not None
    assert gone == [True], "it was over before the tenant was brought down"
    assert saving.saves == ["down"]


async def test_one_taken_ahead_that_isnt_sound_leaves_nothing_behind(saving: Saving) -> None:
    house, rows = saving.house, await saving.rows()
    database = house.data() / "memory.db"
    database.write_bytes(BROKEN)
    restore = house.repositories.restore

    async def looked_through(*which: Any, **how: Any) -> None:
        database.write_bytes(b"")  # whole again by now: so it is the snapshot that isn't
        await restore(*which, **how)

    house.repositories.restore = looked_through  # type: ignore[method-assign]
    tenant = await house.tenant()
    operation = house.works.new(OperationKind.RESTORE, tenant)
    async with house.store.begin() as tx:
        await house.works.add(tx, operation, actor=SYSTEM)
    lease = await house.store.claim_work("alice", holder="test", for_s=LEASE_FOR.total_seconds())
    assert lease is not None
    assert house.ahead_by is not None
    tell = Tell(operation, lease=lease, store=house.store, bus=house.bus, clock=house.clock)
    with pytest.raises(Problem, match="whole"):
        await house.ahead_by(tenant, operation, tell)
    await house.store.release(lease)
    assert await saving.rows() == rows
    listed = await house.repositories.listing(Repository(target="local", owner=tenant.id))
    assert [each for each in listed if "pass=still" in each.tags] == []
