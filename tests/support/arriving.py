"""A house that takes units in: real folders, the real agents' adapters, and instances in memory."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from innkeeper.agents import AGENTS
from innkeeper.core.access import SYSTEM
from innkeeper.core.importing import Importing
from innkeeper.core.operations import Operation
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.works import WorkLoops
from innkeeper.units.archive import Caps
from innkeeper.units.arrivals import FolderArrivals
from innkeeper.units.layout import FolderUnits
from innkeeper.units.source_paths import Premises
from tests.support.house import House, PlainAgent
from tests.support.people import PlainSeals

OWNER = (1000, 1000) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
STARTED = b'{"ok": true, "status": "started"}'
"""OpenClaw's word that it is up, and nanobot's with it."""


def arrivals_of(data: Path, caps: Caps = Caps(entries=5000, bytes=1 << 30)) -> FolderArrivals:  # noqa: B008
    """Sources on this disk."""
    data.mkdir(parents=True, exist_ok=True)
    return FolderArrivals(Premises(data=data), AGENTS, caps, owner_uid=OWNER[0], owner_gid=OWNER[1])


def importing_of(house: House, data: Path, arrivals: FolderArrivals | None = None) -> Importing:
    """The use case on that house."""
    return Importing(
        store=house.store,
        arrivals=arrivals or arrivals_of(data),
        control=house.control,
        units=house.real_units or house.units,
        works=house.works,
        closing=house.closing,
        seals=PlainSeals(),
        keys=house.data_keys,
        bus=house.bus,
        clock=house.clock,
        hide=house.hidden.add,
    )


async def hospitable(data: Path, *, agent: PlainAgent | None = None) -> House:
    """A house with folders on the disk, in which OpenClaw and nanobot can run."""
    units = FolderUnits(data / "tenants", owner_uid=OWNER[0], owner_gid=OWNER[1])
    house = House(real_units=units, more_agents=AGENTS, agent=agent or PlainAgent())
    house.prober.answer = (200, b'{"ok": true, "status": "started"}')
    for name, each in AGENTS.items():
        await house.releases.record(
            agent=name,
            version=each.minimum_version or "1",
            image=f"sha256:{name}",
            source="packages",
            size_mb=1,
            actor=SYSTEM,
        )
    return house


@asynccontextmanager
async def open_house(
    house: House, importing: Importing, *, holder: str = "one", tenants: bool = True
) -> AsyncIterator[WorkLoops]:
    """Works are carried out, and `tenants` brought up, while the block runs."""
    works = WorkLoops([importing], store=house.store, bus=house.bus, clock=house.clock, holder=holder)
    supervisor = Supervisor()
    works.start(supervisor)
    if tenants:
        house.loops(workers=2).start(supervisor)
    async with supervisor.running():
        yield works


async def over(house: House, operation: Operation) -> Operation:
    """The operation at its end."""
    return await house.control.wait(operation.id, timeout_s=60)
