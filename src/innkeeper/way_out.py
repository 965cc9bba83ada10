"""The part of the composition root that watches the tenants' way out to the net."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from innkeeper import telemetry
from innkeeper.core.asked_for import AskedFor
from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus
from innkeeper.core.ports import Clock, Runtime, Store
from innkeeper.core.tenant import Tenant
from innkeeper.loops.supervise import Supervisor
from innkeeper.resolver.answering import NameServer, Outcome
from innkeeper.resolver.listening import NameListeners
from innkeeper.resolver.upstream import HostServers
from innkeeper.resolver.watch import Watch
from innkeeper.runtimes.firewall import is_closed
from innkeeper.runtimes.host_net import HostNet
from innkeeper.settings import Settings


@dataclass(frozen=True, kw_only=True)
class WayOut:
    """The tenants' name server, whom it is for, and what was asked of it."""

    watch: Watch
    asked_for: AskedFor

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loops to the supervisor."""
        self.watch.start(supervisor)
        supervisor.add("asked-names", self.asked_for.keep_writing)


@asynccontextmanager
async def way_out(
    settings: Settings, *, store: Store, directory: Directory, runtime: Runtime, bus: Bus, clock: Clock
) -> AsyncIterator[WayOut]:
    """Put it together, and take it apart at the end; what is enforced stays so."""
    asked_for = AskedFor(store=store, bus=bus, clock=clock)
    servers = HostServers(_servers(settings))

    def tenant_at(address: str) -> Tenant | None:
        return watch.tenant_at(address)  # made below: it needs what needs the name server

    server = NameServer(
        find=tenant_at,
        upstream=servers,
        ways_out=runtime.ways_out,
        is_closed=is_closed,
        note=asked_for.note,
        count=_count,
    )
    listeners = NameListeners(server.answer, port=settings.names_port)
    watch = Watch(directory=directory, runtime=runtime, listeners=listeners, bus=bus)
    try:
        yield WayOut(watch=watch, asked_for=asked_for)
    finally:
        with suppress(Problem):
            await runtime.ways_out.let_go()
        await listeners.close()
        await asked_for.last()


def _servers(settings: Settings) -> Callable[[], Sequence[str]]:
    if settings.dns:
        return lambda: settings.dns
    return lambda: [str(address) for address in HostNet().name_servers()]


def _count(outcome: Outcome) -> None:
    telemetry.egress_lookups.labels(outcome=outcome).inc()
