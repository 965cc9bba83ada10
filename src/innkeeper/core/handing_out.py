"""Handing out what was packed: the one file of an operation, fetched by whoever may, dropped when it isn't needed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from innkeeper.core.access import Actor
from innkeeper.core.audit import entry
from innkeeper.core.errors import UnknownOperation
from innkeeper.core.ids import is_id
from innkeeper.core.operations import Operation, OperationKind, Status
from innkeeper.core.ports import Clock, Store
from innkeeper.core.ports.exports import Crates
from innkeeper.core.works import RESULT

KEPT_FOR = timedelta(days=1)


class HandingOut:
    """For one kind of operation, each of which ends with a file in its crate."""

    kind = OperationKind.EXPORT
    what, again = "export", "`innkeeper unit export` makes another."
    fetched = "tenant.export.fetched"

    def __init__(self, *, store: Store, crates: Crates, clock: Clock) -> None:
        self._store = store
        self._crates = crates
        self._clock = clock

    async def wants_secrets(self, name: str, operation_id: str) -> bool:
        """Whether that one of this tenant's holds its secrets; UnknownOperation."""
        return bool((await self._one(name, operation_id)).detail["with_secrets"])

    async def fetch(self, name: str, operation_id: str, *, actor: Actor) -> tuple[Path, str]:
        """The file that came of it, and what it is to be called; that somebody took it is a line in the trail."""
        operation = await self._one(name, operation_id)
        path = await self._crates.file(operation_id) if operation.status is Status.DONE else None
        if path is None:
            raise UnknownOperation(
                f"The {self.what} {operation_id} of {name} isn't here{'' if operation.status.ended else ' yet'}.",
                hint=f"It is kept for a day, or until it is removed. {self.again}",
            )
        result = operation.detail[RESULT]
        line = entry(
            actor,
            self.fetched,
            at=self._clock.now(),
            tenant=name,
            tenant_id=operation.tenant_id,
            detail={"operation": operation_id, "sha256": result["sha256"]},
        )
        async with self._store.begin() as tx:
            await tx.audit(line)
        return path, str(result["file"])

    async def drop(self, name: str, operation_id: str) -> None:
        """Remove the file; one that isn't there any more is fine, and one that isn't whole yet is left to its work."""
        if (await self._one(name, operation_id)).status.ended:
            await self._crates.discard(operation_id)

    def is_its(self, operation: Operation) -> bool:
        """Whether that is one of those."""
        return operation.kind is self.kind

    async def _one(self, name: str, operation_id: str) -> Operation:
        async with self._store.look() as tx:
            operation = await tx.operation(operation_id) if is_id("op", operation_id) else None
            tenant = await tx.tenant(name)
        if operation is None or tenant is None or operation.tenant_id != tenant.id or not self.is_its(operation):
            raise UnknownOperation(f"There is no {self.what} {operation_id[:60]!r} of {name}.")
        return operation
