"""The part of the composition root that proves snapshots: where drills are held, and whose turn it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from innkeeper import telemetry
from innkeeper.agents import AGENTS
from innkeeper.core.boarding import Boarding
from innkeeper.core.directory import Directory
from innkeeper.core.drill_berth import DrillBerth
from innkeeper.core.drill_catalogue import SnapshotCatalogue
from innkeeper.core.drill_run import Gear
from innkeeper.core.drill_schedule import DrillSchedule
from innkeeper.core.drills import Drills, DrillWork
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus
from innkeeper.core.ports import Clock, Store
from innkeeper.core.ports.snapshots import SnapshotStore
from innkeeper.core.proofs import Proofs
from innkeeper.core.works import Works
from innkeeper.edge.prober import HttpProber
from innkeeper.loops.supervise import Supervisor, every
from innkeeper.runtimes.docker_drill import DockerDrillRoom
from innkeeper.runtimes.memory_drill import MemoryDrillRoom
from innkeeper.settings import Settings
from innkeeper.units.staging import FolderStaging

log = structlog.get_logger("innkeeper.drills")

SWEEP_EVERY_S = 600.0
LOOK_EVERY_S = 300.0
"""How often it is asked whether a drill is due, and what others have proven."""


@dataclass(frozen=True, kw_only=True)
class DrillHall:
    """Begins drills, and knows how they went; `work` is to be carried out with the other works."""

    drills: Drills
    work: DrillWork
    schedule: DrillSchedule
    proofs: Proofs
    clock: Clock

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loops to the supervisor."""
        supervisor.add("drill-sweep", lambda: every(SWEEP_EVERY_S, _tolerant(self.sweep)))
        supervisor.add("drills", lambda: every(LOOK_EVERY_S, _tolerant(self.look)))

    async def sweep(self) -> None:
        """Throw away what nobody is at any more."""
        if swept := await self.work.sweep():
            log.info("what was left of drills is gone", drills=swept)

    async def look(self) -> None:
        """Begin a drill that is due, and measure what is proven."""
        await self.proofs.load()
        if (begun := await self.schedule.turn()) is not None:
            log.info("a drill is due", tenant=begun.tenant, operation=begun.id)
        proven = self.proofs.proven
        telemetry.drill_proven_tenants.set(len(proven))
        if proven:
            newest = max(drill.ended_at for drill in proven)
            telemetry.drill_proof_age.set(max(0.0, (self.clock.now() - newest).total_seconds()))


@asynccontextmanager
async def drill_hall(
    settings: Settings,
    snapshots: SnapshotStore,
    works: Works,
    boarding: Boarding,
    *,
    directory: Directory,
    store: Store,
    bus: Bus,
    clock: Clock,
) -> AsyncIterator[DrillHall]:
    """Put it together, and let go of the Engine at the end; what a drill has left is swept away by the next process."""
    room, prober = make_drill_room(settings), HttpProber()
    catalogue = SnapshotCatalogue(store=store, snapshots=snapshots)
    gear = Gear(
        snapshots=snapshots,
        room=room,
        staging=FolderStaging(settings.data / "drills"),
        prober=prober,
        agents=AGENTS,
    )
    berth = DrillBerth(boarding)
    work = DrillWork(gear=gear, catalogue=catalogue, berth=berth, store=store, bus=bus, clock=clock)
    hall = DrillHall(
        drills=Drills(works=works),
        work=work,
        schedule=DrillSchedule(
            every=settings.drills_every,
            works=works,
            catalogue=catalogue,
            directory=directory,
            store=store,
            clock=clock,
        ),
        proofs=Proofs(store=store, bus=bus, count=lambda outcome: telemetry.drills.labels(outcome=outcome).inc()),
        clock=clock,
    )
    await hall.proofs.load()
    try:
        yield hall
    finally:
        await prober.close()
        await room.release()


def make_drill_room(settings: Settings) -> DockerDrillRoom | MemoryDrillRoom:
    """Beside the runtime that the settings name."""
    if settings.runtime == "memory":
        return MemoryDrillRoom()
    return DockerDrillRoom(socket=settings.docker_socket, namespace=settings.namespace)


def _tolerant(work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """The same, with Problems logged instead of raised: the next round is the retry."""

    async def tried() -> None:
        try:
            await work()
        except Problem as problem:
            log.warning("drills can't be seen to", code=problem.code, problem=problem.message)

    return tried
