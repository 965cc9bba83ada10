"""The part of the composition root that is a tenant's door: the gate, and what ends what it has let in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from innkeeper import telemetry
from innkeeper.broker.residents import Residents
from innkeeper.core.callers import Callers
from innkeeper.core.door import Door
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus, Event, KeysChanged, PeopleChanged, TenantChanged, TenantGone
from innkeeper.core.hosting import Hosting
from innkeeper.core.lookout import Lookout
from innkeeper.core.revocations import Revocations
from innkeeper.edge.caddy import Caddy
from innkeeper.edge.caddy_admin import listener_pid
from innkeeper.edge.gate import Gate, Outcome
from innkeeper.edge.gate_server import GateServer
from innkeeper.frontage import edge_of, edge_plan
from innkeeper.host.sever import EdgeConnections
from innkeeper.loops.severing import Severing
from innkeeper.post_office import PostOffice
from innkeeper.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Doorway:
    """Caddy, with the gate that it asks."""

    caddy: Caddy
    severing: Severing


@asynccontextmanager
async def doorway(
    settings: Settings,
    *,
    door: Door,
    hosting: Hosting,
    post: PostOffice,
    residents: Residents,
    lookout: Lookout,
    bus: Bus,
    lately: bool,
) -> AsyncIterator[Doorway]:
    """Gate and inbox listen before Caddy asks; Caddy outlives us and asks again when we are back."""
    counts = {outcome: telemetry.gate_asks.labels(outcome=outcome).inc for outcome in Outcome}
    plan, callers = edge_plan(settings), Callers()
    gate = Gate(
        door,
        inbox=plan.inbox_socket,
        console=hosting.console_origin,
        callers=callers,
        lookout=lookout,
        count=lambda outcome: counts[outcome](),
    )
    caddy = edge_of(settings)
    server = GateServer(gate, path=plan.gate_socket)
    revocations = Revocations(bus=bus, lately=lately)
    connections = EdgeConnections(ports=plan.ports, pid=lambda: listener_pid(plan.admin_socket))
    severing = _severing(connections, door, callers, residents, revocations, bus, _mark(settings))
    with suppress(Problem):  # it says so itself when it looks
        await severing.remember()
    async with post.listening():
        await server.open()
        try:
            await caddy.start()
            yield Doorway(caddy=caddy, severing=severing)
        finally:
            await server.close()


def severed_at(settings: Settings) -> datetime | None:
    """When a control plane on this host last had nothing left to end; None: that isn't known."""
    try:
        return datetime.fromtimestamp(_mark(settings).stat().st_mtime, UTC)
    except OSError:
        return None


def _mark(settings: Settings) -> Path:
    """A file that is touched then."""
    return edge_plan(settings).run / "severed"


def _severing(
    connections: EdgeConnections,
    door: Door,
    callers: Callers,
    residents: Residents,
    revocations: Revocations,
    bus: Bus,
    mark: Path,
) -> Severing:
    async def note_done() -> None:
        with suppress(OSError):  # then more is ended at the next start than must be
            await asyncio.to_thread(mark.touch, 0o600)

    severing = Severing(
        callers=callers,
        connections=connections,
        still=door.still,
        lost=revocations.lost,
        address=residents.address_of,
        tenant_at=residents.name_at,
        on_severed=lambda side, count: telemetry.severed.labels(side=side).inc(count),
        note_done=note_done,
    )

    def hurry(event: Event) -> None:
        if isinstance(event, KeysChanged | PeopleChanged | TenantChanged | TenantGone):
            severing.hurry()

    bus.on_event(hurry)
    return severing
