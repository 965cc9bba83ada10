"""The part of the composition root that takes units elsewhere: exports, and compose files of the whole fleet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from innkeeper.core.data_exports import DataExports
from innkeeper.core.dossier import Dossier
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus, Event, TenantGone
from innkeeper.core.exports import Exports
from innkeeper.core.fleet import Fleet
from innkeeper.core.ports import Clock, Runtime, Seals, Store, Tokens, Units
from innkeeper.core.ports.exports import Crates
from innkeeper.core.seating import Seating
from innkeeper.core.stillness import Stillness
from innkeeper.core.vault import Vault
from innkeeper.core.works import Works
from innkeeper.images.saved import EngineImages, NoImages
from innkeeper.loops.dormitory import Dormitory
from innkeeper.loops.supervise import Supervisor
from innkeeper.settings import Settings
from innkeeper.units.crates import FolderCrates
from innkeeper.units.fleet_compose import render_fleet

log = structlog.get_logger("innkeeper.shipping")

TIDY_EVERY_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Shipping:
    """Who holds tenants still, and who packs them."""

    stillness: Stillness
    exports: Exports
    data_exports: DataExports
    fleet: Fleet
    crates: Crates
    tidy_now: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        supervisor.add("exports", self._tidy_forever)

    def follow(self, event: Event) -> None:
        """Whose tenant is gone, theirs go at once."""
        if isinstance(event, TenantGone):
            self.tidy_now.set()

    async def _tidy_forever(self) -> None:
        while True:
            self.tidy_now.clear()
            await self._tidy()
            with suppress(TimeoutError):
                async with asyncio.timeout(TIDY_EVERY_S):
                    await self.tidy_now.wait()

    async def _tidy(self) -> None:
        try:
            if gone := await self.exports.tidy():
                log.info("exports removed", exports=gone)
        except Problem as problem:
            log.warning("exports can't be tidied", code=problem.code, problem=problem.message)


def shipping(
    settings: Settings,
    *,
    works: Works,
    store: Store,
    runtime: Runtime,
    beds: Dormitory,
    units: Units,
    seating: Seating,
    vault: Vault,
    seals: Seals,
    tokens: Tokens,
    bus: Bus,
    clock: Clock,
    holder: str,
    hurry: Callable[[str], object],
) -> Shipping:
    """Put it together; `exports` is to be carried out as a work."""
    stillness = Stillness(
        store=store, runtime=runtime, suspensions=beds.suspensions, bus=bus, clock=clock, holder=holder, hurry=hurry
    )
    crates = FolderCrates(settings.data / "exports", settings.data / "tenants")
    exports = Exports(
        store=store,
        works=works,
        stillness=stillness,
        crates=crates,
        images=EngineImages(settings.docker_socket) if settings.runtime == "docker" else NoImages(),
        seating=seating,
        vault=vault,
        seals=seals,
        clock=clock,
    )
    data_exports = DataExports(
        dossier=Dossier(store=store, seals=seals),
        tokens=tokens,
        store=store,
        works=works,
        stillness=stillness,
        crates=crates,
        images=NoImages(),
        seating=seating,
        vault=vault,
        seals=seals,
        clock=clock,
    )
    fleet = Fleet(store=store, units=units, seating=seating, composer=render_fleet)
    ready = Shipping(stillness=stillness, exports=exports, data_exports=data_exports, fleet=fleet, crates=crates)
    bus.on_event(ready.follow)
    return ready
