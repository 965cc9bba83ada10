"""Exports: a unit as one file, which runs anywhere without Innkeeper and which another Innkeeper takes in.

The data is copied while its tenant lives, then once more while it is held still: so long it is frozen as it takes to
copy what changed in between. The file is packed from the copy, encrypted on the way where that is wanted, kept for a
day, and fetched by whoever asked for it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from innkeeper.core.access import Actor
from innkeeper.core.boarding import NotYet
from innkeeper.core.errors import Invalid, Problem, StaleLease, UnknownTenant
from innkeeper.core.handing_out import KEPT_FOR, HandingOut
from innkeeper.core.kept_json import spec_document
from innkeeper.core.once import Once
from innkeeper.core.operations import SEALED, Operation, Status
from innkeeper.core.ports import Clock, Seals, Store
from innkeeper.core.ports.exports import Copied, Crates, Lock, Packed, PackingList, SavedImages
from innkeeper.core.seating import Seating
from innkeeper.core.stillness import Still, Stillness
from innkeeper.core.tenant import Tenant
from innkeeper.core.vault import Vault
from innkeeper.core.works import RESULT, Tell, Works

FORMAT = 1
PATIENCE_S, INSISTS_AFTER_S, FROZEN_AT_MOST_S = 180.0, 60.0, 10.0
PASSES = 3
"""While its tenant lives; each copies what changed during the one before."""
LITTLE_BYTES = 32 << 20
"""So much is copied again in a fraction of a second: no further pass is worth it."""
PASSPHRASE_MAX = 1024
MB = 1 << 20
_TOLD = 20


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What an export is to hold."""

    with_secrets: bool = False
    with_image: bool = False
    lock: Lock = field(default_factory=Lock)


class Exports(HandingOut):
    """Begins exports, carries them out, and keeps what came of them for a while."""

    def __init__(
        self,
        *,
        store: Store,
        works: Works,
        stillness: Stillness,
        crates: Crates,
        images: SavedImages,
        seating: Seating,
        vault: Vault,
        seals: Seals,
        clock: Clock,
    ) -> None:
        super().__init__(store=store, crates=crates, clock=clock)
        self._works = works
        self._stillness = stillness
        self._images = images
        self._seating = seating
        self._vault = vault
        self._seals = seals

    async def begin(self, name: str, wish: Wish, *, actor: Actor, once: Once | None = None) -> Operation:
        """Ask for one; Invalid, UnknownTenant, TenantLeaving."""
        _check(wish.lock)
        self._crates.check(wish.lock)
        async with self._store.begin() as tx:
            if (again := await self._works.again(tx, actor, once)) is not None:
                return again
            tenant = await self._works.there(tx, name)
            asked = {
                "with_secrets": wish.with_secrets,
                "with_image": wish.with_image,
                "recipients": list(wish.lock.recipients),
                "with_passphrase": wish.lock.passphrase is not None,
            }
            operation = await self._works.add(tx, self._works.new(self.kind, tenant, asked), actor=actor, once=once)
            if wish.lock.passphrase is not None:
                # After its line in the trail, which lasts longer than the passphrase has to.
                sealed = self._seals.seal(tenant.id, _sealed_as(operation), wish.lock.passphrase.encode())
                detail = {**asked, SEALED: b64encode(sealed).decode()}
                operation = replace(operation, detail=detail)
                await tx.put_operation(operation)
        self._works.tell(operation)
        return operation

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """Copy, hold still, copy what changed, pack. Found half done it is done from the beginning; found packed, with
        its passphrase gone, it is as good as over."""
        if (result := operation.detail.get(RESULT)) is not None and await self._crates.file(operation.id) is not None:
            return dict(result)
        try:
            return await self._carry_out(operation, tell)
        except (NotYet, StaleLease):
            raise
        except Problem:
            await self._crates.discard(operation.id)
            raise

    async def tidy(self) -> int:
        """Remove crates of which nothing is to be fetched any more, or whose tenant is gone; how many."""
        gone = 0
        for crate in await self._crates.all():
            async with self._store.look() as tx:
                operation = await tx.operation(crate)
                tenant = await tx.tenant(operation.tenant) if operation else None
            if operation is not None and tenant is not None and tenant.id == operation.tenant_id:
                fetched_until = operation.updated_at + KEPT_FOR
                kept = operation.status is Status.DONE and self._clock.now() < fetched_until
                if kept or not operation.status.ended:
                    continue
            await self._crates.discard(crate)
            gone += 1
        return gone

    # --- one export ---------------------------------------------------------------------------------------------------

    async def _carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        crate, asked = operation.id, operation.detail
        if asked["with_passphrase"] and not asked.get(SEALED):
            raise Invalid(
                "What was packed was removed before the export was over, and the passphrase isn't kept any more.",
                hint="Ask for the export anew.",
            )
        tenant = await self._tenant(operation)
        agent = self._seating.agent(tenant)
        await self._crates.empty(crate)
        tell.step("copying", 0, 4)
        await self._copy_while_it_lives(crate, tenant.name, agent.caches())
        tell.step("copying what changed", 1, 4)
        async with self._stillness.of(
            tenant.name,
            patience_s=PATIENCE_S,
            without_consent_after_s=INSISTS_AFTER_S,
            at_most_s=FROZEN_AT_MOST_S,
        ) as still:
            copied = await self._crates.copy(crate, tenant.name, leave_out=agent.caches())
        tenant = await self._tenant(operation)
        image = _best(await self._images.names(tenant.spec.image), tenant, inside=asked["with_image"])
        tell.step("saving the image" if asked["with_image"] else "packing", 2, 4)
        if asked["with_image"]:
            await self._crates.put_image(crate, self._images.saved(image))
        packed = await self._pack(operation, tenant, still, copied, image, tell)
        result = {
            "file": packed.name,
            "bytes": packed.bytes,
            "sha256": packed.sha256,
            "encrypted": bool(asked["recipients"]) or asked["with_passphrase"],
            "with_secrets": asked["with_secrets"],
            "with_image": asked["with_image"],
            "consented": still.consented,
            "frozen_s": None if still.frozen_s is None else round(still.frozen_s, 3),
            "files": copied.files,
            "left_out": dict(list(copied.left_out.items())[:_TOLD]),
            "left_out_count": len(copied.left_out),
            "kept_until": (self._clock.now() + KEPT_FOR).isoformat(),
        }
        if SEALED in asked:  # in one write: without it nothing could be packed anew, so whoever comes next needn't
            await tell.keep(**{RESULT: result, SEALED: None})
        return result

    async def _copy_while_it_lives(self, crate: str, name: str, leave_out: Sequence[str]) -> None:
        for _ in range(PASSES):
            copied = await self._crates.copy(crate, name, leave_out=leave_out)
            if copied.copied_bytes < LITTLE_BYTES:
                return

    async def _pack(
        self, operation: Operation, tenant: Tenant, still: Still, copied: Copied, image: str, tell: Tell
    ) -> Packed:
        asked = operation.detail
        values = await self._vault.everything(tenant)
        compose, env = await self._seating.compose(tenant, image=image)
        facts = {
            "format": FORMAT,
            "exported_at": self._clock.now().isoformat(),
            "tenant": tenant.name,
            "tenant_id": tenant.id,
            "hostname": tenant.hostname,
            "agent": tenant.spec.agent,
            "release": tenant.spec.release,
            "image": tenant.spec.image,
            "image_name": image,
            "image_inside": asked["with_image"],
            "spec": spec_document(tenant.spec),
            "consented": still.consented,
            "left_out": dict(copied.left_out),
            **({"secrets": dict(values)} if asked["with_secrets"] else {}),
        }
        packing = PackingList(
            compose=compose,
            env=env,
            facts=facts,
            conceal={} if asked["with_secrets"] else {value: f"set-{name}-anew" for name, value in values.items()},
            config_paths=self._seating.agent(tenant).config_paths(),
            secret_settings=asked["with_secrets"],
            lock=self._lock(operation, tenant),
        )
        whole_mb = max(1, copied.bytes // MB)

        def on_bytes(written: int) -> None:
            tell.step(f"packing, {min(written // MB, whole_mb)} of {whole_mb} MB", 3, 4)

        return await self._crates.pack(operation.id, tenant.name, packing, at=self._clock.now(), on_bytes=on_bytes)

    def _lock(self, operation: Operation, tenant: Tenant) -> Lock:
        sealed = operation.detail.get(SEALED)
        plain = self._seals.unseal(tenant.id, _sealed_as(operation), b64decode(sealed)).decode() if sealed else None
        return Lock(recipients=tuple(operation.detail["recipients"]), passphrase=plain)

    async def _tenant(self, operation: Operation) -> Tenant:
        async with self._store.look() as tx:
            tenant = await tx.tenant(operation.tenant)
        if tenant is None or tenant.id != operation.tenant_id:
            raise UnknownTenant(f"{operation.tenant} is gone.")
        return tenant


def _check(lock: Lock) -> None:
    if lock.recipients and lock.passphrase is not None:
        raise Invalid("It is encrypted to recipients or with a passphrase, not both.", field="passphrase")
    if lock.passphrase is not None and not 1 <= len(lock.passphrase) <= PASSPHRASE_MAX:
        raise Invalid(f"A passphrase has 1 to {PASSPHRASE_MAX} characters.", field="passphrase")


def _sealed_as(operation: Operation) -> str:
    return f"export {operation.id}"


def _best(names: Sequence[str], tenant: Tenant, *, inside: bool) -> str:
    """The name of ours, if that stands for it; else any; else its ID, which only this host knows."""
    if "@" in tenant.spec.image and not inside:
        return tenant.spec.image  # by its digest it can be had from where it came from
    ours = f"innkeeper/{tenant.spec.agent}:"
    return min(names, key=lambda name: (not name.startswith(ours), name), default=tenant.spec.image)
