"""The store in memory: for tests, for measurements, and for trying things out."""

from __future__ import annotations

import asyncio
import bisect
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from itertools import count

from innkeeper.core.access import TenantKey
from innkeeper.core.audit import Entry
from innkeeper.core.events import utc_now
from innkeeper.core.operations import Operation
from innkeeper.core.ports import Clock, Lease, Receipt
from innkeeper.core.release import Release
from innkeeper.core.tenant import Seen, Tenant
from innkeeper.store import rules


@dataclass(kw_only=True)
class _Tables:
    """Everything there is. Its values never change, so that a copy of the mappings is a copy of all."""

    tenants: dict[str, Tenant] = field(default_factory=dict)
    slots: dict[int, str] = field(default_factory=dict)
    hostnames: dict[str, str] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    keys: dict[str, TenantKey] = field(default_factory=dict)
    receipts: dict[tuple[str, str], Receipt] = field(default_factory=dict)
    releases: dict[tuple[str, str], Release] = field(default_factory=dict)
    trail: dict[int, Entry] = field(default_factory=dict)

    def copy(self) -> _Tables:
        return _Tables(**{table.name: getattr(self, table.name).copy() for table in fields(self)})


class MemoryTransaction:
    """The core's `Transaction` on a copy of the tables."""

    def __init__(self, tables: _Tables) -> None:
        self._tables = tables

    # --- tenants ------------------------------------------------------------------------------------------------

    async def tenant(self, name: str) -> Tenant | None:
        return self._tables.tenants.get(name)

    async def tenants(self, *, after: str = "", limit: int | None = None) -> Sequence[Tenant]:
        names = sorted(self._tables.tenants)
        start = bisect.bisect_right(names, after)
        page = names[start:] if limit is None else names[start : start + limit]
        return [self._tables.tenants[name] for name in page]

    async def count_states(self) -> Mapping[str, int]:
        return Counter(tenant.seen.state.value for tenant in self._tables.tenants.values())

    async def free_slot(self) -> int:
        return next(slot for slot in count() if slot not in self._tables.slots)

    async def hostname_owner(self, hostname: str) -> str | None:
        return self._tables.hostnames.get(hostname)

    async def add_tenant(self, tenant: Tenant) -> None:
        if tenant.name in self._tables.tenants:
            raise rules.name_taken(tenant.name)
        if tenant.slot in self._tables.slots:
            raise rules.slot_taken(tenant.slot)
        self._check_hostnames(tenant)
        self._tables.hostnames.update(dict.fromkeys(tenant.spec.hostnames, tenant.name))
        self._tables.slots[tenant.slot] = tenant.name
        self._tables.tenants[tenant.name] = tenant

    async def change_tenant(self, tenant: Tenant, *, from_revision: int) -> None:
        present = self._tables.tenants.get(tenant.name)
        if present is None or (present.id, present.revision) != (tenant.id, from_revision):
            raise rules.changed_meanwhile(tenant.name)
        self._check_hostnames(tenant)
        self._give_back_hostnames(tenant.name)
        self._tables.hostnames.update(dict.fromkeys(tenant.spec.hostnames, tenant.name))
        self._tables.tenants[tenant.name] = replace(
            tenant,
            slot=present.slot,
            created_at=present.created_at,
            seen=present.seen,
            last_activity=present.last_activity,
        )

    def _check_hostnames(self, tenant: Tenant) -> None:
        for hostname in tenant.spec.hostnames:
            if self._tables.hostnames.get(hostname, tenant.name) != tenant.name:
                raise rules.hostname_taken(hostname)

    def _give_back_hostnames(self, name: str) -> None:
        for hostname in self._tables.tenants[name].spec.hostnames:
            del self._tables.hostnames[hostname]

    async def reset_seen(self, name: str, seen: Seen) -> None:
        if name in self._tables.tenants:
            self._tables.tenants[name] = replace(self._tables.tenants[name], seen=seen)

    async def drop_tenant(self, name: str, tenant_id: str) -> None:
        tables = self._tables
        present = tables.tenants.get(name)
        if present is None or present.id != tenant_id:
            return
        self._give_back_hostnames(name)
        del tables.slots[present.slot]
        del tables.tenants[name]
        tables.leases.pop(name, None)
        tables.keys = {id_: key for id_, key in tables.keys.items() if key.tenant != name}
        its = {operation.id for operation in tables.operations.values() if operation.tenant_id == tenant_id}
        tables.receipts = {use: kept for use, kept in tables.receipts.items() if kept.operation_id not in its}

    # --- operations ---------------------------------------------------------------------------------------------

    async def add_operation(self, operation: Operation) -> None:
        self._tables.operations[operation.id] = operation

    async def put_operation(self, operation: Operation) -> None:
        if operation.id in self._tables.operations:
            self._tables.operations[operation.id] = operation

    async def operation(self, operation_id: str) -> Operation | None:
        return self._tables.operations.get(operation_id)

    async def operations(
        self, *, tenant: str | None = None, open_only: bool = False, after: str = "", limit: int | None = None
    ) -> Sequence[Operation]:
        found = [
            operation
            for _, operation in sorted(self._tables.operations.items())
            if operation.id > after
            and tenant in (None, operation.tenant)
            and not (open_only and operation.status.ended)
        ]
        return found[:limit]

    # --- keys and receipts --------------------------------------------------------------------------------------

    async def add_key(self, key: TenantKey) -> None:
        if key.tenant not in self._tables.tenants:
            raise rules.no_tenant(key.tenant)
        self._tables.keys[key.id] = key

    async def keys(self, tenant: str | None = None) -> Sequence[TenantKey]:
        found = (key for key in self._tables.keys.values() if tenant in (None, key.tenant))
        return sorted(found, key=lambda key: (key.created_at, key.id))

    async def drop_key(self, tenant: str, key_id: str) -> bool:
        key = self._tables.keys.get(key_id)
        if key is None or key.tenant != tenant:
            return False
        del self._tables.keys[key_id]
        return True

    async def receipt(self, actor: str, key: str) -> Receipt | None:
        return self._tables.receipts.get((actor, key))

    async def add_receipt(self, receipt: Receipt) -> None:
        use = (receipt.actor, receipt.key)
        if use in self._tables.receipts:
            raise rules.key_used()
        self._tables.receipts[use] = receipt

    # --- releases and the trail ---------------------------------------------------------------------------------

    async def put_release(self, release: Release) -> None:
        self._tables.releases[release.agent, release.version] = release

    async def releases(self, agent: str | None = None) -> Sequence[Release]:
        return rules.by_version(r for r in self._tables.releases.values() if agent in (None, r.agent))

    async def audit(self, entry: Entry) -> None:
        self._tables.trail[len(self._tables.trail) + 1] = entry

    async def trail(
        self, *, tenant: str | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, Entry]]:
        found = [
            (number, entry)
            for number, entry in self._tables.trail.items()
            if number > after and tenant in (None, entry.tenant)
        ]
        return found[:limit]

    async def was_deleted(self, tenant_id: str) -> bool:
        trail = self._tables.trail.values()
        return any(entry.tenant_id == tenant_id and entry.action == rules.ERASED for entry in trail)


class _WallClock:
    """The time of day."""

    def now(self) -> datetime:
        return utc_now()


class MemoryStore:
    """The core's `Store`, gone when the process ends."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or _WallClock()
        self._tables = _Tables()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[MemoryTransaction]:
        """A transaction that commits when the block ends well; writers wait for each other."""
        async with self._tables_in_turn() as tables:
            yield MemoryTransaction(tables)

    @asynccontextmanager
    async def look(self) -> AsyncIterator[MemoryTransaction]:
        """One moment of everything, to read."""
        yield MemoryTransaction(self._tables.copy())

    async def claim(self, tenant: str, *, holder: str, for_s: float) -> Lease | None:
        """The lease of a tenant, if it is free."""
        now = self._clock.now()
        async with self._tables_in_turn() as tables:
            held = tables.leases.get(tenant)
            if tenant not in tables.tenants or (held is not None and held.until > now):
                return None
            until = now + timedelta(seconds=for_s)
            lease = Lease(tenant=tenant, holder=holder, token=secrets.token_hex(8), until=until)
            tables.leases[tenant] = lease
        return lease

    async def renew(self, lease: Lease, *, for_s: float) -> Lease:
        """The same lease for longer."""
        async with self._tables_in_turn() as tables:
            _check_held(tables, lease)
            renewed = replace(lease, until=self._clock.now() + timedelta(seconds=for_s))
            tables.leases[lease.tenant] = renewed
        return renewed

    async def release(self, lease: Lease) -> None:
        """Give it back."""
        async with self._tables_in_turn() as tables:
            if _is_held(tables, lease):
                del tables.leases[lease.tenant]

    async def record(self, lease: Lease, seen: Seen, operations: Sequence[Operation] = ()) -> None:
        """Write what was seen; nothing is written once the lease is another's."""
        async with self._tables_in_turn() as tables:
            _check_held(tables, lease)
            transaction = MemoryTransaction(tables)
            await transaction.reset_seen(lease.tenant, seen)
            for operation in operations:
                await transaction.put_operation(operation)

    async def erase(self, lease: Lease, tenant_id: str, operations: Sequence[Operation], entry: Entry) -> None:
        """Drop the tenant; nothing is dropped once the lease is another's."""
        async with self._tables_in_turn() as tables:
            _check_held(tables, lease)
            if tables.tenants[lease.tenant].id != tenant_id:
                raise rules.stale(lease)
            transaction = MemoryTransaction(tables)
            await transaction.drop_tenant(lease.tenant, tenant_id)
            for operation in operations:
                await transaction.put_operation(operation)
            await transaction.audit(entry)

    async def touch(self, activity: Mapping[str, datetime]) -> None:
        """Write down when tenants were last active."""
        async with self._tables_in_turn() as tables:
            for name, at in activity.items():
                tenant = tables.tenants.get(name)
                if tenant is not None and (tenant.last_activity is None or tenant.last_activity < at):
                    tables.tenants[name] = replace(tenant, last_activity=at)

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
    async def _tables_in_turn(self) -> AsyncIterator[_Tables]:
        # A failed block leaves only its copy changed, and looks keep what they began with.
        async with self._turn:
            tables = self._tables.copy()
            yield tables
            self._tables = tables


def _is_held(tables: _Tables, lease: Lease) -> bool:
    held = tables.leases.get(lease.tenant)
    return held is not None and held.token == lease.token


def _check_held(tables: _Tables, lease: Lease) -> None:
    if not _is_held(tables, lease):
        raise rules.stale(lease)
