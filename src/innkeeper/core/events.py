"""What happened, told to whoever listens: a bus of frozen dataclasses within one process.

Nobody's correctness may hang on an event: whoever listens also looks by itself from time to time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar

from innkeeper.core.access import TenantKey
from innkeeper.core.drill import Drill
from innkeeper.core.errors import Problem
from innkeeper.core.instance import PagedOut, State
from innkeeper.core.ladder import Rung
from innkeeper.core.operations import Operation
from innkeeper.core.plan import Step
from innkeeper.core.tenant import Tenant


def utc_now() -> datetime:
    """The wall clock, aware of its zone."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a tenant."""

    kind: ClassVar[str] = "event"
    tenant: str
    at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, kw_only=True)
class TenantChanged(Event):
    """A tenant was created or its spec, wanted state or rung was changed; `now` is the whole of it."""

    kind: ClassVar[str] = "tenant.changed"
    now: Tenant


@dataclass(frozen=True, kw_only=True)
class StateChanged(Event):
    """What was seen of a tenant changed."""

    kind: ClassVar[str] = "tenant.state"
    now: Tenant
    before: State


@dataclass(frozen=True, kw_only=True)
class TenantGone(Event):
    """A tenant and its rows are no more."""

    kind: ClassVar[str] = "tenant.gone"
    tenant_id: str


@dataclass(frozen=True, kw_only=True)
class KeysChanged(Event):
    """A tenant's API keys changed; `keys` are all that there are now."""

    kind: ClassVar[str] = "tenant.keys"
    keys: tuple[TenantKey, ...]
    revoked: bool = False
    """Whether there are fewer than before."""


@dataclass(frozen=True, kw_only=True)
class SecretsChanged(Event):
    """A secret was set, went back to an earlier value, or was deleted; `tenant` is empty for the platform's."""

    kind: ClassVar[str] = "tenant.secrets"
    owner: str = field(repr=False)
    """The tenant's id, or that of the platform."""
    name: str


@dataclass(frozen=True, kw_only=True)
class PeopleChanged(Event):
    """What a user is or may, or one of their credentials, changed; of no tenant in particular."""

    kind: ClassVar[str] = "people"
    user: str | None
    """None: a service's token."""
    revoked: bool = False
    """Whether something that was allowed isn't any more."""
    tenants: frozenset[str] = frozenset()
    """Where the user belongs, or did."""
    everywhere: bool = False
    """Whether they have, or had, a role on the platform."""


@dataclass(frozen=True, kw_only=True)
class OperationChanged(Event):
    """An operation moved on or ended."""

    kind: ClassVar[str] = "operation"
    operation: Operation


@dataclass(frozen=True, kw_only=True)
class StepTaken(Event):
    """The reconciler took a step, or failed to; `seconds` is what it took."""

    kind: ClassVar[str] = "tenant.step"
    step: Step
    seconds: float
    problem: str | None = None
    """The code of what went wrong."""


@dataclass(frozen=True, kw_only=True)
class TenantWoken(Event):
    """A sleeper is up again; `seconds` from being told to until it was ready, without the wait for its turn."""

    kind: ClassVar[str] = "tenant.woken"
    rung: Rung
    seconds: float


@dataclass(frozen=True, kw_only=True)
class MemoryMoved(Event):
    """A tenant's memory went to swap, or couldn't."""

    kind: ClassVar[str] = "tenant.memory"
    trimmed: bool
    """It ran meanwhile; else it was frozen."""
    paged: PagedOut


@dataclass(frozen=True, kw_only=True)
class CapacityShort(Event):
    """A tenant couldn't be woken or started, for the host has no memory left for it."""

    kind: ClassVar[str] = "capacity.short"
    problem: Problem = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class CertificateFailed(Event):
    """A host couldn't get a certificate, or have it renewed; `tenant` is empty for the console's."""

    kind: ClassVar[str] = "certificate.failed"
    host: str
    says: str


@dataclass(frozen=True, kw_only=True)
class BudgetWarned(Event):
    """A tenant has used 80 % of one of its budget's limits; told once for each limit and period."""

    kind: ClassVar[str] = "budget.warned"
    limit: str
    """`day_tokens`, `month_tokens`, `day_usd` or `month_usd`."""
    period: str
    """`2026-11-20` or `2026-11`, in UTC."""
    most: float
    """In tokens or US dollars, as the limit is."""
    used: float


@dataclass(frozen=True, kw_only=True)
class BudgetUsedUp(BudgetWarned):
    """A tenant has used all of one; its calls are refused from now on."""

    kind: ClassVar[str] = "budget.spent"


@dataclass(frozen=True, kw_only=True)
class ConnectionBroken(Event):
    """A service takes the tenant's connection no more: its owner has to connect the integration again."""

    kind: ClassVar[str] = "integration.broken"
    integration: str
    why: str


@dataclass(frozen=True, kw_only=True)
class EgressRefused(Event):
    """A tenant asked for a name that isn't on its list, and hadn't before."""

    kind: ClassVar[str] = "egress.refused"
    name: str


@dataclass(frozen=True, kw_only=True)
class DrillEnded(Event):
    """A snapshot was brought up to prove it, or couldn't be."""

    kind: ClassVar[str] = "drill"
    drill: Drill


@dataclass(frozen=True, kw_only=True)
class BackupDone(Event):
    """A snapshot of a tenant was taken, verified and copied; `tenant` is empty for the control plane's own."""

    kind: ClassVar[str] = "backup.done"
    snapshot: str
    way: str
    """`unchanged`, `shadow` or `plain`."""
    seconds: float
    frozen_s: float | None
    """How long the tenant stood still for it; None: it slept anyway, or nothing had changed."""
    bytes_added: int


@dataclass(frozen=True, kw_only=True)
class AlertRaised(Event):
    """Something that nobody may have noticed needs somebody to look; `tenant` is empty where it is nobody's."""

    kind: ClassVar[str] = "alert"
    code: str
    """What it is, in one word with dots: `backup.late`, `drill.failed`."""
    says: str


class Subscription:
    """One listener's queue; when it lags by more than its size, the oldest events are dropped and counted."""

    def __init__(self, size: int) -> None:
        self._queue: asyncio.Queue[Event] = asyncio.Queue(maxsize=size)
        self.dropped = 0

    def put(self, event: Event) -> None:
        """Take the event, making room when the listener is too slow."""
        if self._queue.full():
            self._queue.get_nowait()
            self.dropped += 1
        self._queue.put_nowait(event)

    async def get(self) -> Event:
        """The next event, waiting for it."""
        return await self._queue.get()

    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._queue.empty()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            yield await self.get()


class Bus:
    """Hands every event to every listener, without ever waiting for one."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Event], None]] = []
        self._subscriptions: set[Subscription] = set()

    def on_event(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` with every event, at once and for ever: for quick work that must see events in order."""
        self._listeners.append(listener)

    def publish(self, event: Event) -> None:
        """Tell everybody."""
        for listener in self._listeners:
            listener(event)
        for subscription in tuple(self._subscriptions):
            subscription.put(event)

    @contextmanager
    def subscribe(self, size: int = 1024) -> Iterator[Subscription]:
        """Listen from now on until the block ends."""
        subscription = Subscription(size)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
