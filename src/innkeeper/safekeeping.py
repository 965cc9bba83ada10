"""The part of the composition root that backs up: who takes snapshots, looks after them, and begins that when due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from innkeeper import telemetry
from innkeeper.core.aftercare import Aftercare
from innkeeper.core.backing_up import BackingUp, Retaining, Verifying
from innkeeper.core.backup_plans import BackupPlans, backup_plans_from
from innkeeper.core.backups import Backups, Overview
from innkeeper.core.events import Bus
from innkeeper.core.ports import Clock, Store
from innkeeper.core.ports.control_copies import ControlCopies
from innkeeper.core.ports.snapshots import SnapshotStore
from innkeeper.core.seating import Seating
from innkeeper.core.stillness import Stillness
from innkeeper.core.taking import Taking
from innkeeper.core.works import Work, Works
from innkeeper.loops.backups import BackupLoops
from innkeeper.loops.supervise import Supervisor
from innkeeper.settings import Settings
from innkeeper.store.copying import DatabaseCopies
from innkeeper.units.stills import FolderStills


@dataclass(frozen=True, kw_only=True)
class Safekeeping:
    """Takes snapshots and looks after them."""

    backups: Backups
    backing_up: BackingUp
    aftercare: Aftercare
    stills: FolderStills
    works: Sequence[Work]
    """To be carried out."""
    loops: BackupLoops

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        self.loops.start(supervisor)

    async def close(self) -> None:
        """Let go of threads."""
        self.stills.close()


def safekeeping(
    settings: Settings,
    *,
    works: Works,
    store: Store,
    snapshots: SnapshotStore,
    stillness: Stillness,
    seating: Seating,
    bus: Bus,
    clock: Clock,
) -> Safekeeping:
    """Put it together as the settings say."""
    return kept_safe(
        works=works,
        store=store,
        snapshots=snapshots,
        stills=FolderStills(
            settings.data / "tenants",
            staging=settings.data / "staging",
            kept=settings.data / "marks",
            walkers=2 * settings.works_at_once,
        ),
        stillness=stillness,
        seating=seating,
        control=DatabaseCopies(settings.store_url),
        plans=backup_plans_from(settings.backup_plan, settings.plans),
        consent_wait_s=settings.backup_consent_wait_s,
        bus=bus,
        clock=clock,
        tell=telemetry.count_backups,
    )


def kept_safe(
    *,
    works: Works,
    store: Store,
    snapshots: SnapshotStore,
    stills: FolderStills,
    stillness: Stillness,
    seating: Seating,
    control: ControlCopies,
    plans: BackupPlans,
    consent_wait_s: float,
    bus: Bus,
    clock: Clock,
    tell: Callable[[Sequence[Overview], datetime], object] = lambda overviews, now: None,
) -> Safekeeping:
    """The same of parts that were chosen already."""
    aftercare = Aftercare(store=store, snapshots=snapshots, stills=stills, bus=bus, clock=clock)
    taking = Taking(
        store=store,
        snapshots=snapshots,
        stills=stills,
        stillness=stillness,
        seating=seating,
        clock=clock,
        consent_wait_s=consent_wait_s,
    )
    backing_up = BackingUp(
        store=store,
        snapshots=snapshots,
        stills=stills,
        taking=taking,
        aftercare=aftercare,
        control=control,
        plans=plans,
        bus=bus,
        clock=clock,
    )
    backups = Backups(store=store, works=works, snapshots=snapshots, plans=plans, clock=clock)
    return Safekeeping(
        backups=backups,
        backing_up=backing_up,
        aftercare=aftercare,
        stills=stills,
        works=(
            backing_up,
            Retaining(store=store, aftercare=aftercare, plans=plans),
            Verifying(store=store, snapshots=snapshots, aftercare=aftercare, clock=clock),
        ),
        loops=BackupLoops(store=store, backups=backups, stills=stills, bus=bus, clock=clock, tell=tell),
    )
