"""What to do next for a tenant: pure functions of what should be and what is."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from innkeeper.core.instance import Instance, State
from innkeeper.core.tenant import Seen, Tenant

CRASHES = 5
"""So many crashes …"""
CRASH_WINDOW = timedelta(minutes=10)
"""… within this time mean that starting it again is no use."""
MISSED_AFTER = timedelta(minutes=1)
"""A run of its own that is overdue by more was missed: nobody was there to wake its tenant."""


class Step(StrEnum):
    """One action; each may be repeated, and each may be the process's last."""

    NONE = "none"
    CREATE = "create"
    START = "start"
    PROBE = "probe"  # ask the agent whether it is ready
    PAUSE = "pause"
    UNPAUSE = "unpause"
    RESUME = "resume"  # tell the agent that it may take work again
    CATCH_UP = "catch_up"  # have the agent make up for runs of its own that it missed
    STOP = "stop"
    REMOVE = "remove"
    GIVE_UP = "give_up"  # crashed too often: stop it and say why
    ERASE = "erase"  # the instance is gone: now the unit (when purged) and the rows


def decide(tenant: Tenant, instance: Instance) -> Step:
    """The one step that brings `instance` nearer to what `tenant` should be."""
    target = tenant.target
    if target is State.ABSENT:
        return _towards_absent(tenant, instance)
    if tenant.closed is not None:
        return _towards_removed(instance) if instance.exists else Step.NONE
    if tenant.seen.state is State.FAILED:
        return Step.STOP if instance.state is State.RUNNING else Step.NONE
    if looping(tenant.seen):
        return Step.GIVE_UP
    if outdated(tenant, instance):
        return _towards_removed(instance)
    match target:
        case State.RUNNING:
            return _towards_running(tenant, instance)
        case State.PAUSED:
            return _towards_paused(tenant, instance)
        case _:
            return _towards_stopped(instance)


def outdated(tenant: Tenant, instance: Instance) -> bool:
    """Whether the instance was made before a change that asks for a new one, or for a former tenant of the name."""
    return instance.exists and (instance.revision < tenant.remade_at or instance.tenant_id != tenant.id)


def looping(seen: Seen) -> bool:
    """Whether it crashed so often that another start is no use; `crashes` holds those in the window."""
    return len(seen.crashes) >= CRASHES


def _towards_absent(tenant: Tenant, instance: Instance) -> Step:
    if not instance.exists:
        return Step.ERASE
    # Data that goes anyway needs no orderly end; data that stays does.
    return Step.REMOVE if tenant.purge else _towards_removed(instance)


def _towards_removed(instance: Instance) -> Step:
    match instance.state:
        case State.RUNNING:
            return Step.STOP
        case State.PAUSED:
            return Step.UNPAUSE  # a frozen process can't handle SIGTERM: thaw first
        case _:
            return Step.REMOVE


def _towards_running(tenant: Tenant, instance: Instance) -> Step:
    match instance.state:
        case State.ABSENT:
            return Step.CREATE
        case State.STOPPED | State.SAVED:
            return Step.START
        case State.PAUSED:
            return Step.UNPAUSE
        case _ if tenant.seen.suspension is not None:
            return Step.RESUME
        case _ if not is_ready(tenant.seen, instance):
            return Step.PROBE
        case _:
            owes = tenant.seen.missed_since is not None or tenant.seen.owed_runs
            return Step.CATCH_UP if owes else Step.NONE


def _towards_paused(tenant: Tenant, instance: Instance) -> Step:
    match instance.state:
        case State.RUNNING:
            return Step.PAUSE if is_ready(tenant.seen, instance) else Step.PROBE
        case _:
            return Step.NONE  # colder than asked for is good enough


def _towards_stopped(instance: Instance) -> Step:
    match instance.state:
        case State.RUNNING:
            return Step.STOP
        case State.PAUSED:
            return Step.UNPAUSE
        case _:
            return Step.NONE


def is_ready(seen: Seen, instance: Instance) -> bool:
    """Whether the readiness that was recorded belongs to this very run of the instance."""
    return (
        seen.ready
        and seen.instance_id == instance.id
        and seen.started_at == instance.started_at
        and instance.state in (State.RUNNING, State.PAUSED)
        and not instance.stuck
    )


def observe(seen: Seen, instance: Instance, now: datetime, *, hopeless: frozenset[int] = frozenset()) -> Seen:
    """What is known after looking at `instance`: its state, whether it is still ready, and its crashes.

    An exit code in `hopeless` counts as a full set of crashes: the agent says itself that starting again is no use.
    """
    same = seen.instance_id == instance.id
    same_run = same and seen.started_at == instance.started_at
    alive = instance.state in (State.RUNNING, State.PAUSED)
    counted = seen.restarts if same and seen.restarts <= instance.restarts else 0
    fresh = instance.restarts - counted
    if fresh and instance.exit_code in hopeless:
        fresh = CRASHES
    crashes = tuple(at for at in seen.crashes if now - at < CRASH_WINDOW) + (now,) * fresh
    ready = is_ready(seen, instance)
    if seen.state is State.FAILED:
        state = State.FAILED
    elif instance.state is State.RUNNING and not ready:
        state = State.STARTING
    else:
        state = instance.state
    return Seen(
        state=state,
        ready=ready,
        error=seen.error,
        instance_id=instance.id,
        restarts=instance.restarts,
        crashes=crashes[-CRASHES:],
        started_at=instance.started_at,
        next_wake=None if instance.state is State.RUNNING else seen.next_wake,
        missed_since=seen.missed_since or _missed(seen, instance, now),
        owed_runs=seen.owed_runs,
        suspension=seen.suspension if same_run and alive else None,
        webhooks=seen.webhooks,
    )


def _missed(seen: Seen, instance: Instance, now: datetime) -> datetime | None:
    """When a run was due that nobody woke it for; told once, when it is found up."""
    due = seen.next_wake
    missed = due is not None and instance.state is State.RUNNING and now - due > MISSED_AFTER
    return due if missed else None


def frozen(tenant: Tenant) -> Instance:
    """The instance that was frozen when it was last seen, for whoever has no time to look."""
    return Instance(
        tenant=tenant.name,
        state=State.PAUSED,
        id=tenant.seen.instance_id,
        tenant_id=tenant.id,
        revision=tenant.revision,
        restarts=tenant.seen.restarts,
        started_at=tenant.seen.started_at,
    )


def settled(tenant: Tenant, instance: Instance) -> bool:
    """Whether nothing is left to do."""
    return decide(tenant, instance) is Step.NONE
