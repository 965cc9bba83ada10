"""The lease of a tenant as SQL: one guarded UPDATE decides who gets it.

The clock is the database's, the only one that all control planes share: two hosts whose clocks differ by
more than a lease's length would otherwise take each other's tenants.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Delete, Double, Update, and_, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.sql.functions import FunctionElement

from innkeeper.core.ports import LEASE_AT_MOST, Lease
from innkeeper.store.tables import tenants, work_leases


class DatabaseClock(FunctionElement[float]):
    """Seconds since 1970 by the database's clock."""

    inherit_cache = True
    type = Double()


@compiles(DatabaseClock, "sqlite")
def _on_sqlite(_element: DatabaseClock, _compiler: SQLCompiler, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(DatabaseClock, "postgresql")
def _on_postgresql(_element: DatabaseClock, _compiler: SQLCompiler, **_options: Any) -> str:
    # Not now(), which stands still from the beginning of the transaction.
    return "extract(epoch from clock_timestamp())::double precision"


def claim(tenant: str, *, holder: str, token: str, for_s: float) -> ReturningUpdate[float]:
    """Take the lease if nobody has it; the row that comes back is the winner's.

    One that would last for longer than anybody takes it for was taken before the clock was set back: whoever has it and
    lives renews it soon, and whoever is dead must not be waited for.
    """
    return (
        update(tenants)
        .where(
            tenants.c.name == tenant,
            or_(
                tenants.c.lease_token.is_(None),
                tenants.c.lease_until <= DatabaseClock(),
                tenants.c.lease_until > DatabaseClock() + LEASE_AT_MOST.total_seconds(),
            ),
        )
        .values(lease_holder=holder, lease_token=token, lease_until=DatabaseClock() + for_s)
        .returning(tenants.c.lease_until)
    )


def renew(lease: Lease, *, for_s: float) -> ReturningUpdate[float]:
    """Hold it for longer; no row comes back when it is another's."""
    return held(lease).values(lease_until=DatabaseClock() + for_s).returning(tenants.c.lease_until)


def release(lease: Lease) -> Update:
    """Give it back if it is still ours."""
    return held(lease).values(lease_holder=None, lease_token=None, lease_until=None)


def held(lease: Lease) -> Update:
    """An update of the tenant's row that touches nothing once the lease is another's."""
    return update(tenants).where(tenants.c.name == lease.tenant, tenants.c.lease_token == lease.token)


async def claim_work(
    connection: AsyncConnection, tenant: str, *, holder: str, token: str, for_s: float
) -> float | None:
    """Take the lease for works on that name if nobody has it; when it ends. To be called in a writer's turn."""
    column, now = work_leases.c, DatabaseClock()
    over = or_(column.until <= now, column.until > now + LEASE_AT_MOST.total_seconds())
    await connection.execute(delete(work_leases).where(column.tenant == tenant, over))
    if (await connection.execute(select(column.token).where(column.tenant == tenant))).first() is not None:
        return None
    values = {"tenant": tenant, "holder": holder, "token": token, "until": now + for_s}
    await connection.execute(insert(work_leases).values(values))
    return await _work_until(connection, tenant)


async def renew_work(connection: AsyncConnection, lease: Lease, *, for_s: float) -> float | None:
    """Hold it for longer; None when it is another's."""
    longer = update(work_leases).where(_of(lease)).values(until=DatabaseClock() + for_s)
    held_still = (await connection.execute(longer)).rowcount
    return await _work_until(connection, lease.tenant) if held_still else None


async def works(connection: AsyncConnection, lease: Lease) -> bool:
    """Whether it is held still."""
    return (await connection.execute(select(work_leases.c.token).where(_of(lease)))).first() is not None


def release_work(lease: Lease) -> Delete:
    """Give it back if it is still ours."""
    return delete(work_leases).where(_of(lease))


def _of(lease: Lease) -> ColumnElement[bool]:
    return and_(work_leases.c.tenant == lease.tenant, work_leases.c.token == lease.token)


async def _work_until(connection: AsyncConnection, tenant: str) -> float:
    until = select(work_leases.c.until).where(work_leases.c.tenant == tenant)
    return float((await connection.execute(until)).scalar_one())
