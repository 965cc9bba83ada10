"""The store in memory: for tests, for measurements, and for trying things out."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from innkeeper.core.audit import Entry
from innkeeper.core.events import utc_now
from innkeeper.core.operations import Operation
from innkeeper.core.past import Past
from innkeeper.core.ports import LEASE_AT_MOST, Clock, Lease
from innkeeper.core.ports.receipts import Issue
from innkeeper.core.tenant import Seen
from innkeeper.core.trail import Ends, Links
from innkeeper.store import rules
from innkeeper.store.memory_tables import Tables
from innkeeper.store.memory_transaction import MemoryTransaction


class _WallClock:
    """The time of day."""

    def now(self) -> datetime:
        return utc_now()


class MemoryStore:
    """The core's `Store`, gone when the process ends."""

    def __init__(self, clock: Clock | None = None, *, links: Links) -> None:
        self._clock = clock or _WallClock()
        self._links = links
        self._tables = Tables(ends=[Ends().sealed(links)])
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def begin(self, *, synced: bool = False) -> AsyncIterator[MemoryTransaction]:
        """A transaction that commits when the block ends well; writers wait for each other. No disk is to be synced."""
        async with self._tables_in_turn() as tables:
            yield MemoryTransaction(tables, self._links)

    @asynccontextmanager
    async def look(self) -> AsyncIterator[MemoryTransaction]:
        """One moment of everything, to read."""
        yield MemoryTransaction(self._tables.copy(), self._links)

    async def claim(self, tenant: str, *, holder: str, for_s: float) -> Lease | None:
        """The lease of a tenant, if it is free."""
        now = self._clock.now()
        async with self._tables_in_turn() as tables:
            held = tables.leases.get(tenant)
            if tenant not in tables.tenants or (held and now < held.until <= now + LEASE_AT_MOST):
                return None
            until = now + timedelta(seconds=for_s)
            lease = Lease(tenant=tenant, holder=holder, token=secrets.token_hex(8), until=until)
            tables.leases[tenant] = lease
        return lease

    async def claim_work(self, tenant: str, *, holder: str, for_s: float) -> Lease | None:
        """The lease for works on that name, if it is free."""
        now = self._clock.now()
        async with self._tables_in_turn() as tables:
            held = tables.work_leases.get(tenant)
            if held and now < held.until <= now + LEASE_AT_MOST:
                return None
            until = now + timedelta(seconds=for_s)
            lease = Lease(tenant=tenant, holder=holder, token=secrets.token_hex(8), until=until, work=True)
            tables.work_leases[tenant] = lease
        return lease

    async def record_work(self, lease: Lease, operation: Operation) -> None:
        """Write how a work stands; nothing is written once the lease is another's."""
        async with self._tables_in_turn() as tables:
            _check_held(tables, lease)
            await MemoryTransaction(tables, self._links).put_operation(operation)

    async def renew(self, lease: Lease, *, for_s: float) -> Lease:
        """The same lease for longer."""
        async with self._tables_in_turn() as tables:
            _check_held(tables, lease)
            renewed = replace(lease, until=self._clock.now() + timedelta(seconds=for_s))
            _leases(tables, lease)[lease.tenant] = renewed
        return renewed

    async def release(self, lease: Lease) -> None:
        """Give it back."""
        async with self._tables_in_turn() as tables:
            if _is_held(tables, lease):
                del _leases(tables, lease)[lease.tenant]

    async def record(self, lease: Lease, seen: Seen, operations: Sequence[Operation] = ()) -> None:
        """Write what was seen; nothing is written once the lease is another's."""
        async with self._tables_in_turn() as tables:
            _check_held(tables, lease)
            transaction = MemoryTransaction(tables, self._links)
            await transaction.reset_seen(lease.tenant, seen)
            for operation in operations:
                await transaction.put_operation(operation)

    async def erase(
        self, lease: Lease, tenant_id: str, operations: Sequence[Operation], entry: Entry, *, issue: Issue | None = None
    ) -> None:
        """Drop the tenant; nothing is dropped once the lease is another's."""
        async with self._tables_in_turn() as tables:
            _check_held(tables, lease)
            if tables.tenants[lease.tenant].id != tenant_id:
                raise rules.stale(lease)
            transaction = MemoryTransaction(tables, self._links)
            rows = transaction.erasures.counted(lease.tenant, tenant_id) if issue else {}
            await transaction.drop_tenant(lease.tenant, tenant_id)
            for operation in operations:
                await transaction.put_operation(operation)
            if issue:
                transaction.erasures.drop_rows(tenant_id)
                receipt = issue(rows, rules.head_of(transaction.chain.begun()))
                await transaction.erasures.put(receipt)
                entry = rules.with_receipt(entry, receipt)
            await transaction.audit(entry)

    async def scrub(self) -> bool:
        """There are no files."""
        return True

    async def touch(self, activity: Mapping[str, datetime]) -> None:
        """Write down when tenants were last active."""
        async with self._tables_in_turn() as tables:
            for name, at in activity.items():
                tenant = tables.tenants.get(name)
                if tenant is not None and (tenant.last_activity is None or tenant.last_activity < at):
                    tables.tenants[name] = replace(tenant, last_activity=at)

    async def remember(self, pasts: Mapping[str, Past]) -> None:
        """Write down what was measured of tenants."""
        async with self._tables_in_turn() as tables:
            for name in pasts.keys() & tables.tenants.keys():
                tables.tenants[name] = replace(tables.tenants[name], past=pasts[name])

    async def forget(self, *, before: datetime) -> int:
        """Drop ended operations and receipts older than that."""
        async with self._tables_in_turn() as tables:
            old = [use for use, receipt in tables.receipts.items() if receipt.created_at < before]
            ended = [o.id for o in tables.operations.values() if o.status.ended and o.updated_at < before]
            for use in old:
                del tables.receipts[use]
            for operation_id in ended:
                del tables.operations[operation_id]
        return len(old) + len(ended)

    async def close(self) -> None:
        """Nothing to close."""

    @asynccontextmanager
    async def _tables_in_turn(self) -> AsyncIterator[Tables]:
        # A failed block leaves only its copy changed, and looks keep what they began with.
        async with self._turn:
            tables = self._tables.copy()
            yield tables
            self._tables = tables


def _is_held(tables: Tables, lease: Lease) -> bool:
    held = _leases(tables, lease).get(lease.tenant)
    return held is not None and held.token == lease.token


def _leases(tables: Tables, lease: Lease) -> dict[str, Lease]:
    return tables.work_leases if lease.work else tables.leases


def _check_held(tables: Tables, lease: Lease) -> None:
    if not _is_held(tables, lease):
        raise rules.stale(lease)
