"""The part of the composition root that takes webhooks in and delivers them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from innkeeper import telemetry
from innkeeper.core.activate import Activator
from innkeeper.core.deliveries import Deliveries
from innkeeper.core.directory import Directory
from innkeeper.core.door import Door
from innkeeper.core.errors import StoreUnavailable
from innkeeper.core.events import Bus
from innkeeper.core.inbox import Inbox, InboxLimits
from innkeeper.core.messages import MessageState
from innkeeper.core.ports import Clock, Seals, Store
from innkeeper.edge.caddy_config import EdgePlan
from innkeeper.edge.courier import CaddyCourier
from innkeeper.edge.inbox_server import InboxServer
from innkeeper.loops.postman import Postman
from innkeeper.loops.supervise import Supervisor
from innkeeper.settings import Settings


@dataclass(frozen=True, kw_only=True)
class PostOffice:
    """The inbox, and who empties it."""

    inbox: Inbox
    postman: Postman | None
    """Without an edge nobody brings messages, and nobody carries them."""
    store: Store
    server: InboxServer

    @property
    def tenants(self) -> Collection[str]:
        """Those to whom something is being delivered."""
        return self.postman.tenants if self.postman else ()

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        if self.postman is not None:
            self.postman.start(supervisor)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take messages while the block runs."""
        await self.server.open()
        try:
            yield
        finally:
            await self.server.close()

    async def measure(self) -> None:
        """Set the gauges."""
        with suppress(StoreUnavailable):
            async with self.store.look() as tx:
                counts = await tx.messages.counts()
            telemetry.inbox_waiting.set(sum(number for state, number in counts.items() if state.open))
            telemetry.inbox_dead.set(counts.get(MessageState.DEAD, 0))


def post_office(
    settings: Settings,
    plan: EdgePlan,
    *,
    store: Store,
    seals: Seals,
    directory: Directory,
    activator: Activator,
    door: Door,
    bus: Bus,
    clock: Clock,
) -> PostOffice:
    """Put it together."""
    limits = InboxLimits(messages=settings.inbox_messages, bytes=settings.inbox_mb << 20)
    inbox = Inbox(
        store=store,
        seals=seals,
        clock=clock,
        limits=limits,
        count=lambda outcome: telemetry.inbox_messages.labels(outcome=outcome).inc(),
    )
    postman = None
    if settings.edge:
        postman = Postman(
            deliveries=Deliveries(store=store, seals=seals, clock=clock, limits=limits),
            courier=CaddyCourier(plan),
            directory=directory,
            activator=activator,
            address=door.address,
            bus=bus,
            clock=clock,
            places=settings.inbox_deliveries,
            wake_within_s=settings.wake_deadline_s,
            count=lambda outcome: telemetry.inbox_deliveries.labels(outcome=outcome).inc(),
        )
        inbox.on_waiting(postman.call)
    server = InboxServer(inbox, path=plan.inbox_socket, body_limit=settings.inbox_body_mb << 20)
    return PostOffice(inbox=inbox, postman=postman, store=store, server=server)
