"""Works: operations that somebody carries out, on a tenant's folder or on copies of it.

A work may be the process's last act at any line. It is found open by the next process, or by another control plane once
its lease is over, and carried out again from what it wrote down of itself: `Operation.detail`. One at a time is under
way on whatever goes by one name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from innkeeper.core.access import Actor
from innkeeper.core.audit import entry
from innkeeper.core.errors import TenantLeaving, UnknownTenant
from innkeeper.core.events import Bus, OperationChanged
from innkeeper.core.ids import new_id
from innkeeper.core.once import Once, begun_before, remember
from innkeeper.core.operations import DEADLINES, WORKED, Operation, OperationKind, Progress, worked
from innkeeper.core.ports import Clock, Lease, Store, Transaction
from innkeeper.core.tenant import Tenant, Wanted

RESULT = "result"
"""Where in a work's `detail` its outcome stands."""
BACKGROUND = frozenset(
    {OperationKind.BACKUP, OperationKind.RETAIN, OperationKind.VERIFY, OperationKind.REPAIR, OperationKind.DRILL}
)
"""Those that nobody waits for; the others never stand behind a night's backups."""


class Tell:
    """How a work says how far it is."""

    def __init__(self, operation: Operation, *, lease: Lease, store: Store, bus: Bus, clock: Clock) -> None:
        self.operation = operation
        self._lease, self._store, self._bus, self._clock = lease, store, bus, clock
        self._progress = operation.progress
        self._told = operation.progress
        self._turn = asyncio.Lock()
        """Two who write at once would leave what the slower one knew."""

    def step(self, step: str, done: int = 0, of: int = 1) -> None:
        """What is being done now, and how much of it is; written down within a second or so."""
        self._progress = Progress(done=done, of=of, step=step)

    async def keep(self, **facts: Any) -> None:
        """Write facts into `detail`, on the disk when this returns; whoever carries it out again finds them there.

        Raises StaleLease.
        """
        async with self._turn:
            await self._write({**self.operation.detail, **facts})

    async def flush(self) -> None:
        """Write down how far it is, where that moved."""
        async with self._turn:
            if self._progress != self._told:
                await self._write(self.operation.detail)

    async def _write(self, detail: Mapping[str, Any]) -> None:
        progress = self._progress
        self.operation = worked(self.operation, progress, detail, self._clock.now())
        await self._store.record_work(self._lease, self.operation)
        self._told = progress
        self._bus.publish(OperationChanged(tenant=self.operation.tenant, operation=self.operation))


class Work(Protocol):
    """How operations of one kind are carried out."""

    kind: OperationKind

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """Do all of it, whatever of it is done already, and give the result; of a work that is over nothing is left.

        A Problem ends it as failed, NotYet puts it off. It is cancelled where its tenant is purged meanwhile, where its
        lease is lost and where the process ends; what it leaves then has to be fit to be found.
        """
        ...


class Works:
    """Begins works; loops/works.py carries them out."""

    def __init__(self, *, store: Store, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock

    async def begin(
        self,
        kind: OperationKind,
        name: str,
        *,
        actor: Actor,
        detail: Mapping[str, Any] | None = None,
        once: Once | None = None,
    ) -> Operation:
        """A work on a tenant that is there; UnknownTenant, TenantLeaving."""
        async with self._store.begin() as tx:
            if (again := await self.again(tx, actor, once)) is not None:
                return again
            tenant = await self.there(tx, name)
            operation = await self.add(tx, self.new(kind, tenant, detail), actor=actor, once=once)
        self.tell(operation)
        return operation

    async def there(self, tx: Transaction, name: str) -> Tenant:
        """The tenant that a work is to be on; UnknownTenant, TenantLeaving."""
        tenant = await tx.tenant(name)
        if tenant is None:
            raise UnknownTenant(f"There is no tenant {name[:60]!r}.")
        if tenant.wanted is Wanted.GONE:
            raise TenantLeaving(f"{name} is being deleted.")
        return tenant

    async def again(self, tx: Transaction, actor: Actor, once: Once | None) -> Operation | None:
        """The one that this very request began before."""
        began = await begun_before(tx, actor, once)
        return await tx.operation(began) if began else None

    def new(self, kind: OperationKind, of: Tenant, detail: Mapping[str, Any] | None = None) -> Operation:
        """A work that is to be added."""
        if kind not in WORKED:
            raise ValueError(f"{kind} is nothing that is carried out")
        now = self._clock.now()
        return Operation(
            id=new_id("op"),
            kind=kind,
            tenant=of.name,
            tenant_id=of.id,
            revision=of.revision,
            created_at=now,
            updated_at=now,
            deadline=now + DEADLINES[kind],
            detail=dict(detail or {}),
        )

    def of_nobody(self, kind: OperationKind, owner: str, detail: Mapping[str, Any] | None = None) -> Operation:
        """A work that is to be added, on what is no tenant's."""
        now = self._clock.now()
        return Operation(
            id=new_id("op"),
            kind=kind,
            tenant="",
            tenant_id=owner,
            revision=0,
            created_at=now,
            updated_at=now,
            deadline=now + DEADLINES[kind],
            detail=dict(detail or {}),
        )

    async def add(self, tx: Transaction, operation: Operation, *, actor: Actor, once: Once | None = None) -> Operation:
        """Write it down in the caller's transaction, with its line in the trail; to be told by `tell` afterwards."""
        now = self._clock.now()
        await tx.add_operation(operation)
        await remember(tx, actor, once, operation.id, now)
        line = entry(
            actor,
            f"{'tenant' if operation.tenant else operation.tenant_id}.{operation.kind}",
            at=now,
            tenant=operation.tenant or None,
            tenant_id=operation.tenant_id if operation.tenant else None,
            detail={"operation": operation.id, **operation.detail},
        )
        await tx.audit(line)
        return operation

    def tell(self, operation: Operation) -> None:
        """Say that there is one, so that it is begun at once."""
        self._bus.publish(OperationChanged(tenant=operation.tenant, operation=operation))
