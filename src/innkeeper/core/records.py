"""The use cases of the audit trail: checked, cut, handed out, and told of who has looked into a tenant's data."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from innkeeper.core.access import SYSTEM, Actor
from innkeeper.core.audit import entry
from innkeeper.core.checking import Checker, Head, Verdict
from innkeeper.core.copies import copy_of
from innkeeper.core.errors import Invalid
from innkeeper.core.ports import Clock, Store
from innkeeper.core.tenant import Tenant
from innkeeper.core.trail import Ends, Line, Links, Sought

PAGE = 250
"""So many lines are checked between two turns of others, the gate above all: some milliseconds."""
CUT_AT_ONCE = 1000
CUT_NOT_BEFORE = timedelta(days=1)
"""Retention waits until the oldest line is so much too old, for each cut is a line of its own."""
LOOKED_FOR_S = 60.0
"""Whoever looks again so soon has been told of."""
_HEAD = re.compile(r"([1-9][0-9]{0,17}):([A-Za-z0-9_-]{16,128})")


class Look(StrEnum):
    """What somebody of the house looked at."""

    LOG = "log"
    CHAT = "chat"
    INBOX = "inbox"
    EGRESS = "egress"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The last check of this process."""

    at: datetime
    verdict: Verdict


class Records:
    """Looks after the trail."""

    def __init__(self, *, store: Store, links: Links, clock: Clock) -> None:
        self._store = store
        self._links = links
        self._clock = clock
        self._turn = asyncio.Lock()
        self._looks: dict[tuple[str, str, Look], datetime] = {}
        self.checked: Checked | None = None

    # --- whether it is as it was written ----------------------------------------------------------------------------

    async def verify(
        self, *, head: Head | None = None, tell: Callable[[int, int], object] = lambda done, of: None
    ) -> Verdict:
        """Go along the whole trail, page by page; lines that are added meanwhile are looked at, too. One at a time.

        `head`: one that was noted earlier, which must be part of it. `tell` hears how many lines of how many are done.
        """
        async with self._turn:
            ends, lines = await self._page(None)
            checker = Checker(self._links, ends, head=head)
            while lines and not checker.is_over:
                checker.take(lines)
                tell(checker.at, max(checker.at, ends.last if ends else 0))
                ends, lines = await self._page(lines[-1].number)
                checker.follow(ends)
            verdict = checker.end(ends)
            self.checked = Checked(at=self._clock.now(), verdict=verdict)
        return verdict

    async def glance(self) -> str | None:
        """What is wrong with the trail's end, which takes two rows to tell; None: nothing."""
        async with self._store.look() as tx:
            ends = await tx.chain.ends()
            found = await tx.chain.lines(limit=1, newest_first=True)
        if ends is None:
            return "it isn't written down any more where the trail begins and ends"
        if not ends.holds(self._links):
            return "where the trail begins and ends was written by somebody else"
        last = (found[0].number, found[0].link) if found else (ends.cut, ends.cut_link)
        if last != (ends.last, ends.last_link):
            return f"the last line is number {last[0]}, and number {ends.last} was written"
        return None

    async def _page(self, after: int | None) -> tuple[Ends | None, Sequence[Line]]:
        async with self._store.look() as tx:
            return await tx.chain.ends(), await tx.chain.lines(after=after, limit=PAGE)

    # --- for people -------------------------------------------------------------------------------------------------

    async def lines(self, sought: Sought, *, after: int | None, limit: int, newest_first: bool) -> Sequence[Line]:
        """One page of what is sought."""
        async with self._store.look() as tx:
            return await tx.chain.lines(sought, after=after, limit=limit, newest_first=newest_first)

    async def copies(self, sought: Sought) -> AsyncIterator[Sequence[Mapping[str, object]]]:
        """All that is sought, page by page, each line with its link and the one that it is tied to."""
        after = None
        while True:
            async with self._store.look() as tx:
                lines = await tx.chain.lines(sought, after=after, limit=PAGE)
                ends = await tx.chain.ends() or Ends()
                links = {line.number: line.link for line in lines}
                links |= await tx.chain.links([each.number - 1 for each in lines if each.number - 1 not in links])
            if not lines:
                return
            links.setdefault(ends.cut, ends.cut_link)
            yield [copy_of(line, previous=links.get(line.number - 1)) for line in lines]
            after = lines[-1].number

    async def export(self, actor: Actor, sought: Sought, *, tenant: Tenant | None) -> None:
        """Write down that somebody takes a copy of it."""
        asked = {name: str(value) for name, value in vars(sought).items() if value is not None}
        async with self._store.begin() as tx:
            await tx.audit(entry(actor, "audit.export", at=self._clock.now(), of=tenant, detail=asked))

    async def looked(self, actor: Actor, tenant: Tenant, what: Look) -> None:
        """Write down that one of the house, whom no membership entitles to it, looks at what is the tenant's own."""
        if actor.role is None:
            return
        now, look = self._clock.now(), (actor.id, tenant.id, what)
        self._looks = {each: at for each, at in self._looks.items() if (now - at).total_seconds() < LOOKED_FOR_S}
        if look in self._looks:
            return
        async with self._store.begin() as tx:
            await tx.audit(entry(actor, "tenant.looked", at=now, of=tenant, detail={"what": what}))
        self._looks[look] = now

    # --- retention --------------------------------------------------------------------------------------------------

    async def prune(self, *, before: datetime) -> int:
        """Take off the lines that are older than that, and leave one that says so; how many.

        A trail of which what would go isn't as it was written stays whole: that is evidence.
        """
        dropped = some = await self._prune(before - CUT_NOT_BEFORE, then_all_before=before)
        while some == CUT_AT_ONCE:
            some = await self._prune(before, then_all_before=before)
            dropped += some
        return dropped

    async def _prune(self, oldest_before: datetime, *, then_all_before: datetime) -> int:
        async with self._store.begin() as tx:
            ends, lines = await tx.chain.ends(), await tx.chain.lines(limit=CUT_AT_ONCE)
            old = _older(lines, then_all_before)
            if ends is None or not ends.holds(self._links) or not _older(old[:1], oldest_before):
                return 0
            checker = Checker(self._links, ends)
            checker.take(old)
            if checker.faulty:
                self.checked = Checked(at=self._clock.now(), verdict=checker.end(None))
                return 0
            await tx.chain.cut(old[-1])
            detail = {
                "first": old[0].number,
                "last": old[-1].number,
                "lines": len(old),
                "before": then_all_before.isoformat(),
            }
            await tx.audit(entry(SYSTEM, "audit.pruned", at=self._clock.now(), detail=detail))
        return len(old)


def _older(lines: Sequence[Line], than: datetime) -> Sequence[Line]:
    """The first of them that are older; nothing is taken out of the middle."""
    for index, line in enumerate(lines):
        if not _is_older(line["at"] or "", than):
            return lines[:index]
    return lines


def _is_older(at: str, than: datetime) -> bool:
    try:
        return datetime.fromisoformat(at) < than
    except (ValueError, TypeError):
        return False  # not as it was written: it stays, with all that follows


def head_of(text: str) -> Head:
    """A head as it was noted; raises Invalid."""
    found = _HEAD.fullmatch(text.strip())
    if found is None:
        raise Invalid("That is no head of a trail.", field="head", hint="Like 1234:LINK, as a check has told it.")
    return Head(number=int(found[1]), link=found[2])
