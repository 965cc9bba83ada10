"""Single paths out of a snapshot as one tar, for whoever wants them elsewhere than in the tenant's own data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from innkeeper.core.errors import Problem, StaleLease
from innkeeper.core.handing_out import KEPT_FOR, HandingOut
from innkeeper.core.operations import Operation, OperationKind
from innkeeper.core.ports import Clock, Seals, Store
from innkeeper.core.ports.exports import Crates, PackingList
from innkeeper.core.ports.stages import Stages
from innkeeper.core.restore_asked import Mode
from innkeeper.core.restore_asked import told as told_snapshot
from innkeeper.core.restore_way import Way, way_of
from innkeeper.core.restored_secrets import values_of
from innkeeper.core.seating import Seating
from innkeeper.core.shelf import Shelf
from innkeeper.core.snapshot_errors import SnapshotDamaged
from innkeeper.core.staging import Staging
from innkeeper.core.tenant import Tenant
from innkeeper.core.vault import Vault
from innkeeper.core.works import Tell

_TOLD = 20


class RestoredFiles(HandingOut):
    """Makes the tars, and hands them out; nothing of the tenant's is changed, and it lives on."""

    kind = OperationKind.RESTORE
    what, again = "tar of restored files", "`innkeeper restore NAME --path P --to FILE` makes another."
    fetched = "tenant.restore.fetched"

    def __init__(
        self,
        *,
        staging: Staging,
        stages: Stages,
        shelf: Shelf,
        seating: Seating,
        vault: Vault,
        seals: Seals,
        store: Store,
        crates: Crates,
        clock: Clock,
    ) -> None:
        super().__init__(store=store, crates=crates, clock=clock)
        self._staging = staging
        self._stages = stages
        self._shelf = shelf
        self._seating = seating
        self._vault = vault
        self._seals = seals

    def is_its(self, operation: Operation) -> bool:
        """One of the restores that are no others."""
        return operation.kind is self.kind and operation.detail.get("mode") == Mode.FILE

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """Take them down, then pack them. Found half done it is done from the beginning."""
        way = way_of(operation, tell)
        try:
            result = await self._carry_out(way)
        except StaleLease:
            raise  # another control plane is at it, in the same places
        except Problem:
            await self._crates.discard(operation.id)
            await self._stages.drop(way.stage)
            raise
        await self._stages.drop(way.stage)
        return result

    async def _carry_out(self, way: Way) -> Mapping[str, Any]:
        crate, asked = way.operation.id, way.asked
        async with self._store.look() as tx:
            tenant = way.still(await tx.tenant(way.name))
        conceal = {} if asked.with_secrets else await self._values(way, tenant)
        await self._staging.take_paths(asked, way.stage, way.tell)
        way.tell.step("packing", 1, 2)
        await self._crates.empty(crate)
        copied = await self._crates.fill(crate, self._stages.restored(way.stage))
        packing = PackingList(
            data_alone=True,
            called="restored",
            conceal=conceal,
            config_paths=self._seating.agent(tenant).config_paths(),
            secret_settings=asked.with_secrets,
        )
        now = self._clock.now()
        packed = await self._crates.pack(crate, tenant.name, packing, at=now, on_bytes=lambda _: None)
        return {
            "snapshot": told_snapshot(asked.snapshot),
            "file": packed.name,
            "bytes": packed.bytes,
            "sha256": packed.sha256,
            "with_secrets": asked.with_secrets,
            "files": copied.files,
            "left_out": dict(list(copied.left_out.items())[:_TOLD]),
            "left_out_count": len(copied.left_out),
            "kept_until": (now + KEPT_FOR).isoformat(),
        }

    async def _values(self, way: Way, tenant: Tenant) -> dict[str, str]:
        """By value, what stands in its place in config files: the secrets of now, and those of then."""
        try:
            then = values_of(await self._shelf.manifest(way.asked.snapshot), self._seals)
        except SnapshotDamaged as damaged:
            damaged.hint = "Its secrets can't be told from the rest: whoever has the right to them asks for all of it."
            raise
        now = await self._vault.everything(tenant)
        return {value: f"set-{name}-anew" for name, value in (*then, *now.items())}
