"""Certificates, watched: a host that can't get one is told of on the bus, and an operator's renewed one is taken up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from innkeeper.core.certificates import Certificates
from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus, CertificateFailed
from innkeeper.loops.supervise import Supervisor, every

log = structlog.get_logger("innkeeper.certificates")

EVERY_S = 15.0


class CertificateWatch:
    """Looks every quarter of a minute."""

    def __init__(
        self,
        *,
        look: Callable[[], Certificates],
        take_up: Callable[[], Awaitable[None]],
        directory: Directory,
        bus: Bus,
    ) -> None:
        self._look = look
        self._take_up = take_up
        self._directory = directory
        self._bus = bus
        self._told: set[tuple[str, float]] = set()
        self.last = Certificates()
        """What was seen last."""

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        supervisor.add("certificates", lambda: every(EVERY_S, self.watch))

    async def watch(self) -> None:
        """Look once, and tell what is new."""
        try:
            await self._take_up()
        except Problem as problem:
            log.warning("certificate_not_taken_up", problem=problem.message)
        self.last = await asyncio.to_thread(self._look)
        now = {(failure.host, failure.at.timestamp()) for failure in self.last.failures}
        for failure in self.last.failures:
            if (failure.host, failure.at.timestamp()) not in self._told:
                tenant = self._directory.at_host(failure.host)
                log.warning("certificate_failed", host=failure.host, says=failure.says)
                self._bus.publish(
                    CertificateFailed(
                        tenant=tenant.name if tenant else "", at=failure.at, host=failure.host, says=failure.says
                    )
                )
        self._told = now
