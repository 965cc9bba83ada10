"""The use case of importing: another system's unit, or an export of ours, becomes a tenant.

Until its row is written nothing of a tenant is there, and whatever was staged is thrown away and staged again. The row
is written closed, together with its secrets; then the staged folder is moved into place in one rename, and only then
the tenant is opened. So a process that dies in between leaves either nothing or a tenant that the next one finishes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from innkeeper.core.access import SYSTEM, Actor
from innkeeper.core.adoption import Adoption, Asked
from innkeeper.core.audit import entry, told
from innkeeper.core.boarding import NotYet
from innkeeper.core.closing import Closing
from innkeeper.core.control import Control
from innkeeper.core.errors import (
    Conflict,
    Problem,
    StaleLease,
    Superseded,
    TenantExists,
    UnitExists,
    UnitFault,
    UnknownRelease,
)
from innkeeper.core.events import Bus, OperationChanged, TenantChanged
from innkeeper.core.ids import new_id
from innkeeper.core.import_errors import ImportRefused, StagedLost
from innkeeper.core.import_undoing import Undoing
from innkeeper.core.once import Once
from innkeeper.core.operations import DEADLINES, Operation, OperationKind
from innkeeper.core.pack_errors import UnknownPack
from innkeeper.core.pack_releases import check_packs
from innkeeper.core.ports import Clock, DataKeys, Seals, Store, Transaction, Units
from innkeeper.core.ports.arrivals import Arrivals, Staged
from innkeeper.core.references import fills, references
from innkeeper.core.release import version_key
from innkeeper.core.secrets import SECRETS_MAX, SecretVersion, checked_name, checked_value
from innkeeper.core.tenant import Spec, Tenant
from innkeeper.core.works import Tell, Works

AGAIN_S = 30.0
"""A folder that can't be moved into place for the moment is tried again so soon."""
_NAMED = 3
_LOST = "lost"
"""What is said of a folder that was lost; whoever finds it goes on with taking the tenant back."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A unit as it would be taken in here."""

    adoption: Adoption
    spec: Spec | None
    """None where it can't be made."""
    notes: Sequence[str]
    refusals: Sequence[str]
    """Of the source's, and of this house's: a name that is taken, say."""


class Importing:
    """Looks at sources, and takes units in; the work of the kind IMPORT."""

    kind = OperationKind.IMPORT

    def __init__(
        self,
        *,
        store: Store,
        arrivals: Arrivals,
        control: Control,
        units: Units,
        works: Works,
        closing: Closing,
        seals: Seals,
        keys: DataKeys,
        bus: Bus,
        clock: Clock,
        hide: Callable[[str], None],
    ) -> None:
        self._store = store
        self._arrivals = arrivals
        self._control = control
        self._units = units
        self._works = works
        self._closing = closing
        self._seals = seals
        self._keys = keys
        self._bus = bus
        self._clock = clock
        self._hide = hide
        self._undoing = Undoing(store=store, keys=keys, bus=bus, clock=clock)

    async def receive(self, pieces: AsyncIterable[bytes]) -> str:
        """Take in an export that is sent; what to name it by."""
        return await self._arrivals.receive(pieces)

    async def drop(self, upload: str) -> None:
        """Have it no more."""
        await self._arrivals.drop(upload, None)

    async def look(self, asked: Asked, upload: str | None = None) -> Sequence[Plan]:
        """What would become of the source's units; nothing is written."""
        return [await self._plan(each, asked) for each in await self._read(asked, upload)]

    async def begin(
        self, asked: Asked, *, actor: Actor, upload: str | None = None, fenced: bool = True, once: Once | None = None
    ) -> Sequence[Operation]:
        """An import of each of the source's units; ImportRefused where anything is in the way of any."""
        async with self._store.look() as tx:
            if again := await self._again(tx, actor, once):
                return again
        plans = await self.look(asked, upload)
        if refused := [plan for plan in plans if plan.refusals]:
            raise ImportRefused(_told(refused))
        begun = [self._new(plan, asked, actor, upload, fenced) for plan in plans]
        begun = [replace(each, detail={**each.detail, "together": [one.id for one in begun]}) for each in begun]
        async with self._store.begin() as tx:
            if again := await self._again(tx, actor, once):  # sent twice at once
                return again
            for number, operation in enumerate(begun):
                await _check_alone(tx, operation)
                await self._works.add(tx, operation, actor=actor, once=None if number else once)
        for operation in begun:
            self._works.tell(operation)
        return begun

    async def _again(self, tx: Transaction, actor: Actor, once: Once | None) -> list[Operation]:
        first = await self._works.again(tx, actor, once)
        return [each for one in first.detail["together"] if (each := await tx.operation(one))] if first else []

    async def tidy(self) -> None:
        """Remove what no open import has a claim to: for the start, when nobody is at work yet."""
        async with self._store.look() as tx:
            found = await tx.operations(open_only=True)
        imports = [each for each in found if each.kind is self.kind]
        await self._arrivals.tidy({*(each.id for each in imports), *(each.detail["upload"] or "" for each in imports)})

    # --- the work -----------------------------------------------------------------------------------------------------

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """Stage, write down, move, open."""
        asked, upload = Asked.of(operation.detail["asked"]), operation.detail["upload"]
        if lost := operation.detail.get(_LOST):
            await self._undo(tell, StagedLost(lost))
        if await self._made(operation) is None:
            try:
                await self._take(operation, asked, upload, tell)
            except StaleLease:
                raise  # another control plane is at it
            except Problem:
                if await self._made(operation) is None:
                    await self._arrivals.drop(operation.id, await self._last_with(operation, upload))
                    await self._keys.destroy(operation.tenant_id)
                raise
        await self._finish(tell)
        await self._arrivals.drop(operation.id, await self._last_with(operation, upload))
        outcome: Mapping[str, Any] = tell.operation.detail["outcome"]
        return outcome

    async def _take(self, operation: Operation, asked: Asked, upload: str | None, tell: Tell) -> None:
        key = operation.detail["key"]

        def copied(done: int, of: int) -> None:
            tell.step("copying", done >> 20, max(1, of >> 20))

        staged = await self._arrivals.stage(operation.id, asked, key, upload, copied)
        adoption = replace(staged.adoption, name=operation.tenant)
        self._hide_all(adoption)
        spec, notes = await self._spec(adoption, asked)
        await self._keys.ready(operation.tenant_id)
        if await self._units.exists(operation.tenant):
            raise UnitExists(f"A folder of a former tenant {operation.tenant} is still there.", field="name")
        provision = new_id("op")
        outcome = {**_outcome(staged, notes, provision), "fenced": operation.detail["fenced"]}
        await tell.keep(staged=staged.name, outcome=outcome)
        await self._write_down(tell.operation, adoption, spec, provision)

    async def _write_down(self, operation: Operation, adoption: Adoption, spec: Spec, provision: str) -> None:
        """The tenant, its secrets and the operation that its start is, in one transaction."""
        now = self._clock.now()
        sealed = await asyncio.to_thread(self._sealed, operation, adoption)
        async with self._store.begin() as tx:
            if await tx.tenant(operation.tenant) is not None:
                raise TenantExists(f"There is a tenant {operation.tenant} already.", field="name")
            tenant = Tenant(
                id=operation.tenant_id,
                name=operation.tenant,
                spec=spec,
                slot=await tx.free_slot(),
                created_at=now,
                closed=operation.id,
                fenced=operation.detail["fenced"],
                born_as=adoption.hostname if adoption.hostname != operation.tenant else None,
            )
            await tx.add_tenant(tenant)
            start = Operation(
                id=provision,
                kind=OperationKind.PROVISION,
                tenant=tenant.name,
                tenant_id=tenant.id,
                revision=tenant.revision,
                created_at=now,
                updated_at=now,
                deadline=now + DEADLINES[OperationKind.PROVISION],
            )
            await tx.add_operation(start)
            detail: dict[str, object] = {"operation": operation.id, "secrets": sorted(adoption.secrets)}
            await tx.audit(entry(SYSTEM, "tenant.create", at=now, of=tenant, after=told(tenant), detail=detail))
            for version, content in sealed:
                await tx.secrets.add(version, content)
        self._bus.publish(TenantChanged(tenant=tenant.name, now=tenant))
        self._bus.publish(OperationChanged(tenant=tenant.name, operation=start))

    async def _finish(self, tell: Tell) -> None:
        """What is left once the row is there: repeatable, and put off rather than given up."""
        operation = tell.operation
        tenant = await self._made(operation)
        if tenant is None or tenant.closed != operation.id:
            return
        tell.step("moving into place")
        try:
            await self._arrivals.settle(operation.id, operation.detail["staged"], operation.tenant)
        except StagedLost as lost:
            await tell.keep(**{_LOST: lost.message})
            await self._undo(tell, lost)
        except UnitFault as fault:
            raise NotYet(fault.message, again_s=AGAIN_S) from fault
        except UnitExists as there:
            raise NotYet(there.message, again_s=AGAIN_S) from there
        await self._closing.reopen(operation.tenant, operation.id)

    async def _undo(self, tell: Tell, lost: StagedLost) -> NoReturn:
        operation = tell.operation
        try:
            await self._undoing.undo(operation, lost)
            await self._arrivals.drop(operation.id, await self._last_with(operation, operation.detail["upload"]))
        except StaleLease:
            raise
        except Problem as problem:  # a tenant that is closed by what has ended would stay so
            raise NotYet(f"{lost.message} It can't be taken back: {problem.message}", again_s=AGAIN_S) from problem
        raise lost

    async def _made(self, operation: Operation) -> Tenant | None:
        """The tenant, if this operation has made it; Superseded where it was deleted since."""
        async with self._store.look() as tx:
            tenant = await tx.tenant(operation.tenant)
            if await tx.was_deleted(operation.tenant_id):
                raise Superseded(f"{operation.tenant} was deleted as soon as it was there.")
        return tenant if tenant is not None and tenant.id == operation.tenant_id else None

    async def _last_with(self, operation: Operation, upload: str | None) -> str | None:
        """What was sent, if no other unit of it is still to be taken."""
        async with self._store.look() as tx:
            open_ones = {each.id for each in await tx.operations(open_only=True)}
        return None if open_ones & set(operation.detail["together"]) - {operation.id} else upload

    # --- reading ------------------------------------------------------------------------------------------------------

    async def _read(self, asked: Asked, upload: str | None) -> Sequence[Adoption]:
        found = await self._arrivals.look(asked, upload)
        for adoption in found:
            self._hide_all(adoption)
        return found

    async def _plan(self, adoption: Adoption, asked: Asked) -> Plan:
        refusals, notes, spec = list(adoption.refusals), list(adoption.notes), None
        try:
            spec, more = await self._spec(adoption, asked)
            notes += more
        except Problem as problem:
            refusals.append(f"{problem.message} {problem.hint}".strip())
        if adoption.name:
            refusals += await self._in_the_way(adoption.name, spec)
        return Plan(adoption=adoption, spec=spec, notes=notes, refusals=refusals)

    async def _spec(self, adoption: Adoption, asked: Asked) -> tuple[Spec, list[str]]:
        """As it is made here, and what had to be different; a release that isn't here gives way to a newer one."""
        _check_secrets(adoption)
        notes = await self._packs_lacking(adoption)
        try:
            return await self._control.new_spec(adoption.agent, adoption.patch), notes
        except UnknownRelease:
            wanted = adoption.patch.release
            if asked.release is not None or wanted is None:
                raise
            spec = await self._control.new_spec(adoption.agent, replace(adoption.patch, release=None))
            if version_key(spec.release) < version_key(wanted):
                raise
            return spec, [f"{adoption.agent} {wanted} isn't here: it gets {spec.release}.", *notes]

    async def _packs_lacking(self, adoption: Adoption) -> list[str]:
        """They are had from wherever it comes from; what they have brought is in its folder."""
        async with self._store.look() as tx:
            try:
                await check_packs(tx, adoption.patch.packs)
            except UnknownPack as lacking:
                return [f"{lacking.message} What is new in it comes once it is added: `innkeeper pack add`."]
        return []

    async def _in_the_way(self, name: str, spec: Spec | None) -> list[str]:
        try:
            self._control.check_new_name(name)
            async with self._store.look() as tx:
                there = await tx.tenant(name)
                taken = [host for host in (spec.hostnames if spec else ()) if await tx.hostname_owner(host)]
            if taken:
                return [f"{taken[0]} belongs to another tenant: take it from that one first."]
            if there is not None:
                return [f"There is a tenant {name} already: take another name with `--as`."]
            if await self._units.exists(name):
                return [f"A folder of a former tenant {name} is still there: move it away, or take another name."]
        except Problem as problem:
            return [problem.message]
        return []

    # --- small things -------------------------------------------------------------------------------------------------

    def _new(self, plan: Plan, asked: Asked, actor: Actor, upload: str | None, fenced: bool) -> Operation:
        now = self._clock.now()
        detail = {
            "asked": asked.document(),
            "key": plan.adoption.key,
            "upload": upload,
            "fenced": fenced,
            "by": actor.id,
        }
        return Operation(
            id=new_id("op"),
            kind=self.kind,
            tenant=plan.adoption.name,
            tenant_id=new_id("tn"),
            revision=1,
            created_at=now,
            updated_at=now,
            deadline=now + DEADLINES[self.kind],
            detail=detail,
        )

    def _hide_all(self, adoption: Adoption) -> None:
        for value in adoption.secrets.values():
            self._hide(value)

    def _sealed(self, operation: Operation, adoption: Adoption) -> list[tuple[SecretVersion, bytes]]:
        found = []
        for name, value in adoption.secrets.items():
            version = SecretVersion(
                owner=operation.tenant_id,
                tenant=operation.tenant,
                name=name,
                version=1,
                created_at=self._clock.now(),
                created_by=operation.detail["by"],
            )
            found.append((version, self._seals.seal(version.owner, version.sealed_as, checked_value(value))))
        return found


async def _check_alone(tx: Transaction, operation: Operation) -> None:
    for other in await tx.operations(tenant=operation.tenant, open_only=True):
        if other.kind is OperationKind.IMPORT:
            raise Conflict(f"{operation.tenant} is being imported already, by {other.id}.", field="name")


def _check_secrets(adoption: Adoption) -> None:
    if len(adoption.secrets) > SECRETS_MAX:
        raise ImportRefused(f"It has {len(adoption.secrets)} secrets, and {SECRETS_MAX} are the most.")
    inside = references(adoption.patch.config or {})
    for name, value in adoption.secrets.items():
        checked_name(name)
        checked_value(value)
        if name in inside and not fills(value):
            raise ImportRefused(f"The value of {name} holds `${{`, which agents' configs take for a variable.")


def _told(refused: Sequence[Plan]) -> str:
    parts = [f"{plan.adoption.key}: {' '.join(plan.refusals[:_NAMED])}" for plan in refused[:_NAMED]]
    return " ".join(parts) + (f" So are {len(refused) - _NAMED} more units." if len(refused) > _NAMED else "")


def _outcome(staged: Staged, notes: Sequence[str], provision: str) -> dict[str, Any]:
    adoption = staged.adoption
    return {
        "key": adoption.key,
        "agent": adoption.agent,
        "files": staged.files,
        "bytes": staged.bytes,
        "secrets": sorted(adoption.secrets),
        "changed": list(staged.changed[:100]),
        "notes": [*adoption.notes, *notes],
        "provision": provision,
    }
