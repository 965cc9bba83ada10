"""The core's `Transaction` on a SQL connection, the same for both databases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Executable, Select, Table, delete, exists, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from innkeeper.core.access import TenantKey
from innkeeper.core.audit import Entry
from innkeeper.core.operations import Operation, Status
from innkeeper.core.ports import Lease, Receipt
from innkeeper.core.release import Release
from innkeeper.core.tenant import Seen, Tenant
from innkeeper.core.trail import Links, Sought
from innkeeper.store import rows, rules, tables
from innkeeper.store.asked_names import SqlAskedNames
from innkeeper.store.drills import SqlDrills
from innkeeper.store.erasures import SqlErasures
from innkeeper.store.integrations import SqlIntegrations
from innkeeper.store.messages import SqlMessages
from innkeeper.store.packs import SqlPacks
from innkeeper.store.people import SqlPeople
from innkeeper.store.secrets import SqlSecrets
from innkeeper.store.snapshots import SqlSnapshots
from innkeeper.store.trail import SqlChain
from innkeeper.store.usage import SqlUsage

T = TypeVar("T")
_Query = Select[*tuple[Any, ...]]
_OPEN = [status.value for status in Status if not status.ended]


class SqlTransaction:
    """One transaction. Writers wait for each other, so what it has read stays true until it ends."""

    def __init__(self, connection: AsyncConnection, links: Links) -> None:
        self._connection = connection
        self.messages = SqlMessages(connection)
        self.people = SqlPeople(connection)
        self.secrets = SqlSecrets(connection)
        self.packs = SqlPacks(connection)
        self.integrations = SqlIntegrations(connection)
        self.asked_names = SqlAskedNames(connection)
        self.drills = SqlDrills(connection)
        self.chain = SqlChain(connection, links)
        self.usage = SqlUsage(connection)
        self.erasures = SqlErasures(connection)
        self.snapshots = SqlSnapshots(connection)

    # --- tenants ------------------------------------------------------------------------------------------------

    async def tenant(self, name: str) -> Tenant | None:
        return await self._one(select(*rows.TENANT).where(tables.tenants.c.name == name), rows.tenant_of)

    async def tenants(self, *, after: str = "", limit: int | None = None) -> Sequence[Tenant]:
        name = tables.tenants.c.name
        return await self._many(select(*rows.TENANT).where(name > after).order_by(name).limit(limit), rows.tenant_of)

    async def count_states(self) -> Mapping[str, int]:
        state = tables.tenants.c.state
        return dict(await self._many(select(state, func.count()).group_by(state), lambda row: (row[0], row[1])))

    async def free_slot(self) -> int:
        one, other = tables.tenants.alias(), tables.tenants.alias()
        first = select(literal(0).label("slot")).where(~exists().where(other.c.slot == 0))
        after_one = select((one.c.slot + 1).label("slot")).where(~exists().where(other.c.slot == one.c.slot + 1))
        free = first.union_all(after_one).subquery()
        return int((await self._connection.execute(select(func.min(free.c.slot)))).scalar_one())

    async def hostname_owner(self, hostname: str) -> str | None:
        table = tables.hostnames
        return await self._one(select(table.c.tenant).where(table.c.hostname == hostname), lambda row: str(row[0]))

    async def add_tenant(self, tenant: Tenant) -> None:
        column = tables.tenants.c
        if await self._there(select(column.name).where(column.name == tenant.name)):
            raise rules.name_taken(tenant.name)
        if await self._there(select(column.slot).where(column.slot == tenant.slot)):
            raise rules.slot_taken(tenant.slot)
        await self._check_hostnames(tenant)
        await self._add(tables.tenants, rows.tenant_values(tenant))
        await self._add_hostnames(tenant)

    async def change_tenant(self, tenant: Tenant, *, from_revision: int) -> None:
        await self._check_hostnames(tenant)
        column = tables.tenants.c
        changed = await self._do(
            update(tables.tenants)
            .where(column.name == tenant.name, column.id == tenant.id, column.revision == from_revision)
            .values(rows.changing_values(tenant))
        )
        if not changed:
            raise rules.changed_meanwhile(tenant.name)
        await self._do(delete(tables.hostnames).where(tables.hostnames.c.tenant == tenant.name))
        await self._add_hostnames(tenant)

    async def _check_hostnames(self, tenant: Tenant) -> None:
        for hostname in tenant.spec.hostnames:
            if await self.hostname_owner(hostname) not in (None, tenant.name):
                raise rules.hostname_taken(hostname)

    async def _add_hostnames(self, tenant: Tenant) -> None:
        for hostname in tenant.spec.hostnames:
            await self._add(tables.hostnames, {"hostname": hostname, "tenant": tenant.name})

    async def reset_seen(self, name: str, seen: Seen) -> None:
        await self._do(update(tables.tenants).where(tables.tenants.c.name == name).values(rows.seen_values(seen)))

    async def drop_tenant(self, name: str, tenant_id: str) -> None:
        column = tables.tenants.c
        if await self._do(delete(tables.tenants).where(column.name == name, column.id == tenant_id)):
            await self._drop_receipts(tenant_id)

    async def drop_held(self, lease: Lease, tenant_id: str) -> bool:
        """The same under the guard of a lease; whether it was still held."""
        column = tables.tenants.c
        held = (column.name == lease.tenant, column.id == tenant_id, column.lease_token == lease.token)
        if not await self._do(delete(tables.tenants).where(*held)):
            return False
        await self._drop_receipts(tenant_id)
        return True

    async def _drop_receipts(self, tenant_id: str) -> None:
        # They hang on the tenant through its operations.
        its = select(tables.operations.c.id).where(tables.operations.c.tenant_id == tenant_id)
        await self._do(delete(tables.receipts).where(tables.receipts.c.operation_id.in_(its)))

    # --- operations ---------------------------------------------------------------------------------------------

    async def add_operation(self, operation: Operation) -> None:
        await self._add(tables.operations, rows.operation_values(operation))

    async def put_operation(self, operation: Operation) -> None:
        table = tables.operations
        await self._do(update(table).where(table.c.id == operation.id).values(rows.operation_values(operation)))

    async def operation(self, operation_id: str) -> Operation | None:
        table = tables.operations
        return await self._one(select(table).where(table.c.id == operation_id), rows.operation_of)

    async def operations(
        self, *, tenant: str | None = None, open_only: bool = False, after: str = "", limit: int | None = None
    ) -> Sequence[Operation]:
        table = tables.operations
        query = select(table).where(table.c.id > after).order_by(table.c.id).limit(limit)
        if tenant is not None:
            query = query.where(table.c.tenant == tenant)
        if open_only:
            query = query.where(table.c.status.in_(_OPEN))
        return await self._many(query, rows.operation_of)

    # --- keys and receipts --------------------------------------------------------------------------------------

    async def add_key(self, key: TenantKey) -> None:
        if not await self._there(select(tables.tenants.c.name).where(tables.tenants.c.name == key.tenant)):
            raise rules.no_tenant(key.tenant)
        await self._add(tables.keys, rows.key_values(key))

    async def keys(self, tenant: str | None = None) -> Sequence[TenantKey]:
        table = tables.keys
        query = select(table).order_by(table.c.created_at, table.c.id)
        if tenant is not None:
            query = query.where(table.c.tenant == tenant)
        return await self._many(query, rows.key_of)

    async def drop_key(self, tenant: str, key_id: str) -> bool:
        table = tables.keys
        return bool(await self._do(delete(table).where(table.c.tenant == tenant, table.c.id == key_id)))

    async def receipt(self, actor: str, key: str) -> Receipt | None:
        table = tables.receipts
        return await self._one(select(table).where(table.c.actor == actor, table.c.key == key), rows.receipt_of)

    async def add_receipt(self, receipt: Receipt) -> None:
        if await self.receipt(receipt.actor, receipt.key) is not None:
            raise rules.key_used()
        await self._add(tables.receipts, rows.stamped(receipt))

    # --- releases -----------------------------------------------------------------------------------------------

    async def put_release(self, release: Release) -> None:
        table = tables.releases
        await self._do(delete(table).where(table.c.agent == release.agent, table.c.version == release.version))
        await self._add(table, rows.stamped(release))

    async def releases(self, agent: str | None = None) -> Sequence[Release]:
        table = tables.releases
        query = select(table) if agent is None else select(table).where(table.c.agent == agent)
        return rules.by_version(await self._many(query, rows.release_of))

    # --- the trail ----------------------------------------------------------------------------------------------

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

    # --- SQL ----------------------------------------------------------------------------------------------------

    async def _many(self, query: _Query, read: Callable[[rows.AnyRow], T]) -> list[T]:
        return [read(row) for row in await self._connection.execute(query)]

    async def _one(self, query: _Query, read: Callable[[rows.AnyRow], T]) -> T | None:
        row = (await self._connection.execute(query)).first()
        return None if row is None else read(row)

    async def _there(self, query: _Query) -> bool:
        return (await self._connection.execute(query.limit(1))).first() is not None

    async def _add(self, table: Table, values: dict[str, object]) -> None:
        await self._connection.execute(insert(table).values(values))

    async def _do(self, change: Executable) -> int:
        """How many rows it touched."""
        return (await self._connection.execute(change)).rowcount
