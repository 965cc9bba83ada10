"""A control plane in memory whose tenants have real folders, and whose backups are real restic's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from innkeeper.core.access import SYSTEM
from innkeeper.core.backup_plans import BackupPlans
from innkeeper.core.errors import Problem
from innkeeper.core.events import AlertRaised, Event
from innkeeper.core.operations import Operation
from innkeeper.core.ports.snapshots import Repository, SnapshotStore
from innkeeper.core.snapshots import BackupState, Snapshot
from innkeeper.core.stillness import Stillness
from innkeeper.core.taking import Take
from innkeeper.core.tenant import Tenant
from innkeeper.core.works import RESULT, Works
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.works import WorkLoops
from innkeeper.safekeeping import Safekeeping, kept_safe
from innkeeper.units import memory
from innkeeper.units.stills import FolderStills
from tests.restic.deposits import near
from tests.support.house import House

ENTRIES_MAX = 2000


class SmallDatabase:
    """The control plane's own, as far as a test needs it."""

    content = b"rows"

    async def copy(self, into: Path) -> None:
        (into / "innkeeper.db").write_bytes(self.content)


@dataclass
class Bench:
    """The pieces, where tests can reach them."""

    house: House
    data: Path
    snapshots: SnapshotStore
    keeping: Safekeeping
    works: Works
    database: SmallDatabase
    alerts: list[AlertRaised]
    taken_s: list[float] = field(default_factory=list)
    """How long each snapshot took until it was there."""

    def home(self, name: str = "alice") -> Path:
        """Where a tenant's data lies."""
        return self.data / "tenants" / name / "persistence"

    async def tenant(self, name: str = "alice", files: Mapping[str, bytes] | None = None) -> Tenant:
        """One that runs, with these files."""
        await self.house.create(name)
        await self.house.settle(name)
        home = self.home(name)
        home.mkdir(parents=True)
        for path, content in (files or {"note.md": b"I remember", "sub/a": b"a"}).items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_bytes(content)
        (home.parent / "compose.yaml").write_text("services: {}\n")
        return await self.house.tenant(name)

    async def backup(self, name: str = "alice") -> Operation:
        """A backup, at its end."""
        return await self.over(await self.keeping.backups.create(name, actor=SYSTEM))

    async def backup_or_none(self, name: str) -> Operation | None:
        """The same; None where it can't even be asked for."""
        try:
            return await self.backup(name)
        except Problem:
            return None

    async def over(self, operation: Operation) -> Operation:
        return await self.house.control.wait(operation.id, timeout_s=60)

    async def result(self, name: str = "alice") -> Mapping[str, Any]:
        """What came of a backup that went well."""
        ended = await self.backup(name)
        assert ended.error is None, ended.error
        found: Mapping[str, Any] = ended.detail[RESULT]
        return found

    async def restored(self, snapshot: Snapshot, target: str = "local") -> Path:
        """The snapshot, restored into a fresh folder."""
        into = self.data / f"restored-{snapshot.id}-{target}"
        into.mkdir()
        repository = Repository(target=target, owner=snapshot.owner)
        await self.snapshots.restore(repository, snapshot.copies[target], into)
        return into

    async def rows(self, owner: str) -> list[Snapshot]:
        async with self.house.store.look() as tx:
            return list(await tx.snapshots.of(owner))

    async def newest(self, name: str = "alice") -> Snapshot:
        return (await self.rows((await self.house.tenant(name)).id))[0]

    async def state(self, name: str = "alice") -> BackupState:
        async with self.house.store.look() as tx:
            state = await tx.snapshots.state((await self.house.tenant(name)).id)
        assert state is not None
        return state


def make(
    data: Path,
    house: House | None = None,
    *,
    snapshots: SnapshotStore | None = None,
    plans: BackupPlans | None = None,
    entries_max: int = ENTRIES_MAX,
) -> Bench:
    """Put one together; nothing runs yet."""
    house = house or House()
    snapshots = snapshots or near(data)
    works = Works(store=house.store, bus=house.bus, clock=house.clock)
    database, alerts = SmallDatabase(), list[AlertRaised]()

    def note(event: Event) -> None:
        if isinstance(event, AlertRaised):
            alerts.append(event)

    house.bus.on_event(note)
    stillness = Stillness(
        store=house.store,
        runtime=house.runtime,
        suspensions=house.dormitory.suspensions,
        bus=house.bus,
        clock=house.clock,
        holder="backups",
        hurry=house.queue.add,
    )
    keeping = kept_safe(
        works=works,
        store=house.store,
        snapshots=snapshots,
        stills=FolderStills(
            data / "tenants",
            staging=data / "staging",
            kept=data / "marks",
            in_memory=memory.folder_for(data),
            entries_max=entries_max,
            walkers=2,
        ),
        stillness=stillness,
        seating=house.seating,
        control=database,
        plans=plans or BackupPlans(),
        consent_wait_s=0,
        bus=house.bus,
        clock=house.clock,
    )
    bench = Bench(
        house=house,
        data=data,
        snapshots=snapshots,
        keeping=keeping,
        works=works,
        database=database,
        alerts=alerts,
    )
    keeping.backing_up._taking.of = _timed(keeping.backing_up._taking.of, bench.taken_s)  # type: ignore[method-assign,assignment]
    return bench


def _timed(take: Callable[..., Awaitable[Take]], taken_s: list[float]) -> Callable[..., Awaitable[Take]]:
    async def timed(*which: Any, **how: Any) -> Take:
        began = perf_counter()
        try:
            return await take(*which, **how)
        finally:
            taken_s.append(perf_counter() - began)

    return timed


@asynccontextmanager
async def at_work(bench: Bench, holder: str = "one") -> AsyncIterator[WorkLoops]:
    """What is asked for is carried out meanwhile."""
    house = bench.house
    loops = WorkLoops(
        bench.keeping.works, store=house.store, bus=house.bus, clock=house.clock, holder=holder, at_once=2
    )
    supervisor = Supervisor()
    loops.start(supervisor)
    async with supervisor.running():
        yield loops
    assert not any(loop.restarts for loop in supervisor.loops.values()), "a loop fell"


@asynccontextmanager
async def opened(data: Path, **parts: Any) -> AsyncIterator[Bench]:
    """One whose works are carried out."""
    bench = make(data, **parts)
    try:
        async with at_work(bench):
            yield bench
    finally:
        await asyncio.to_thread(bench.keeping.stills.close)
