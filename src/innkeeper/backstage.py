"""The part of the composition root that carries works out on tenants' folders: backups, drills, moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from innkeeper.core.closing import Closing
from innkeeper.core.events import Bus
from innkeeper.core.ports import Clock, Runtime, Store
from innkeeper.core.works import Work, Works
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.works import WorkLoops
from innkeeper.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Backstage:
    """Begins works, and carries them out."""

    works: Works
    closing: Closing
    loops: WorkLoops
    others: list[Callable[[Supervisor], object]] = field(default_factory=list)
    """How the loops are started of those who have works carried out."""

    def carries_out(self, work: Work, start: Callable[[Supervisor], object]) -> None:
        """Have this work carried out, and whatever loop it has of its own started."""
        self.loops.add(work)
        self.others.append(start)

    def start(self, supervisor: Supervisor) -> None:
        """Hand every loop to the supervisor."""
        self.loops.start(supervisor)
        for start in self.others:
            start(supervisor)


def backstage(settings: Settings, *, store: Store, runtime: Runtime, bus: Bus, clock: Clock, holder: str) -> Backstage:
    """Put it together; each kind of work is added by the part that knows it."""
    return Backstage(
        works=Works(store=store, bus=bus, clock=clock),
        closing=Closing(store=store, runtime=runtime, bus=bus),
        loops=WorkLoops((), store=store, bus=bus, clock=clock, holder=holder, at_once=settings.works_at_once),
    )
