"""A place to drill in: real snapshots by restic, a room that runs nothing, and the works' own loop."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from innkeeper.core.access import SYSTEM
from innkeeper.core.drill_catalogue import SnapshotCatalogue
from innkeeper.core.drill_run import Gear
from innkeeper.core.drills import Drills, DrillWork
from innkeeper.core.events import AlertRaised
from innkeeper.core.manifest import manifest_of
from innkeeper.core.operations import Operation
from innkeeper.core.ports.drills import DrillRoom
from innkeeper.core.ports.snapshots import LOCAL, Repository
from innkeeper.core.tenant import Tenant
from innkeeper.core.works import Works
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.works import WorkLoops
from innkeeper.restic import Calls, ResticStore, Target
from innkeeper.runtimes.memory_drill import MemoryDrillRoom
from innkeeper.units.erase import erase
from innkeeper.units.staging import FolderStaging
from tests.support.house import House


class PlainPasswords:
    """Opens everybody's repository with a word of his own."""

    def repository_password(self, owner: str) -> str:
        return f"of {owner}"

    async def ready(self, owner: str) -> None:
        pass


class PlainBerth:
    """There is always room, unless a test says otherwise."""

    def __init__(self) -> None:
        self.full: Exception | None = None
        self.inside: set[str] = set()

    async def admit(self, drill: str, memory_mb: int) -> None:
        if self.full is not None:
            raise self.full
        self.inside.add(drill)

    async def turn(self, drill: str) -> None:
        pass

    def started(self, drill: str) -> None:
        pass

    def leave(self, drill: str) -> None:
        self.inside.discard(drill)


@dataclass
class Range:
    """Where drills are held; the house is in memory, the snapshots are real."""

    folder: Path
    house: House = field(default_factory=House)
    room: MemoryDrillRoom = field(default_factory=MemoryDrillRoom)
    berth: PlainBerth = field(default_factory=PlainBerth)

    def __post_init__(self) -> None:
        target = Target(name=LOCAL, folder=self.folder / "backups")
        self.snapshots = ResticStore(Calls([target], PlainPasswords(), self.folder / "cache"), erase=erase)
        self.staging = FolderStaging(self.folder / "drills")
        self.catalogue = SnapshotCatalogue(store=self.house.store, snapshots=self.snapshots)
        self.works = Works(store=self.house.store, bus=self.house.bus, clock=self.house.clock)
        self.drills = Drills(works=self.works)

    def work(self, room: DrillRoom | None = None) -> DrillWork:
        """As a new process has it."""
        house = self.house
        gear = Gear(
            snapshots=self.snapshots,
            room=room or self.room,
            staging=self.staging,
            prober=house.prober,
            agents={"plain": house.agent},
        )
        return DrillWork(
            gear=gear,
            catalogue=self.catalogue,
            berth=self.berth,
            store=house.store,
            bus=house.bus,
            clock=house.clock,
        )

    @property
    def alerts(self) -> list[AlertRaised]:
        """What was told."""
        return [event for event in self.house.happened if isinstance(event, AlertRaised)]

    async def tenant(self, name: str = "alice") -> Tenant:
        """As the store has it."""
        return await self.house.control.tenant(name)

    async def snapshot(self, files: Mapping[str, bytes] | None = None, *, of: Tenant | None = None) -> str:
        """Take one as a backup does: the data, and the manifest."""
        tenant = of or await self.tenant()
        source = self.folder / "source" / tenant.name
        persistence, about = source / "persistence", source / "innkeeper"
        for path, content in (files or {"plain.json": b"before", "notes.txt": b"remember"}).items():
            (persistence / path).parent.mkdir(parents=True, exist_ok=True)
            (persistence / path).write_bytes(content)
        about.mkdir(exist_ok=True)
        now = datetime(2026, 11, 20, 3, tzinfo=UTC)
        manifest = manifest_of(tenant, snapshot="snap_1", taken_at=now, consented=True, packs={}, secrets=())
        (about / "manifest.json").write_bytes(manifest.dumped())
        for each in (source, *source.rglob("*")):
            os.chown(each, 1000, 1000)
        repository = Repository(target=LOCAL, owner=tenant.id)
        await self.snapshots.ready(repository)
        saved = await self.snapshots.save(
            repository, {"/persistence": persistence, "/innkeeper": about}, name=tenant.name, at=now
        )
        return saved.id

    async def carried_out(self, operation: Operation, work: DrillWork | None = None) -> Operation:
        """At its end."""
        async with self.carrying_out(work):
            return await self.house.control.wait(operation.id, timeout_s=60)

    @asynccontextmanager
    async def carrying_out(self, work: DrillWork | None = None) -> AsyncIterator[None]:
        """Works are carried out while the block runs."""
        house = self.house
        loops = WorkLoops([work or self.work()], store=house.store, bus=house.bus, clock=house.clock, holder="one")
        supervisor = Supervisor()
        loops.start(supervisor)
        async with supervisor.running():
            yield

    async def drilled(self, *, snapshot: str | None = None) -> Operation:
        """One of alice's, at its end."""
        return await self.carried_out(await self.drills.begin("alice", actor=SYSTEM, snapshot=snapshot))

    async def nothing_is_left(self) -> bool:
        """Neither in the room nor on the disk nor of the memory that was promised."""
        return not (await self.room.leftovers() or await self.staging.names() or self.berth.inside)

    def damage(self, tenant: Tenant) -> None:
        """A few bytes in the middle of every pack of the data: as a disk does."""
        for pack in (self.folder / "backups" / tenant.id / "data").rglob("*"):
            if pack.is_file():
                content = bytearray(pack.read_bytes())
                middle = len(content) // 2
                content[middle : middle + 8] = bytes(8)
                pack.chmod(0o600)
                pack.write_bytes(bytes(content))


async def a_range(folder: Path) -> Range:
    """With a tenant called alice."""
    found = Range(folder=folder)
    await found.house.create()
    return found


def described(operation: Operation) -> str:
    """For a failing test."""
    return json.dumps({"status": operation.status, "error": str(operation.error), "detail": dict(operation.detail)})
