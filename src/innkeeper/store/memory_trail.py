"""The core's `Chain` on a plain dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from innkeeper.core.audit import Entry
from innkeeper.core.trail import BEGINNING, COLUMNS, EVERYTHING, Ends, Line, Links, Sought
from innkeeper.store import rows, rules
from innkeeper.store.memory_tables import Tables


class MemoryChain:
    """Appends to the trail and reads it."""

    def __init__(self, tables: Tables, links: Links) -> None:
        self._tables = tables
        self._links = links

    async def append(self, entry: Entry) -> None:
        """Tie the entry to the last line."""
        ends = self.begun()
        values = rows.entry_values(entry)
        texts = tuple(None if values[name] is None else str(values[name]) for name in COLUMNS)
        line = Line(ends.last + 1, texts, None)
        line = replace(line, link=line.link_after(ends.last_link, self._links))
        self._tables.trail[line.number] = line
        self._tables.ends[:] = [ends.moved(self._links, last=line.number, last_link=line.link or "")]

    async def ends(self) -> Ends | None:
        return self._tables.ends[0] if self._tables.ends else None

    def begun(self) -> Ends:
        """The ends; where there are none, those of a chain that begins here."""
        if not self._tables.ends:
            last = max(self._tables.trail, default=0)
            lost = Ends(last=last, last_link=self._tables.trail[last].link or "") if last else None
            self._tables.ends.append(lost or Ends().sealed(self._links))
        return self._tables.ends[0]

    async def lines(
        self, sought: Sought = EVERYTHING, *, after: int | None = None, limit: int = 100, newest_first: bool = False
    ) -> Sequence[Line]:
        trail = self._tables.trail
        found: list[Line] = []
        for number in sorted(trail, reverse=newest_first):
            beyond = after is None or (number < after if newest_first else number > after)
            if beyond and len(found) < limit and _is_sought(trail[number], sought):
                found.append(trail[number])
        return found

    async def links(self, numbers: Sequence[int]) -> Mapping[int, str | None]:
        trail = self._tables.trail
        return {number: trail[number].link for number in numbers if number in trail}

    async def cut(self, last: Line) -> None:
        ends = self.begun()
        for number in [each for each in self._tables.trail if each <= last.number]:
            del self._tables.trail[number]
        self._tables.ends[:] = [ends.moved(self._links, cut=last.number, cut_link=last.link or BEGINNING)]

    async def erasure_by(self, operation_id: str) -> Entry | None:
        """The last entry `tenant.erased` that names this operation."""
        for _, line in sorted(self._tables.trail.items(), reverse=True):
            entry = rows.entry_of(line)
            if entry.action == rules.ERASED and operation_id in cast("list[str]", entry.detail.get("operations", [])):
                return entry
        return None

    async def was_deleted(self, tenant_id: str) -> bool:
        """Whether the trail says so."""
        trail = self._tables.trail.values()
        return any(line["tenant_id"] == tenant_id and line["action"] == rules.ERASED for line in trail)


def _is_sought(line: Line, sought: Sought) -> bool:
    at = line["at"] or ""
    return (
        all(line[name] == value for name, value in sought.equal().items())
        and (sought.action_prefix is None or (line["action"] or "").startswith(sought.action_prefix))
        and (sought.since is None or at >= rows.stamp(sought.since))
        and (sought.until is None or at < rows.stamp(sought.until))
    )
