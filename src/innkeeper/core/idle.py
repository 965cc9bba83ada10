"""Who has been idle for long enough to sleep, and how deep: one pure function of facts and clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from innkeeper.core.instance import State
from innkeeper.core.tenant import Tenant, Wanted


@dataclass(frozen=True, kw_only=True)
class Rest:
    """A tenant that should go down the ladder, and since when it has been quiet."""

    tenant: Tenant
    rung: State
    quiet_since: datetime


def due(tenants: Iterable[Tenant], last_activity: Callable[[Tenant], datetime | None], now: datetime) -> list[Rest]:
    """The tenants that should sleep now, or deeper than they do; 10,000 cost some ten milliseconds."""
    found = []
    for tenant in tenants:
        if tenant.wanted is not Wanted.AUTO or (not tenant.seen.ready and tenant.rung is State.RUNNING):
            continue
        quiet_since = _quiet_since(tenant, last_activity(tenant))
        rung = rung_after((now - quiet_since).total_seconds(), tenant)
        if _depth(rung) > _depth(tenant.rung):
            found.append(Rest(tenant=tenant, rung=rung, quiet_since=quiet_since))
    return found


def to_page_out(
    tenants: Iterable[Tenant], last_activity: Callable[[Tenant], datetime | None], now: datetime
) -> list[Tenant]:
    """The frozen tenants whose memory may go to swap now, whether or not it went before."""
    return [
        tenant
        for tenant in tenants
        if tenant.seen.state is State.PAUSED
        and tenant.target is State.PAUSED
        and (after_s := tenant.spec.sleep.page_after_s) is not None
        and (now - _quiet_since(tenant, last_activity(tenant))).total_seconds() >= after_s
    ]


def rung_after(idle_s: float, tenant: Tenant) -> State:
    """The rung that a tenant's policy means after so many idle seconds."""
    policy = tenant.spec.sleep
    if policy.stop_after_s is not None and idle_s >= policy.stop_after_s:
        return State.STOPPED
    if policy.pause_after_s is not None and idle_s >= policy.pause_after_s:
        return State.PAUSED
    return State.RUNNING


def _quiet_since(tenant: Tenant, last_activity: datetime | None) -> datetime:
    """The last sign of life: a start is one, for whoever is woken gets a whole window."""
    signs = (last_activity, tenant.seen.started_at, tenant.created_at)
    return max(sign for sign in signs if sign is not None)


def _depth(rung: State) -> int:
    return {State.RUNNING: 0, State.PAUSED: 1, State.STOPPED: 2}.get(rung, 0)
