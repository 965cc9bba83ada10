"""The part of the composition root that takes units in from elsewhere."""

from __future__ import annotations

from functools import partial

from innkeeper import telemetry
from innkeeper.agents import AGENTS
from innkeeper.backstage import Backstage
from innkeeper.core.control import Control
from innkeeper.core.events import Bus
from innkeeper.core.importing import Importing
from innkeeper.core.ports import Clock, Store, Units
from innkeeper.keyring import Keyring
from innkeeper.settings import Settings
from innkeeper.units.archive import Caps
from innkeeper.units.arrivals import FolderArrivals
from innkeeper.units.source_paths import Premises


async def arrivals(
    settings: Settings,
    *,
    store: Store,
    control: Control,
    units: Units,
    keyring: Keyring,
    backstage: Backstage,
    bus: Bus,
    clock: Clock,
) -> Importing:
    """Put it together, and clear away what imports have left that nobody carries out any more."""
    premises = Premises(data=settings.data, roots=settings.import_from)
    caps = Caps(entries=settings.import_entries_max, bytes=settings.import_gb_max << 30)
    importing = Importing(
        store=store,
        arrivals=FolderArrivals(premises, AGENTS, caps),
        control=control,
        units=units,
        works=backstage.works,
        closing=backstage.closing,
        seals=keyring,
        keys=keyring,
        bus=bus,
        clock=clock,
        hide=partial(telemetry.hide, for_s=telemetry.HIDDEN_FOR_S, chosen=True),
    )
    await importing.tidy()
    backstage.loops.add(importing)
    return importing
