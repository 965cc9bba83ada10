"""The part of the composition root that backs up: who takes snapshots, looks after them, and begins that when due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from innkeeper import telemetry
from innkeeper.backstage import Backstage
from innkeeper.core.aftercare import Aftercare
from innkeeper.core.backing_up import CONTROL_FOLDER, BackingUp
from innkeeper.core.backup_plans import BackupPlans, backup_plans_from
from innkeeper.core.backups import Backups, Overview
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus
from innkeeper.core.mending import Mending, Repairing
from innkeeper.core.ports import Clock, Store
from innkeeper.core.ports.control_copies import ControlCopies
from innkeeper.core.ports.snapshots import CONTROL, Repository, SnapshotStore
from innkeeper.core.seating import Seating
from innkeeper.core.secret_errors import SecretMissing
from innkeeper.core.snapshot_errors import SnapshotDamaged, SnapshotMissing
from innkeeper.core.stillness import Stillness
from innkeeper.core.taking import STILL, Taking
from innkeeper.core.tenant import Tenant
from innkeeper.core.tending import Retaining, Verifying
from innkeeper.core.works import Work, Works
from innkeeper.keyring import Keyring
from innkeeper.keyring.choice import master_source
from innkeeper.loops.backups import BackupLoops
from innkeeper.safe_deposit import snapshot_store
from innkeeper.settings import Settings
from innkeeper.store.copying import DatabaseCopies
from innkeeper.units import memory
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


@asynccontextmanager
async def safekeeping(
    settings: Settings,
    behind: Backstage,
    snapshots: SnapshotStore,
    stillness: Stillness,
    *,
    store: Store,
    seating: Seating,
    bus: Bus,
    clock: Clock,
) -> AsyncIterator[Safekeeping]:
    """Put it together as the settings say, and have its works carried out."""
    kept = kept_safe(
        works=behind.works,
        store=store,
        snapshots=snapshots,
        stills=FolderStills(
            settings.data / "tenants",
            staging=settings.data / "staging",
            kept=settings.data / "marks",
            in_memory=memory.folder_for(settings.data),
            walkers=2 * settings.works_at_once,
        ),
        stillness=stillness,
        seating=seating,
        control=DatabaseCopies(settings.store_url),
        plans=backup_plans_from(settings.backup_plan, settings.plans),
        consent_wait_s=settings.backup_consent_wait_s,
        repairs=settings.backup_repair,
        bus=bus,
        clock=clock,
        tell=telemetry.count_backups,
    )
    for work in kept.works:
        behind.loops.add(work)
    behind.others.append(kept.loops.start)
    try:
        yield kept
    finally:
        await asyncio.to_thread(kept.stills.close)


def put_control_back(settings: Settings, *, snapshot: str | None, target: str | None) -> dict[str, str]:
    """Put the database back from a snapshot of it; the newest one that is listed where none is named.

    Only on a host whose control plane doesn't run. KeyringFault, SnapshotMissing, Conflict, and what targets say.
    """
    keyring = Keyring.open(settings.data, master_source(settings, settings.data), make=False)
    return asyncio.run(_put_control_back(settings, snapshot_store(settings, keyring, _NoVault()), snapshot, target))


async def _put_control_back(
    settings: Settings, snapshots: SnapshotStore, snapshot: str | None, target: str | None
) -> dict[str, str]:
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    told: list[Problem] = []
    for place in snapshots.targets if target is None else [target]:
        repository = Repository(target=place, owner=CONTROL)
        try:
            found = [each for each in await snapshots.listing(repository) if STILL in each.tags]
            if snapshot is not None:
                found = [each for each in found if f"id={snapshot}" in each.tags or each.id.startswith(snapshot)]
            if not found:
                continue
            with TemporaryDirectory(prefix="restore-", dir=settings.data) as room:
                await snapshots.restore(repository, found[-1].id, Path(room))
                where = await DatabaseCopies(settings.store_url).put_back(Path(room) / CONTROL_FOLDER.strip("/"))
        except SnapshotDamaged as problem:  # another place may have it whole
            told.append(problem)
            continue
        its = next((tag.removeprefix("id=") for tag in found[-1].tags if tag.startswith("id=")), found[-1].id)
        return {"place": where, "snapshot": its, "target": place, "taken_at": found[-1].at.isoformat()}
    if told:
        raise told[0]
    raise SnapshotMissing("There is no such snapshot of the database at any target.", hint="See where it lies.")


class _NoVault:
    """The vault while its database isn't there."""

    async def reveal(self, name: str, tenant: Tenant | None) -> str:
        raise SecretMissing(
            f"{name} is in the vault, which is in the database that is to be put back.",
            hint="Name it `${env:NAME}` in INNKEEPER_BACKUP_CREDENTIALS for this once.",
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
    repairs: bool = True,
    bus: Bus,
    clock: Clock,
    tell: Callable[[Sequence[Overview], datetime], object] = lambda overviews, now: None,
) -> Safekeeping:
    """The same of parts that were chosen already."""
    aftercare = Aftercare(store=store, snapshots=snapshots, stills=stills, bus=bus, clock=clock)
    mending = Mending(store=store, snapshots=snapshots, aftercare=aftercare, clock=clock, by_itself=repairs)
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
        mending=mending,
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
            Repairing(store=store, snapshots=snapshots, mending=mending),
            Verifying(store=store, snapshots=snapshots, aftercare=aftercare, clock=clock),
        ),
        loops=BackupLoops(store=store, backups=backups, stills=stills, bus=bus, clock=clock, tell=tell),
    )
