"""How far a tenant is on its way up, in what a visitor may know of it: no error text, no address, no inner state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from innkeeper.core.activate import is_open
from innkeeper.core.instance import State
from innkeeper.core.tenant import Tenant, Wanted

BLINK_S = 1.0
"""A frozen tenant thaws in milliseconds, and answers within 0.7 s when its memory has to come back from swap: up to
this long a person would rather wait than see a page come and go."""

Position = Callable[[str], tuple[int, int] | None]
"""The place of the tenant of that name in the queue of those that are to start, and how many are in it; None: it
doesn't queue."""

Usual = Callable[[Tenant], float | None]
"""How many seconds that tenant usually takes to wake, given as it lay asleep; None: nobody has measured it."""

Crowded = Callable[[str], bool]
"""Whether this host has no room for the tenant of that name at present."""


class WakeState(StrEnum):
    """What whoever waits has to tell apart."""

    QUEUED = "queued"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    ASLEEP = "asleep"
    NO_CAPACITY = "no_capacity"

    @property
    def coming(self) -> bool:
        """Whether it makes sense to wait for it."""
        return self in (WakeState.QUEUED, WakeState.STARTING, WakeState.READY)


class WakeStep(StrEnum):
    """What is being done for it now, or why nothing is."""

    TURN = "turn"  # waits until others have started
    START = "start"
    ANSWER = "answer"  # it runs, and hasn't said yet that it is ready
    READY = "ready"
    FAILED = "failed"
    ORDERED = "ordered"  # asleep because its operator said so
    RESTING = "resting"  # asleep, and nobody has woken it
    NO_ROOM = "no_room"

    @property
    def state(self) -> WakeState:
        """The state that it belongs to."""
        return _STATES[self]


_STATES = {
    WakeStep.TURN: WakeState.QUEUED,
    WakeStep.START: WakeState.STARTING,
    WakeStep.ANSWER: WakeState.STARTING,
    WakeStep.READY: WakeState.READY,
    WakeStep.FAILED: WakeState.FAILED,
    WakeStep.ORDERED: WakeState.ASLEEP,
    WakeStep.RESTING: WakeState.ASLEEP,
    WakeStep.NO_ROOM: WakeState.NO_CAPACITY,
}


@dataclass(frozen=True, kw_only=True)
class Waking:
    """What whoever waits for a tenant is told."""

    step: WakeStep
    position: tuple[int, int] | None = None
    """Its place among those that wait for their turn, and how many they are."""
    elapsed_s: float = 0.0
    """Since it was told to come up."""
    usual_s: float | None = None
    """How long that usually takes."""


def step_of(tenant: Tenant, *, roused: bool, queued: bool, crowded: bool) -> WakeStep:
    """Where the tenant is on its way up; `roused`: somebody has just asked for it, though it isn't written down yet."""
    if tenant.wanted is Wanted.ASLEEP:
        return WakeStep.ORDERED
    if tenant.seen.state is State.FAILED:
        return WakeStep.FAILED
    if is_open(tenant):
        return WakeStep.READY
    if crowded:
        return WakeStep.NO_ROOM
    if tenant.target is not State.RUNNING and not roused:
        return WakeStep.RESTING
    if queued:
        return WakeStep.TURN
    return WakeStep.ANSWER if tenant.seen.state in (State.STARTING, State.RUNNING) else WakeStep.START


def is_near(tenant: Tenant) -> bool:
    """Whether it is all but up: its processes are there, and need no more than a thaw."""
    return tenant.seen.state in (State.PAUSED, State.RUNNING)
