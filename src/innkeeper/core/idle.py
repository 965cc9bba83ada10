"""Who has been idle for long enough to sleep, and how deep: one pure function of facts and clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from innkeeper.core import schedule
from innkeeper.core.ladder import Rung, rung_after
from innkeeper.core.tenant import Tenant, Wanted

LastActivity = Callable[[Tenant], datetime | None]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Rest:
    """A tenant that should go down the ladder, and since when it has been quiet."""

    tenant: Tenant
    rung: Rung
    quiet_since: datetime


def due(
    tenants: Iterable[Tenant],
    last_activity: LastActivity,
    now: datetime,
    *,
    missing: Collection[Rung] = (),
    watched_since: datetime = _EPOCH,
) -> list[Rest]:
    """The tenants that should sleep now, or deeper than they do; 10,000 cost some ten milliseconds.

    `missing` are the rungs that this host can't offer: the one above serves until the one below is due. Of whoever is
    up nothing is known from before `watched_since`: bytes may have moved on its connections.
    """
    found = []
    clock_s = (now - _EPOCH).total_seconds()
    for tenant in tenants:
        if tenant.wanted is not Wanted.AUTO or (not tenant.seen.ready and tenant.rung is Rung.RUNNING):
            continue
        if tenant.rung is Rung.STOPPED:
            continue
        since = quiet_since(tenant, last_activity(tenant))
        if since > now:
            since = watched_since  # the clock was set back
        elif tenant.rung is Rung.RUNNING:
            since = max(since, watched_since)
        policy = tenant.spec.sleep
        idle_s = (now - since).total_seconds()
        rung = rung_after(policy, counted_s(idle_s, clock_s, policy.check_every_s), missing=missing)
        if rung.depth > tenant.rung.depth and schedule.awake_until(policy.schedule, now) is None:
            found.append(Rest(tenant=tenant, rung=rung, quiet_since=since))
    return found


def quiet_since(tenant: Tenant, last_activity: datetime | None) -> datetime:
    """The last sign of life: a start is one, for whoever is woken gets a whole window."""
    signs = (last_activity, tenant.seen.started_at, tenant.created_at)
    return max(sign for sign in signs if sign is not None)


def counted_s(idle_s: float, clock_s: float, step_s: int | None) -> float:
    """How long it had been quiet when it was last checked: at the last whole step of the clock."""
    return idle_s - clock_s % step_s if step_s else idle_s
