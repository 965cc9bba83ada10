"""The core's `Chain` on a SQL connection: the trail, line by line, and where it begins and ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, LargeBinary, Select, cast, delete, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from innkeeper.core.audit import Entry
from innkeeper.core.trail import BEGINNING, COLUMNS, EVERYTHING, Ends, Line, Links, Sought
from innkeeper.store import rows, rules, tables

_AT_ONCE = 1000
_column = tables.audit.c


class SqlChain:
    """Appends to the trail and reads it. Only transactions that hold the writers' turn may append."""

    def __init__(self, connection: AsyncConnection, links: Links) -> None:
        self._connection = connection
        self._links = links
        self._ends: Ends | None = None
        self._moved = False

    async def append(self, entry: Entry) -> None:
        """Tie the entry to the last line: its number is the next, so that a gap is a line that was taken away."""
        ends = self._ends or await self.begun()  # nobody else writes until this transaction has ended
        number = ends.last + 1
        values = rows.entry_values(entry)
        link = Line(number, _texts(values), None).link_after(ends.last_link, self._links)
        await self._connection.execute(insert(tables.audit).values(number=number, link=link, **values))
        self._ends, self._moved = ends.moved(self._links, last=number, last_link=link), True

    async def settle(self) -> None:
        """Write down where the chain ends now: once for all that a transaction adds, as the last that it does."""
        if self._ends is not None and self._moved:
            change = update(tables.audit_ends).where(tables.audit_ends.c.id == 1).values(**vars(self._ends))
            await self._connection.execute(change)

    async def ends(self) -> Ends | None:
        if self._ends is not None:
            return self._ends
        row = (await self._connection.execute(select(*_ENDS).where(tables.audit_ends.c.id == 1))).first()
        return None if row is None else Ends(**row._mapping)

    async def begun(self) -> Ends:
        """The ends; where there are none, those of a chain that begins here.

        Lines from before there were links are tied together as they stand. Where lines have links the ends were taken
        away: then they get some without a seal, which no check lets pass.
        """
        if (ends := await self.ends()) is not None:
            return ends
        linked = select(_column.number).where(_column.link.is_not(None)).order_by(_column.number.desc()).limit(1)
        if (await self._connection.execute(linked)).first() is not None:
            last = (await self.lines(newest_first=True, limit=1))[0]
            ends = Ends(last=last.number, last_link=last.link or BEGINNING)
        else:
            ends = (await self._tied()).sealed(self._links)
        await self._connection.execute(insert(tables.audit_ends).values(id=1, **vars(ends)))
        return ends

    async def _tied(self) -> Ends:
        last, link = 0, BEGINNING
        while lines := await self.lines(after=last, limit=_AT_ONCE):
            for line in lines:
                link = line.link_after(link, self._links)
                change = update(tables.audit).where(_column.number == line.number).values(link=link)
                await self._connection.execute(change)
            last = lines[-1].number
        return Ends(began=last, last=last, last_link=link)

    async def lines(
        self, sought: Sought = EVERYTHING, *, after: int | None = None, limit: int = 100, newest_first: bool = False
    ) -> Sequence[Line]:
        query = self._lines().where(*_where(sought)).limit(limit)
        if newest_first:
            query = query.order_by(_column.number.desc())
            query = query if after is None else query.where(_column.number < literal(after, BigInteger))
        else:
            query = query.order_by(_column.number)
            query = query if after is None else query.where(_column.number > literal(after, BigInteger))
        return await self._read(query)

    async def links(self, numbers: Sequence[int]) -> Mapping[int, str | None]:
        query = select(_column.number, _column.link).where(_column.number.in_(numbers))
        found = await self._connection.execute(query)
        return {row.number: row.link for row in found}

    async def cut(self, last: Line) -> None:
        ends = await self.begun()
        await self._connection.execute(delete(tables.audit).where(_column.number <= last.number))
        self._ends = ends.moved(self._links, cut=last.number, cut_link=last.link or BEGINNING)
        self._moved = True

    async def erasure_by(self, operation_id: str) -> Entry | None:
        """The last entry `tenant.erased` that names this operation."""
        named = _column.detail.contains(f'"{operation_id}"', autoescape=True)
        query = self._lines().where(_column.action == rules.ERASED, named).order_by(_column.number.desc()).limit(1)
        found = await self._read(query)
        return rows.entry_of(found[0]) if found else None

    async def was_deleted(self, tenant_id: str) -> bool:
        """Whether the trail says so."""
        query = select(_column.number).where(_column.tenant_id == tenant_id, _column.action == rules.ERASED)
        return (await self._connection.execute(query.limit(1))).first() is not None

    def _lines(self) -> Select[Any]:
        columns: list[ColumnElement[Any]] = [_column[name] for name in (*COLUMNS, "link")]
        if self._connection.dialect.name == "sqlite":
            # A changed byte may be none that a text can hold, and would keep the whole page from being read.
            columns = [cast(column, LargeBinary) for column in columns]
        return select(_column.number, *columns)

    async def _read(self, query: Select[Any]) -> list[Line]:
        found = await self._connection.execute(query)
        if self._connection.dialect.name != "sqlite":
            return [Line(row[0], tuple(row[1:-1]), row[-1]) for row in found]
        lines = []
        for number, *raw in found:
            texts = [None if each is None else each.decode("utf-8", "surrogateescape") for each in raw]
            lines.append(Line(number, tuple(texts[:-1]), texts[-1]))
        return lines


_ENDS = [column for column in tables.audit_ends.c if column.name != "id"]


def _texts(values: Mapping[str, object]) -> tuple[str | None, ...]:
    return tuple(None if values[name] is None else str(values[name]) for name in COLUMNS)


def _where(sought: Sought) -> list[ColumnElement[bool]]:
    found = [_column[name] == value for name, value in sought.equal().items()]
    if (prefix := sought.action_prefix) is not None:  # as a range: SQLite's LIKE doesn't tell A from a
        found += [_column.action >= prefix, _column.action < rules.after_all_of(prefix)]
    if sought.since is not None:
        found.append(_column.at >= rows.stamp(sought.since))
    if sought.until is not None:
        found.append(_column.at < rows.stamp(sought.until))
    return found
