"""All that the tables hold of one tenant, found by their columns: a table that is added later is found, too."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Table, or_, select

from innkeeper.store import tables

KEPT = frozenset({tables.audit.name, tables.erasure_receipts.name})
"""What outlives a tenant that is purged: what was done, and that it was erased."""


def tables_with(name: str, tenant_id: str) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """The tables that have to do with tenants, and which of their rows are this one's; those that others hang on come
    last."""
    for table in reversed(tables.metadata.sorted_tables):
        if table.name not in KEPT and (mine := _mine(table, name, tenant_id)) is not None:
            yield table, mine


def _mine(table: Table, name: str, tenant_id: str) -> ColumnElement[bool] | None:
    if table is tables.tenants:
        return table.c.id == tenant_id
    if table is tables.receipts:
        its = select(tables.operations.c.id).where(tables.operations.c.tenant_id == tenant_id)
        return table.c.operation_id.in_(its)
    if any(column.references(tables.tenants.c.name) for column in table.c):
        # It is gone with the tenant of that name, and there is one of a name at a time.
        return or_(*(column == name for column in table.c if column.references(tables.tenants.c.name)))
    name_of_id = next((each for each in ("tenant_id", "owner") if each in table.c), None)
    return None if name_of_id is None else table.c[name_of_id] == tenant_id
