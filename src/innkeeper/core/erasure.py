"""The end of a tenant: with a purge all that there is of it is erased, step by step, and a receipt says what.

Each step can be taken again, and is written down when it is done, so that whoever comes after a crash goes on with the
next. The tenant's key goes before its data: from then on nobody can read a copy, wherever it lies, and a place that
can't be reached doesn't hold up the rest. The rows go last: while they are there, somebody comes back for the tenant.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from innkeeper.core.access import SYSTEM
from innkeeper.core.audit import entry
from innkeeper.core.boarding import NotYet
from innkeeper.core.erasure_statement import People, asked_of, statement_of
from innkeeper.core.errors import Problem
from innkeeper.core.former_snapshots import FormerSnapshots
from innkeeper.core.ids import new_id
from innkeeper.core.leftovers import FORMER, unpurged
from innkeeper.core.operations import Operation, finish
from innkeeper.core.ports import Clock, DataKeys, Lease, Signer, Store, Transaction, Units
from innkeeper.core.ports.host import Extent
from innkeeper.core.ports.traces import Traces, Whose
from innkeeper.core.receipts import DATABASE, ErasureReceipt, sign, snapshots_at
from innkeeper.core.tenant import Tenant
from innkeeper.core.trail import Sought

KEPT_WITHOUT_PURGE = ["folder", "data key", "snapshots", "usage"]
"""What a delete leaves without a purge."""
QUIET_AGAIN_S = 2.0

Quiet = Callable[[str], Awaitable[bool]]
"""Has whatever works on the data that goes by a name end; False while another control plane still does."""


class Disconnect(Protocol):
    """Gives back what other services have granted to a tenant; as far as each answers in time, and never raises."""

    async def __call__(self, tenant: Tenant) -> Mapping[str, bool]:
        """By integration, whether its service has heard of it."""
        ...


async def _nobody_works(_: str) -> bool:
    return True


class Erasure:
    """Ends tenants that are to be gone and whose instance is."""

    def __init__(
        self,
        *,
        store: Store,
        units: Units,
        keys: DataKeys,
        signer: Signer,
        clock: Clock,
        disconnect: Disconnect,
        snapshots: FormerSnapshots,
        traces: Sequence[Traces] = (),
        quiet: Quiet = _nobody_works,
        trail_kept: timedelta | None = None,
    ) -> None:
        self._store = store
        self._units = units
        self._keys = keys
        self._signer = signer
        self._clock = clock
        self._disconnect = disconnect
        self._snapshots = snapshots
        self._traces = traces
        self._quiet = quiet
        self._trail_kept = trail_kept

    async def end(self, tenant: Tenant, lease: Lease, operations: Sequence[Operation]) -> Sequence[Operation]:
        """Drop the tenant, and with `purge` all that there is of it; the operations that end with it, as they stand
        then. Raises what stands in the way, NotYet too, to be called again."""
        receipt = await self._purged(tenant, operations) if tenant.purge else None
        now = self._clock.now()
        ids = [operation.id for operation in operations]
        line = entry(SYSTEM, "tenant.erased", at=now, of=tenant, detail={"purge": tenant.purge, "operations": ids})
        if receipt is None:
            ended = [finish(operation, now, receipt=None, kept=KEPT_WITHOUT_PURGE) for operation in operations]
            await self._store.erase(lease, tenant.id, ended, line)
            return ended

        def issue(rows: Mapping[str, int], head: str) -> ErasureReceipt:
            return self._issued(receipt, rows, head)

        ended = [finish(operation, now, receipt=receipt.id, kept=[]) for operation in operations]
        await self._store.erase(lease, tenant.id, ended, line, issue=issue)
        return ended

    async def _purged(self, tenant: Tenant, operations: Sequence[Operation]) -> ErasureReceipt:
        """Take every step but the last; the receipt with what they have noted."""
        receipt = await self._begun(tenant, operations)
        if not await self._quiet(tenant.name):
            raise NotYet("waiting until nobody works on its data any more", again_s=QUIET_AGAIN_S)
        for step, take in (
            ("found", self._look),
            ("integrations", self._give_back),
            ("key", self._destroy_key),
            ("snapshots", self._destroy_snapshots),
            ("unit", self._erase_unit),
            ("places", self._erase_places),
        ):
            if step not in receipt.journal:
                receipt = await self._noted(receipt, step, await take(tenant))
        return receipt

    async def _begun(self, tenant: Tenant, operations: Sequence[Operation]) -> ErasureReceipt:
        """The receipt in the making: found where a crash has left it, else begun with who asked for it."""
        async with self._store.begin(synced=True) as tx:
            found = await tx.erasures.of(tenant.id)
            if found is None:
                asked = await _asked(tx, tenant)
                found = ErasureReceipt(
                    id=new_id("rct"),
                    tenant=tenant.name,
                    tenant_id=tenant.id,
                    began_at=self._clock.now(),
                    journal={
                        "tenant": _facts(tenant),
                        "asked": {**asked, "operations": [each.id for each in operations]},
                    },
                )
                await tx.erasures.put(found)
        return found

    async def _noted(self, receipt: ErasureReceipt, step: str, facts: Mapping[str, Any]) -> ErasureReceipt:
        async with self._store.begin(synced=True) as tx:
            present = await tx.erasures.of(receipt.tenant_id) or receipt
            noted = present.noted(step, facts)
            if present.issued_at is None:  # else we stood still, and somebody else has ended it
                await tx.erasures.put(noted)
        return noted

    # --- the steps ----------------------------------------------------------------------------------------------------

    async def _look(self, tenant: Tenant) -> Mapping[str, Any]:
        """What there is to be erased, while the key to it is there; what can't be told now is erased all the same."""
        snapshots = await self._snapshots.listed(tenant.id)
        unit: dict[str, Any] = {"exists": True, **_extent(None)}
        with suppress(Problem):
            exists = await self._units.exists(tenant.name)
            unit = {"exists": exists, **_extent(await self._units.extent(tenant.name))}
        places, whose = {}, await self._whose(tenant)
        for traces in self._traces:
            with suppress(Problem):
                if (found := await traces.extent(whose)) is not None:
                    places[traces.place] = _extent(found)
        recorded = dict(await self._snapshots.recorded(tenant.id))
        async with self._store.look() as tx:
            namesakes = [each for each in await unpurged(tx, tenant.name) if each != tenant.id]
        return {
            "unit": unit,
            "places": places,
            "snapshots": snapshots,
            "recorded": recorded,
            "namesakes": namesakes,
        }

    async def _give_back(self, tenant: Tenant) -> Mapping[str, Any]:
        return await self._disconnect(tenant)

    async def _destroy_key(self, tenant: Tenant) -> Mapping[str, Any]:
        await self._keys.destroy(tenant.id)
        burial = await self._keys.burial(tenant.id)
        held = burial.held_in if burial else ()
        return {
            "id": burial and burial.key,
            "destroyed_at": _text(burial.at if burial else self._clock.now()),
            "held_in": [{"file": each.file, "at": _text(each.at)} for each in held],
        }

    async def _destroy_snapshots(self, tenant: Tenant) -> Mapping[str, Any]:
        async with self._store.look() as tx:
            receipt = await tx.erasures.of(tenant.id)
        should_be_there = receipt.should_be_there if receipt else {}

        async def begin(target: str) -> None:
            await note_begun(self._store, tenant.id, target)

        return await self._snapshots.destroyed(tenant.id, should_be_there, begin=begin)

    async def _erase_unit(self, tenant: Tenant) -> Mapping[str, Any]:
        await self._units.erase(tenant.name)
        return {}

    async def _erase_places(self, tenant: Tenant) -> Mapping[str, Any]:
        whose = await self._whose(tenant)
        for traces in self._traces:
            await traces.erase(whose)
        return {}

    async def _whose(self, tenant: Tenant) -> Whose:
        async with self._store.look() as tx:
            its = [each for each in await tx.operations(tenant=tenant.name) if each.tenant_id == tenant.id]
            open_ones = {each.id for each in await tx.operations(open_only=True)}
        # What was sent to be imported has a name of its own; while another of its units is to be taken, that drops it.
        uploads = {
            each.detail["upload"]
            for each in its
            if each.detail.get("upload") and not open_ones & (set(each.detail.get("together", ())) - {each.id})
        }
        ids = frozenset({*(each.id for each in its), *uploads})
        return Whose(tenant=tenant.name, tenant_id=tenant.id, operations=ids)

    # --- the receipt --------------------------------------------------------------------------------------------------

    def _issued(self, receipt: ErasureReceipt, rows: Mapping[str, int], head: str) -> ErasureReceipt:
        now = self._clock.now()
        statement = statement_of(
            receipt,
            rows,
            head=head,
            at=now,
            installation=self._signer.key_id,
            trail_kept=self._trail_kept,
            has_control_snapshots=bool(self._snapshots.targets),
        )
        left = [target for target, says in receipt.journal["snapshots"].items() if says is not None]
        pending = (DATABASE, *map(snapshots_at, left))
        return replace(
            receipt, issued_at=now, signed=sign(statement, self._signer), pending=pending, failures=0, try_at=now
        )


async def note_begun(store: Store, tenant_id: str, target: str) -> None:
    """Write down that a tenant's snapshots at the target are being removed, so that half of them is never taken for a
    disk that is missing."""
    async with store.begin(synced=True) as tx:
        if (present := await tx.erasures.of(tenant_id)) is not None:
            await tx.erasures.put(present.begun_at(target))


async def _asked(tx: Transaction, tenant: Tenant) -> Mapping[str, Any]:
    """Who asked for the purge, by the trail."""
    sought = Sought(tenant_id=tenant.id, action="tenant.delete")
    people = People(users=await tx.people.users(), tokens=await tx.people.tokens())
    return asked_of(await tx.chain.lines(sought), people)


def _facts(tenant: Tenant) -> dict[str, str | None]:
    if tenant.spec == FORMER:
        return {"agent": None, "created_at": None}
    return {"agent": tenant.spec.agent, "created_at": _text(tenant.created_at)}


def _extent(extent: Extent | None) -> dict[str, int | None]:
    return {"files": None, "folders": None, "bytes": None} if extent is None else dict(extent._asdict())


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
