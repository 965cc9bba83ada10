"""The store in SQLite or PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import BindParameter, bindparam, delete, make_url, or_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from innkeeper.core.audit import Entry
from innkeeper.core.operations import Operation, Status
from innkeeper.core.past import Past
from innkeeper.core.ports import Lease
from innkeeper.core.ports.receipts import Issue
from innkeeper.core.tenant import Seen
from innkeeper.core.trail import Links
from innkeeper.store import lease as leases
from innkeeper.store import rows, rules, tables
from innkeeper.store.engines import Engines, connect
from innkeeper.store.faults import translated
from innkeeper.store.migrate import is_blank, migrate
from innkeeper.store.scrubbing import clean_once, emptied_log
from innkeeper.store.transaction import SqlTransaction

_ENDED = [status.value for status in Status if status.ended]


class SqlStore:
    """The core's `Store` for one control plane or several, on the same database."""

    def __init__(self, engines: Engines, links: Links) -> None:
        self._engines = engines
        self._links = links

    @classmethod
    async def open(cls, url: str, *, links: Links) -> SqlStore:
        """Connect and bring the tables up to date; several processes may do so at once. `links` ties the trail."""
        engines = connect(url)
        store = cls(engines, links)
        try:
            with translated(engines.place):
                await migrate(engines)
                await clean_once(engines)
            await store._begin_chain()
        except BaseException:
            await engines.dispose()
            raise
        return store

    @staticmethod
    async def is_blank(url: str) -> bool:
        """Whether there is no database of ours yet; nothing is made."""
        if not _may_be_there(url):
            return True
        engines = connect(url)
        try:
            with translated(engines.place):
                return await is_blank(engines)
        finally:
            await engines.dispose()

    @classmethod
    def as_it_is(cls, url: str, *, links: Links) -> SqlStore:
        """To look at alone: nothing is brought up to date."""
        return cls(connect(url), links)

    async def _begin_chain(self) -> None:
        async with self.look() as tx:
            if await tx.chain.ends() is not None:
                return
        async with self.begin() as tx:
            await tx.chain.begun()

    async def close(self) -> None:
        """Close every connection."""
        await self._engines.dispose()

    @asynccontextmanager
    async def begin(self, *, synced: bool = False) -> AsyncIterator[SqlTransaction]:
        """A transaction that commits when the block ends well, to the disk if `synced`; writers wait for each other."""
        async with self._in_turn(synced=synced) as connection:
            transaction = SqlTransaction(connection, self._links)
            yield transaction
            await transaction.chain.settle()

    @asynccontextmanager
    async def look(self) -> AsyncIterator[SqlTransaction]:
        """One moment of everything, to read."""
        async with self._connected(self._engines.reads) as connection:
            yield SqlTransaction(connection, self._links)

    async def claim(self, tenant: str, *, holder: str, for_s: float) -> Lease | None:
        """The lease of a tenant, if it is free."""
        token = secrets.token_hex(8)
        async with self._connected(self._engines.writes) as connection:
            won = await connection.execute(leases.claim(tenant, holder=holder, token=token, for_s=for_s))
            until = won.scalar_one_or_none()
        return None if until is None else Lease(tenant=tenant, holder=holder, token=token, until=_moment(until))

    async def claim_work(self, tenant: str, *, holder: str, for_s: float) -> Lease | None:
        """The lease for works on that name, if it is free."""
        token = secrets.token_hex(8)
        async with self._in_turn() as connection:
            until = await leases.claim_work(connection, tenant, holder=holder, token=token, for_s=for_s)
        if until is None:
            return None
        return Lease(tenant=tenant, holder=holder, token=token, until=_moment(until), work=True)

    async def record_work(self, lease: Lease, operation: Operation) -> None:
        """Write how a work stands; nothing is written once the lease is another's."""
        async with self._in_turn() as connection:
            if not await leases.works(connection, lease):
                raise rules.stale(lease)
            await SqlTransaction(connection, self._links).put_operation(operation)

    async def renew(self, lease: Lease, *, for_s: float) -> Lease:
        """The same lease for longer."""
        async with self._connected(self._engines.writes) as connection:
            if lease.work:
                until = await leases.renew_work(connection, lease, for_s=for_s)
            else:
                until = (await connection.execute(leases.renew(lease, for_s=for_s))).scalar_one_or_none()
        if until is None:
            raise rules.stale(lease)
        return replace(lease, until=_moment(until))

    async def release(self, lease: Lease) -> None:
        """Give it back."""
        async with self._connected(self._engines.writes) as connection:
            await connection.execute(leases.release_work(lease) if lease.work else leases.release(lease))

    async def record(self, lease: Lease, seen: Seen, operations: Sequence[Operation] = ()) -> None:
        """Write what was seen; nothing is written once the lease is another's."""
        async with self._connected(self._engines.writes) as connection:
            written = await connection.execute(leases.held(lease).values(rows.seen_values(seen)))
            if not written.rowcount:
                raise rules.stale(lease)
            for operation in operations:
                await SqlTransaction(connection, self._links).put_operation(operation)

    async def erase(
        self, lease: Lease, tenant_id: str, operations: Sequence[Operation], entry: Entry, *, issue: Issue | None = None
    ) -> None:
        """Drop the tenant; nothing is dropped once the lease is another's."""
        async with self.begin(synced=True) as transaction:
            rows = await transaction.erasures.counted(lease.tenant, tenant_id) if issue else {}
            if not await transaction.drop_held(lease, tenant_id):
                raise rules.stale(lease)
            for operation in operations:
                await transaction.put_operation(operation)
            if issue:
                await transaction.erasures.drop_rows(lease.tenant, tenant_id)
                receipt = issue(rows, rules.head_of(await transaction.chain.begun()))
                await transaction.erasures.put(receipt)
                entry = rules.with_receipt(entry, receipt)
            await transaction.audit(entry)

    async def scrub(self) -> bool:
        """Move all that is written into the database itself, and empty the log of it."""
        with translated(self._engines.place):
            return await emptied_log(self._engines)

    async def touch(self, activity: Mapping[str, datetime]) -> None:
        """Write down when tenants were last active."""
        name: BindParameter[str] = bindparam("tenant")
        at: BindParameter[str] = bindparam("at")
        column = tables.tenants.c
        earlier = or_(column.last_activity.is_(None), column.last_activity < at)
        later = update(tables.tenants).where(column.name == name, earlier).values(last_activity=at)
        # In one order, so that two who do this at once wait for each other instead of for ever.
        values = [{"tenant": tenant, "at": rows.stamp(moment)} for tenant, moment in sorted(activity.items())]
        if values:
            async with self._connected(self._engines.writes) as connection:
                await connection.execute(later, values)

    async def remember(self, pasts: Mapping[str, Past]) -> None:
        """Write down what was measured of tenants."""
        column = tables.tenants.c
        name: BindParameter[str] = bindparam("tenant")
        later = update(tables.tenants).where(column.name == name).values(past=bindparam("measured"))
        values = [{"tenant": tenant, "measured": rows.past_text(past)} for tenant, past in sorted(pasts.items())]
        if values:
            async with self._connected(self._engines.writes) as connection:
                await connection.execute(later, values)

    async def forget(self, *, before: datetime) -> int:
        """Drop ended operations and receipts older than that."""
        kept_from = rows.stamp(before)
        operation, receipt = tables.operations.c, tables.receipts.c
        async with self._connected(self._engines.writes) as connection:
            old = await connection.execute(delete(tables.receipts).where(receipt.created_at < kept_from))
            ended = await connection.execute(
                delete(tables.operations).where(operation.status.in_(_ENDED), operation.updated_at < kept_from)
            )
        return old.rowcount + ended.rowcount

    @asynccontextmanager
    async def _in_turn(self, *, synced: bool = False) -> AsyncIterator[AsyncConnection]:
        async with self._connected(self._engines.synced if synced else self._engines.writes) as connection:
            await self._engines.wait_for_turn(connection)
            yield connection

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        with translated(self._engines.place):
            async with engine.begin() as connection:
                yield connection


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _may_be_there(url: str) -> bool:
    where = make_url(url)
    return where.get_backend_name() != "sqlite" or Path(where.database or "").exists()
