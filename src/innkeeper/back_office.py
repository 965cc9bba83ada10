"""The part of the composition root that has works carried out on tenants' folders: what begins them, and in which order
they need each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from innkeeper.arrivals import arrivals
from innkeeper.backstage import Backstage
from innkeeper.core.control import Control
from innkeeper.core.directory import Directory
from innkeeper.core.erasure import Disconnect
from innkeeper.core.events import Bus
from innkeeper.core.importing import Importing
from innkeeper.core.ports import Clock, Runtime, Units
from innkeeper.core.seating import Seating
from innkeeper.core.vault import Vault
from innkeeper.drill_hall import DrillHall, drill_hall
from innkeeper.erasing import Farewell, farewell
from innkeeper.keyring import Keyring
from innkeeper.loops.dormitory import Dormitory
from innkeeper.recovery import Recovery, recovery
from innkeeper.restic import ResticStore
from innkeeper.safe_deposit import snapshot_store
from innkeeper.safekeeping import Safekeeping, safekeeping
from innkeeper.settings import Settings
from innkeeper.shipping import Shipping, shipping
from innkeeper.storeroom import Storeroom


@dataclass(frozen=True, kw_only=True)
class BackOffice:
    """Who begins works."""

    importing: Importing
    moves: Shipping
    kept: Safekeeping
    hall: DrillHall
    recovered: Recovery
    leaving: Farewell
    snapshots: ResticStore


@asynccontextmanager
async def back_office(
    settings: Settings,
    behind: Backstage,
    packs: Storeroom,
    *,
    control: Control,
    directory: Directory,
    runtime: Runtime,
    units: Units,
    seating: Seating,
    keyring: Keyring,
    vault: Vault,
    beds: Dormitory,
    disconnect: Disconnect,
    holder: str,
    hurry: Callable[[str], object],
    bus: Bus,
    clock: Clock,
) -> AsyncIterator[BackOffice]:
    """Put it together, and have all their works carried out while the block runs."""
    store, snapshots = control.store, snapshot_store(settings, keyring, vault)
    behind.loops.add(packs.hydration)
    async with AsyncExitStack() as stack:
        importing = await arrivals(
            settings,
            store=store,
            control=control,
            units=units,
            keyring=keyring,
            backstage=behind,
            bus=bus,
            clock=clock,
        )
        leaving = farewell(
            settings,
            store,
            units,
            keyring,
            bus=bus,
            clock=clock,
            disconnect=disconnect,
            quiet=behind.loops.quiet,
            snapshots=snapshots,
        )
        behind.others.append(leaving.loop.start)
        moves = shipping(
            settings,
            works=behind.works,
            store=store,
            runtime=runtime,
            beds=beds,
            units=units,
            seating=seating,
            vault=vault,
            seals=keyring,
            tokens=keyring,
            bus=bus,
            clock=clock,
            holder=holder,
            hurry=hurry,
        )
        behind.carries_out(moves.exports, moves.start)
        behind.loops.add(moves.data_exports)
        proving = drill_hall(
            settings, snapshots, behind.works, beds.boarding, directory=directory, store=store, bus=bus, clock=clock
        )
        hall = await stack.enter_async_context(proving)
        behind.carries_out(hall.work, hall.start)
        keeping = safekeeping(
            settings, behind, snapshots, moves.stillness, store=store, seating=seating, bus=bus, clock=clock
        )
        kept = await stack.enter_async_context(keeping)
        recovered = recovery(
            settings,
            behind,
            kept,
            snapshots,
            control=control,
            crates=moves.crates,
            seating=seating,
            vault=vault,
            keyring=keyring,
            runtime=runtime,
            units=units,
            bus=bus,
            clock=clock,
        )
        yield BackOffice(
            importing=importing,
            moves=moves,
            kept=kept,
            hall=hall,
            recovered=recovered,
            leaving=leaving,
            snapshots=snapshots,
        )
