"""What becomes of a tenant whose instance has to be made anew."""

from __future__ import annotations

from dataclasses import replace

from innkeeper.core.instance import State
from innkeeper.core.ladder import Rung
from innkeeper.core.tenant import Tenant, Wanted


def made_anew(tenant: Tenant) -> Tenant:
    """The same spec with a new instance, made at once where it runs, else when it wakes; what it holds is rendered."""
    revision = tenant.revision + 1
    rung = rung_after(tenant.rung, None, remade=True)
    return retried(replace(tenant, revision=revision, remade_at=revision, rung=rung), tenant)


def rung_after(rung: Rung, wanted: Wanted | None, *, remade: bool) -> Rung:
    """Whoever is to be always awake is up, also when that ends; a sleeping instance of an old spec is of no use, and
    made anew when it wakes."""
    if wanted is Wanted.AWAKE:
        return Rung.RUNNING
    return Rung.STOPPED if remade and rung is not Rung.RUNNING else rung


def retried(changed: Tenant, tenant: Tenant) -> Tenant:
    """What is known of a tenant that was just changed: who failed is tried again, who gets a new instance must wait."""
    if tenant.seen.state is State.FAILED:
        return replace(changed, seen=replace(tenant.seen, state=State.ABSENT, error=None, crashes=()))
    if changed.remade_at != tenant.remade_at:
        return replace(changed, seen=replace(tenant.seen, ready=False))
    return changed
