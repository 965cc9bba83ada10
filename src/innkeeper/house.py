"""A control plane that was put together: its loops, its doors, and what is measured of it."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass

from innkeeper import telemetry
from innkeeper.api.deps import Inn
from innkeeper.backstage import Backstage
from innkeeper.brokerage import Brokerage
from innkeeper.core.errors import Problem
from innkeeper.core.events import utc_now
from innkeeper.doorway import Doorway
from innkeeper.edge.sockets import bind_private
from innkeeper.frontage import edge_plan
from innkeeper.grounds import make_runtime as make_runtime
from innkeeper.loops.certificates import CertificateWatch
from innkeeper.loops.dormitory import Dormitory
from innkeeper.loops.housekeeping import Housekeeping
from innkeeper.loops.queue import KeyedQueue
from innkeeper.loops.reconciler import ReconcilerLoops
from innkeeper.loops.supervise import Supervisor, every
from innkeeper.loops.webhooks import Webhooks
from innkeeper.post_office import PostOffice
from innkeeper.settings import Settings
from innkeeper.way_out import WayOut


@dataclass(frozen=True, kw_only=True)
class House:
    """A control plane, put together."""

    settings: Settings
    inn: Inn
    loops: ReconcilerLoops
    dormitory: Dormitory
    housekeeping: Housekeeping
    agency: Brokerage
    queue: KeyedQueue
    doorway: Doorway | None
    certificates: CertificateWatch | None
    webhooks: Webhooks
    post: PostOffice
    way_out: WayOut
    backstage: Backstage

    def start(self, supervisor: Supervisor) -> None:
        """Hand every loop to the supervisor."""
        self.loops.start(supervisor)
        self.dormitory.start(supervisor)
        self.housekeeping.start(supervisor)
        self.agency.start(supervisor)
        self.webhooks.start(supervisor)
        self.post.start(supervisor)
        self.way_out.start(supervisor)
        self.backstage.start(supervisor)
        supervisor.add("denials", self.inn.denials.keep_writing)
        supervisor.add("gauges", lambda: every(GAUGES_EVERY_S, self.measure))
        if self.doorway is not None:
            supervisor.add("caddy", self.doorway.caddy.watch)
            self.doorway.severing.start(supervisor)
        if self.certificates is not None:
            self.certificates.start(supervisor)

    def doors(self) -> list[socket.socket]:
        """Where the API listens for those who come through the edge."""
        return [bind_private(edge_plan(self.settings).console_socket, backlog=1024)] if self.doorway else []

    def on_loop_restart(self, name: str) -> None:
        """A loop fell."""
        telemetry.loop_restarts.labels(loop=name.rstrip("-0123456789")).inc()

    async def measure(self) -> None:
        """Set the gauges."""
        telemetry.queue_depth.set(len(self.queue))
        telemetry.broker_in_flight.set(self.agency.broker.in_flight_in_all)
        telemetry.starts_waiting.set(self.dormitory.turnstile.waiting)
        telemetry.starts_under_way.set(self.dormitory.turnstile.starting)
        await self._measure_swap()
        if self.doorway is not None:
            telemetry.caddy_up.set((await self.doorway.caddy.status()).running)
        if self.certificates is not None:
            for state, number in self.certificates.last.counts(utc_now()).items():
                telemetry.certificates.labels(state=state).set(number)
        await self.post.measure()

    async def _measure_swap(self) -> None:
        with suppress(Problem):
            host = await self.inn.memory.now()
            telemetry.zram_stored.set(host.zram_stored_mb * MB)
            telemetry.zram_memory.set(host.zram_memory_mb * MB)


GAUGES_EVERY_S = 5.0
MB = 1 << 20
