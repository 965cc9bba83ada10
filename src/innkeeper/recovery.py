"""The part of the composition root that brings tenants back from their snapshots."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from innkeeper.backstage import Backstage
from innkeeper.core.control import Control
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus
from innkeeper.core.ports import Clock, Runtime, Units
from innkeeper.core.ports.exports import Crates
from innkeeper.core.ports.snapshots import SnapshotStore
from innkeeper.core.proving import Proving
from innkeeper.core.restore_anew import RestoreAnew
from innkeeper.core.restore_asked import Mode
from innkeeper.core.restore_in_place import RestoreInPlace
from innkeeper.core.restore_paths import RestorePaths
from innkeeper.core.restored_files import RestoredFiles
from innkeeper.core.restored_spec import RestoredSpecs
from innkeeper.core.restores import Restores
from innkeeper.core.restoring import LeftStages, Restoring
from innkeeper.core.safety import RecordedSnapshots, SafetySnapshots
from innkeeper.core.seating import Seating
from innkeeper.core.shelf import Shelf
from innkeeper.core.staging import Staging
from innkeeper.core.vault import Vault
from innkeeper.keyring import Keyring
from innkeeper.loops.supervise import Supervisor, every
from innkeeper.safekeeping import Safekeeping
from innkeeper.settings import Settings
from innkeeper.units.stages import FolderStages

log = structlog.get_logger("innkeeper.recovery")

SWEEP_EVERY_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """Begins restores, and cleans up after them."""

    restores: Restores
    files: RestoredFiles
    left: LeftStages

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        supervisor.add("restores", lambda: every(SWEEP_EVERY_S, self._sweep))

    async def _sweep(self) -> None:
        try:
            if gone := await self.left.sweep():
                log.info("left by restores, erased", stages=gone)
        except Problem as problem:
            log.warning("what restores have left can't be erased", code=problem.code, problem=problem.message)


def recovery(
    settings: Settings,
    behind: Backstage,
    kept: Safekeeping,
    snapshots: SnapshotStore,
    *,
    control: Control,
    crates: Crates,
    seating: Seating,
    vault: Vault,
    keyring: Keyring,
    runtime: Runtime,
    units: Units,
    bus: Bus,
    clock: Clock,
) -> Recovery:
    """Put it together, and have its work carried out."""
    store, agents = control.store, control.agents
    shelf = Shelf(snapshots, keyring, recorded=RecordedSnapshots(store).of)
    stages = FolderStages(settings.data / "restores", settings.data / "tenants")
    specs = RestoredSpecs(store=store, runtime=runtime, agents=agents)
    staging = Staging(shelf=shelf, stages=stages, specs=specs)
    proving = Proving(store=store, runtime=runtime, agents=agents)
    safety = SafetySnapshots(backing_up=kept.backing_up, store=store, units=units)
    in_place = RestoreInPlace(
        store=store,
        staging=staging,
        stages=stages,
        specs=specs,
        seals=keyring,
        closing=behind.closing,
        proving=proving,
        safety=safety.take,
        ahead=safety.ahead,
        bus=bus,
        clock=clock,
    )
    anew = RestoreAnew(
        store=store,
        staging=staging,
        stages=stages,
        seals=keyring,
        keys=keyring,
        proving=proving,
        adopt=kept.aftercare.adopt,
        bus=bus,
        clock=clock,
    )
    paths = RestorePaths(store=store, staging=staging, stages=stages)
    files = RestoredFiles(
        staging=staging,
        stages=stages,
        shelf=shelf,
        seating=seating,
        vault=vault,
        seals=keyring,
        store=store,
        crates=crates,
        clock=clock,
    )
    behind.loops.add(Restoring({Mode.IN_PLACE: in_place, Mode.ANEW: anew, Mode.PATHS: paths, Mode.FILE: files}))
    restores = Restores(
        store=store,
        shelf=shelf,
        specs=specs,
        units=units,
        works=behind.works,
        bus=bus,
        clock=clock,
        domain=settings.domain,
    )
    found = Recovery(restores=restores, files=files, left=LeftStages(store=store, stages=stages))
    behind.others.append(found.start)
    return found
