"""What drills last said of each tenant's snapshots, in memory, for everything that shows a tenant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from innkeeper.core.drill import SPEAKING, Drill, Outcome
from innkeeper.core.events import Bus, DrillEnded, Event, TenantGone
from innkeeper.core.ports import Store
from innkeeper.core.tenant import Tenant


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The last drill of a tenant that said anything, and the last that proved a snapshot."""

    last: Drill
    proven: Drill | None


class Proofs:
    """Follows the bus; `load` catches up with what other control planes have drilled."""

    def __init__(self, *, store: Store, bus: Bus, count: Callable[[Outcome], object] = lambda outcome: None) -> None:
        self._store = store
        self._count = count
        self._last: dict[str, Drill] = {}
        self._proven: dict[str, Drill] = {}
        bus.on_event(self._follow)

    async def load(self) -> None:
        """Read everything anew."""
        async with self._store.look() as tx:
            last, proven = await tx.drills.latest(), await tx.drills.proven()
        self._last, self._proven = dict(last), dict(proven)

    def of(self, tenant: Tenant) -> Proof | None:
        """None where nothing is known of any of its snapshots."""
        last, proven = self._last.get(tenant.name), self._proven.get(tenant.name)
        if last is None or last.tenant_id != tenant.id:
            return None
        return Proof(last=last, proven=proven if proven is not None and proven.tenant_id == tenant.id else None)

    def proven_at(self, name: str, tenant_id: str) -> datetime | None:
        """When a snapshot of that tenant's was last proven; None: none ever was."""
        drill = self._proven.get(name)
        return drill.ended_at if drill is not None and drill.tenant_id == tenant_id else None

    @property
    def proven(self) -> list[Drill]:
        """The last proof of everybody who has one."""
        return list(self._proven.values())

    def _follow(self, event: Event) -> None:
        match event:
            case DrillEnded(drill=drill):
                self._count(drill.outcome)
                if drill.outcome in SPEAKING:
                    self._last[drill.tenant] = drill
                if drill.outcome is Outcome.PROVEN:
                    self._proven[drill.tenant] = drill
            case TenantGone(tenant=name):
                self._last.pop(name, None)
                self._proven.pop(name, None)
