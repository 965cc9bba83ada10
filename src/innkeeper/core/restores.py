"""The use cases of restores: what can be restored, and what somebody asks to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from innkeeper.core.access import Actor
from innkeeper.core.audit import entry, told
from innkeeper.core.errors import (
    Conflict,
    Invalid,
    InvalidName,
    TenantExists,
    TenantLeaving,
    UnitExists,
    UnknownTenant,
)
from innkeeper.core.events import Bus, TenantChanged
from innkeeper.core.hosting import CONSOLE
from innkeeper.core.ids import new_id
from innkeeper.core.manifest import Manifest
from innkeeper.core.once import Once
from innkeeper.core.operations import Operation, OperationKind
from innkeeper.core.ports import Clock, Store, Transaction, Units
from innkeeper.core.remaking import made_anew
from innkeeper.core.restore_asked import Asked, Mode
from innkeeper.core.restored_spec import RestoredSpecs, with_free_hostnames
from innkeeper.core.safety import keep_for
from innkeeper.core.shelf import Restorable, Shelf
from innkeeper.core.tenant import Tenant, Wanted, check_name
from innkeeper.core.works import Works

EPOCHS_BETWEEN = 1000
"""A tenant's tokens may have been renewed since, on a host that is lost; less often than that."""
PATHS_MAX = 100
PATH_MAX_BYTES, NAME_MAX_BYTES = 4095, 255
"""What Linux allows."""


class Restores:
    """Begins restores."""

    def __init__(
        self,
        *,
        store: Store,
        shelf: Shelf,
        specs: RestoredSpecs,
        units: Units,
        works: Works,
        bus: Bus,
        clock: Clock,
        domain: str,
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._specs = specs
        self._units = units
        self._works = works
        self._bus = bus
        self._clock = clock
        self._domain = domain

    # --- what there is ------------------------------------------------------------------------------------------------

    async def restorable(self, *, name: str | None = None, tenant_id: str | None = None) -> Sequence[Restorable]:
        """The newest snapshot of each tenant that isn't here, as far as the keyring has their keys."""
        async with self._store.look() as tx:
            here = {tenant.id for tenant in await tx.tenants()}
        return [
            each for each in await self._shelf.everybody(name=name, tenant_id=tenant_id) if each.tenant_id not in here
        ]

    # --- in place -----------------------------------------------------------------------------------------------------

    async def in_place(
        self,
        name: str,
        *,
        actor: Actor,
        snapshot: str | None = None,
        at: datetime | None = None,
        whole_spec: bool = True,
        replace_secrets: bool = False,
        safety: bool = True,
        once: Once | None = None,
    ) -> Operation:
        """Have a snapshot take the place of what the tenant is now. Conflict while another restore of it is open."""
        tenant = await self._there(name)
        asked = Asked(
            mode=Mode.IN_PLACE,
            snapshot=await self._shelf.find(tenant.id, snapshot=snapshot, at=at),
            whole_spec=whole_spec,
            replace_secrets=replace_secrets,
            safety=safety,
        )
        return await self._begun(tenant, asked, actor=actor, once=once)

    async def paths(
        self,
        name: str,
        paths: Sequence[str],
        *,
        actor: Actor,
        into: str | None = None,
        snapshot: str | None = None,
        at: datetime | None = None,
        once: Once | None = None,
    ) -> Operation:
        """Have paths of a snapshot put into a new folder of the tenant's own data, by default in its workspace."""
        tenant = await self._there(name)
        into = into or f"workspace/restored-{self._clock.now():%Y%m%d-%H%M%S}"
        asked = Asked(
            mode=Mode.PATHS,
            snapshot=await self._shelf.find(tenant.id, snapshot=snapshot, at=at, damaged_too=True),
            paths=_checked_paths(paths),
            into=_checked(into, "into"),
        )
        return await self._begun(tenant, asked, actor=actor, once=once)

    async def file(
        self,
        name: str,
        paths: Sequence[str],
        *,
        actor: Actor,
        with_secrets: bool = False,
        snapshot: str | None = None,
        at: datetime | None = None,
        once: Once | None = None,
    ) -> Operation:
        """Have paths of a snapshot packed into a tar that is handed out; nothing of the tenant's is changed."""
        tenant = await self._there(name)
        asked = Asked(
            mode=Mode.FILE,
            snapshot=await self._shelf.find(tenant.id, snapshot=snapshot, at=at, damaged_too=True),
            paths=_checked_paths(paths),
            with_secrets=with_secrets,
        )
        return await self._begun(tenant, asked, actor=actor, once=once)

    async def _begun(self, tenant: Tenant, asked: Asked, *, actor: Actor, once: Once | None) -> Operation:
        async with self._store.begin() as tx:
            if (again := await self._works.again(tx, actor, once)) is not None:
                return again
            now = await tx.tenant(tenant.name)
            if now is None or now.id != tenant.id:
                raise UnknownTenant(f"There is no tenant {tenant.name} any more.")
            _not_leaving(now)
            await _none_open(tx, now)
            operation = self._works.new(OperationKind.RESTORE, now, asked.detail())
            await self._works.add(tx, operation, actor=actor, once=once)
            await keep_for(tx, asked.snapshot, operation)
        self._works.tell(operation)
        return operation

    # --- to a tenant that isn't there ---------------------------------------------------------------------------------

    async def as_other(
        self,
        name: str,
        other: str,
        *,
        actor: Actor,
        snapshot: str | None = None,
        at: datetime | None = None,
        tenant_id: str | None = None,
        channels_on: bool = False,
        once: Once | None = None,
    ) -> Operation:
        """Have a snapshot of `name`, which may be here or not, become the tenant `other`: with an id, keys and tokens
        of its own, without the hostnames, and with its channels off unless `channels_on`."""
        async with self._store.look() as tx:
            there = await tx.tenant(name)
        whose = there.id if there is not None else (await self._lost(name, tenant_id)).tenant_id
        found = await self._shelf.find(whose, snapshot=snapshot, at=at)
        manifest = await self._shelf.manifest(found)
        spec = replace(await self._specs.of(manifest, now=None, whole=True), hostnames=())
        made = Tenant(
            id=new_id("tn"),
            name=_new_name(other, self._domain),
            spec=spec,
            slot=0,
            created_at=self._clock.now(),
            wanted=manifest.wanted if manifest.wanted is not Wanted.GONE else Wanted.AUTO,
            fenced=not channels_on,
            born_as=manifest.hostname if manifest.hostname != other else None,
        )
        return await self._made(made, found, actor=actor, once=once)

    async def lost(
        self,
        name: str,
        *,
        actor: Actor,
        tenant_id: str | None = None,
        snapshot: str | None = None,
        at: datetime | None = None,
        channels_on: bool = False,
        once: Once | None = None,
    ) -> Operation:
        """Have a tenant that this host has lost, or never had, be here again: the very one, with its id and key. Its
        channels stay off unless `channels_on`, for nobody here can see whether its former host is."""
        lost = await self._lost(name, tenant_id)
        found = await self._shelf.find(lost.tenant_id, snapshot=snapshot, at=at)
        manifest = await self._shelf.manifest(found)
        made = self._as_it_was(manifest, name=_new_name(name, self._domain), fenced=not channels_on)
        made = replace(made, spec=await self._specs.of(manifest, now=None, whole=True))
        return await self._made(made, found, actor=actor, once=once)

    def _as_it_was(self, manifest: Manifest, *, name: str, fenced: bool) -> Tenant:
        as_it_was = manifest.tenant(slot=0)
        wanted = as_it_was.wanted if as_it_was.wanted is not Wanted.GONE else Wanted.AUTO
        epoch = as_it_was.token_epoch + EPOCHS_BETWEEN
        born_as = manifest.hostname if manifest.hostname != name else None
        return replace(as_it_was, name=name, wanted=wanted, token_epoch=epoch, fenced=fenced, born_as=born_as)

    async def _made(self, made: Tenant, found: Restorable, *, actor: Actor, once: Once | None) -> Operation:
        """Its row, closed, and the operation, in one transaction."""
        left_over = await self._units.exists(made.name)
        async with self._store.begin() as tx:
            if (again := await self._works.again(tx, actor, once)) is not None:
                return again
            there = await tx.tenant(made.name)
            if there is not None:
                _not_leaving(there)
                raise TenantExists(f"There is a tenant {made.name} already.", field="name")
            if left_over:
                raise UnitExists(
                    f"A folder of a former tenant {made.name} is still there.",
                    hint="Move it out of the data directory, or restore to another name with `--as`.",
                )
            if any(tenant.id == made.id for tenant in await tx.tenants()):
                raise Conflict(f"{found.tenant} is here by another name.")
            free = await with_free_hostnames(tx, made.name, made.spec)
            made = replace(made, spec=free.spec, slot=await tx.free_slot())
            detail = {
                **Asked(mode=Mode.ANEW, snapshot=found).detail(),
                "hostnames_taken": list(free.hostnames_taken),
            }
            operation = self._works.new(OperationKind.RESTORE, made, detail)
            made = replace(made, closed=operation.id)
            await tx.add_tenant(made)
            await tx.audit(entry(actor, "tenant.create", at=self._clock.now(), of=made, after=told(made)))
            await self._works.add(tx, operation, actor=actor, once=once)
            await keep_for(tx, found, operation)
        self._bus.publish(TenantChanged(tenant=made.name, now=made))
        self._works.tell(operation)
        return operation

    # --- the fence ----------------------------------------------------------------------------------------------------

    async def confirm(self, name: str, *, actor: Actor) -> Tenant:
        """No other instance of it serves its channels: they are turned on, by a fresh instance. Repeatable."""
        async with self._store.begin() as tx:
            tenant = await tx.tenant(name)
            if tenant is None:
                raise UnknownTenant(f"There is no tenant {name[:60]!r}.")
            _not_leaving(tenant)
            if not tenant.fenced:
                return tenant
            changed = made_anew(replace(tenant, fenced=False))
            await tx.change_tenant(changed, from_revision=tenant.revision)
            await tx.reset_seen(name, changed.seen)
            await tx.audit(entry(actor, "tenant.confirm", at=self._clock.now(), of=changed))
        self._bus.publish(TenantChanged(tenant=name, now=changed))
        return changed

    # --- shared -------------------------------------------------------------------------------------------------------

    async def _there(self, name: str) -> Tenant:
        async with self._store.look() as tx:
            tenant = await tx.tenant(name)
        if tenant is None:
            raise UnknownTenant(f"There is no tenant {name[:60]!r}.")
        _not_leaving(tenant)
        return tenant

    async def _lost(self, name: str, tenant_id: str | None = None) -> Restorable:
        """The one of that name, by the repositories; Conflict where several had it."""
        found = await self.restorable(name=check_name(name), tenant_id=tenant_id)
        if not found:
            raise UnknownTenant(
                f"There is no tenant {name}, and no snapshot of one that the keyring opens.",
                hint="See what could be restored with `innkeeper restore --list`.",
            )
        if len(found) > 1:
            ids = ", ".join(each.tenant_id for each in found)
            raise Conflict(f"Several tenants were called {name}: {ids}.", hint="Say which one with `--id`.")
        return found[0]


async def _none_open(tx: Transaction, tenant: Tenant) -> None:
    for operation in await tx.operations(tenant=tenant.name, open_only=True):
        if operation.kind is OperationKind.RESTORE:
            raise Conflict(
                f"{tenant.name} is being restored already: {operation.id}.",
                hint=f"See `innkeeper operation show {operation.id}`.",
            )


def _new_name(name: str, domain: str) -> str:
    if check_name(name) == CONSOLE:
        raise InvalidName(f"{CONSOLE}.{domain} is the console's own host.", field="as", hint="Choose another name.")
    return name


def _not_leaving(tenant: Tenant) -> None:
    if tenant.wanted is Wanted.GONE:
        raise TenantLeaving(f"{tenant.name} is being deleted.")


def _checked_paths(paths: Sequence[str]) -> tuple[str, ...]:
    if not 0 < len(paths) <= PATHS_MAX:
        raise Invalid(f"It takes 1 to {PATHS_MAX} paths.", field="paths")
    return tuple(_checked(path, "paths") for path in paths)


def _checked(path: str, field: str) -> str:
    """A path below persistence: any that there can be, and no way out."""
    path = path.removeprefix("/persistence/").strip("/")
    if "\0" in path or len(_bytes(path)) > PATH_MAX_BYTES or not all(map(_is_name, path.split("/"))):
        raise Invalid(
            f"{path[:80]!r} can't be a path in a tenant's data.",
            field=field,
            hint="Like `workspace/notes`, relative to the tenant's folder `persistence`.",
        )
    return path


def _is_name(part: str) -> bool:
    return part not in ("", ".", "..") and len(_bytes(part)) <= NAME_MAX_BYTES


def _bytes(path: str) -> bytes:
    return path.encode(errors="surrogateescape")
