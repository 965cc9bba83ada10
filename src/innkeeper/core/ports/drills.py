"""What the core needs to run a snapshot once, out of everybody's reach, to throw it away, and to know how it went."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from innkeeper.core.drill import Drill
from innkeeper.core.instance import Execution, Instance, LogLine, Place
from innkeeper.core.ports.host import Units
from innkeeper.core.ports.runtime import Blueprint


class DrillRoom(Protocol):
    """Where throwaway instances run: hardened like a tenant's, each on a network of its own that leads nowhere.

    From inside nothing is reached and no name is resolved: not the net, not this host, not the broker, no tenant, no
    other drill. This host reaches what listens inside, to ask it things. The runtime never takes one of these instances
    for a tenant's, nor the other way round.

    `drill` is an id that is used once. Order: ready -> run_once -> open -> (state, logs) -> close; close may come at
    any time. Every call may be made again: `open` of one that runs does nothing. Different drills may overlap. Raises
    RuntimeUnavailable, IsolationBroken, ImageMissing from open, and RuntimeFault.
    """

    async def ready(self, drill: str) -> Place:
        """See that its network stands and isolates; where the instance will lie, and where we come from to it."""
        ...

    async def run_once(self, drill: str, blueprint: Blueprint, *, timeout_s: float) -> Execution:
        """Make an instance for the blueprint's command alone, and remove it when that has ended: how, and the last of
        what it wrote. RuntimeFault when it takes too long."""
        ...

    async def open(self, drill: str, blueprint: Blueprint) -> None:
        """Make its instance and start it; the slot in the blueprint means nothing here."""
        ...

    async def state(self, drill: str) -> Instance:
        """How it is: running, stopped with what it ended with, or absent. It is never restarted."""
        ...

    def logs(self, drill: str, *, tail: int) -> AsyncIterator[LogLine]:
        """What it wrote, oldest first."""
        ...

    async def close(self, drill: str) -> None:
        """Instance and network go, without grace; fine where there is none."""
        ...

    async def leftovers(self) -> Sequence[str]:
        """The drills of which anything stands."""
        ...


class Staging(Protocol):
    """Folders on this host in which snapshots are laid out for a drill; one a drill. UnitFault and DiskFull."""

    async def make(self, drill: str, unit: str) -> Path:
        """The empty folder of a unit, that nobody else gets into; whatever was there of the drill is gone."""
        ...

    def units(self, drill: str) -> Units:
        """What was laid out there."""
        ...

    async def check(self, drill: str, unit: str) -> None:
        """Raise UnitFault where what was laid out isn't a unit with a folder of data: a link would be mounted, too."""
        ...

    async def free_bytes(self) -> int:
        """What can be written to that disk."""
        ...

    async def erase(self, drill: str) -> None:
        """Remove its folder and everything in it; one that isn't there is fine."""
        ...

    async def names(self) -> Sequence[str]:
        """The drills that have one."""
        ...


class DrillRows(Protocol):
    """The drills that are over; a tenant's go with it."""

    async def put(self, drill: Drill) -> None:
        """Write one down; the same again replaces it. Nothing is written where its tenant is gone."""
        ...

    async def get(self, drill_id: str) -> Drill | None: ...

    async def newest(
        self, *, tenant: str | None = None, before: str | None = None, limit: int | None = None
    ) -> Sequence[Drill]:
        """Newest first (ids sort by time), of those that are older than the id `before`."""
        ...

    async def proven(self, tenants: Sequence[str] | None = None) -> Mapping[str, Drill]:
        """By tenant the newest one that proved its snapshot; None: of all who have one."""
        ...

    async def latest(self, tenants: Sequence[str] | None = None) -> Mapping[str, Drill]:
        """By tenant the newest one that said anything, good or bad."""
        ...
