"""The part of the composition root that answers what agents ask for: models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from innkeeper.broker.app import Broker
from innkeeper.broker.choice import upstream_from
from innkeeper.broker.counting import CountingMeter
from innkeeper.broker.listener import BrokerListeners
from innkeeper.broker.residents import Residents
from innkeeper.core.directory import Directory
from innkeeper.core.events import Bus
from innkeeper.core.ports import Runtime, Tokens
from innkeeper.loops.supervise import Supervisor
from innkeeper.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Brokerage:
    """The broker, who may call it, and where it listens."""

    broker: Broker
    residents: Residents
    listeners: BrokerListeners

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        self.residents.start(supervisor, self.listeners)


@asynccontextmanager
async def brokerage(
    settings: Settings, *, directory: Directory, runtime: Runtime, tokens: Tokens, bus: Bus
) -> AsyncIterator[Brokerage]:
    """Put it together, and take it apart at the end."""
    upstream = upstream_from(settings)
    residents = Residents(directory=directory, runtime=runtime, tokens=tokens, bus=bus)
    broker = Broker(callers=residents, upstream=upstream, meter=CountingMeter())
    listeners = BrokerListeners(broker, port=settings.broker_port)
    try:
        yield Brokerage(broker=broker, residents=residents, listeners=listeners)
    finally:
        await listeners.close()
        await upstream.close()
