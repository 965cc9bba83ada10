"""The core's `Transaction` on plain dictionaries."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from innkeeper.core.access import TenantKey
from innkeeper.core.audit import Entry
from innkeeper.core.operations import Operation
from innkeeper.core.ports import Receipt
from innkeeper.core.release import Release
from innkeeper.core.tenant import Seen, Tenant
from innkeeper.core.trail import Links, Sought
from innkeeper.store import rows, rules
from innkeeper.store.memory_asked_names import MemoryAskedNames
from innkeeper.store.memory_drills import MemoryDrills
from innkeeper.store.memory_erasures import MemoryErasures
from innkeeper.store.memory_integrations import MemoryIntegrations
from innkeeper.store.memory_messages import MemoryMessages
from innkeeper.store.memory_packs import MemoryPacks
from innkeeper.store.memory_people import MemoryPeople
from innkeeper.store.memory_secrets import MemorySecrets
from innkeeper.store.memory_snapshots import MemorySnapshots
from innkeeper.store.memory_tables import Tables
from innkeeper.store.memory_trail import MemoryChain
from innkeeper.store.memory_usage import MemoryUsage


class MemoryTransaction:
    """The core's `Transaction` on a copy of the tables."""

    def __init__(self, tables: Tables, links: Links) -> None:
        self._tables = tables
        self.messages = MemoryMessages(tables)
        self.people = MemoryPeople(tables)
        self.secrets = MemorySecrets(tables)
        self.packs = MemoryPacks(tables)
        self.integrations = MemoryIntegrations(tables)
        self.asked_names = MemoryAskedNames(tables)
        self.drills = MemoryDrills(tables)
        self.chain = MemoryChain(tables, links)
        self.usage = MemoryUsage(tables)
        self.erasures = MemoryErasures(tables)
        self.snapshots = MemorySnapshots(tables)

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
            past=present.past,
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
        tables.asked_names.pop(name, None)
        tables.messages = {n: each for n, each in tables.messages.items() if each[0].tenant != name}
        tables.keys = {id_: key for id_, key in tables.keys.items() if key.tenant != name}
        self.people.drop_tenant(name)
        self.secrets.drop_tenant(name)
        self.integrations.drop_tenant(name)
        self.drills.drop_tenant(name)
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
        await self.chain.append(entry)

    async def trail(
        self, *, tenant: str | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, Entry]]:
        lines = await self.chain.lines(Sought(tenant=tenant), after=after, limit=limit)
        return [(line.number, rows.entry_of(line)) for line in lines]

    async def erasure_by(self, operation_id: str) -> Entry | None:
        return await self.chain.erasure_by(operation_id)

    async def was_deleted(self, tenant_id: str) -> bool:
        return await self.chain.was_deleted(tenant_id)
