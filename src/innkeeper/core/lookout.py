"""What the gate has to tell the trail: who was denied access to a tenant, and who of the house has entered one.

It answers thousands of requests a second and never waits: lines are handed to whoever writes them in batches.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from innkeeper.core.access import Action, Actor, allow
from innkeeper.core.audit import entry
from innkeeper.core.denials import Denial, Denials, looks_like
from innkeeper.core.ports import Clock
from innkeeper.core.tenant import Tenant

VISIT = timedelta(hours=1)
"""Requests within so long are one visit."""
VISITS_MAX = 10_000


class Lookout:
    """Stands at the gate."""

    def __init__(self, *, denials: Denials, clock: Clock) -> None:
        self._denials = denials
        self._clock = clock
        self._visits: dict[tuple[str, str], datetime] = {}

    def denied(self, actor: Actor | None, tenant: Tenant, *, bearer: str, address: str | None) -> None:
        """Somebody wasn't let in. Who came without any credential is counted alone."""
        if actor is None and not bearer:
            self._denials.note(Denial.MISSING)
            return
        self._denials.note(
            Denial.PERMISSION if actor else Denial.CREDENTIAL,
            actor=actor,
            action=Action.ENTER,
            tenant=tenant.name,
            address=address,
            credential=looks_like(bearer) if bearer and actor is None else None,
        )

    def entered(self, actor: Actor, tenant: Tenant, *, address: str | None) -> None:
        """Somebody was let in; told of those whom their role on the platform lets in, once a visit."""
        if actor.role is None or allow(replace(actor, role=None), Action.ENTER, tenant.name):
            return
        now, visit = self._clock.now(), (actor.id, tenant.id)
        last = self._visits.get(visit)
        if last is not None and now - last < VISIT:
            return
        if len(self._visits) >= VISITS_MAX:
            self._visits.clear()
        self._visits[visit] = now
        line = entry(actor, "tenant.entered", at=now, of=tenant)
        self._denials.add(line if address is None else replace(line, address=address))
