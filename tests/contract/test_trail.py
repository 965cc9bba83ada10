"""The trail, whatever keeps it: found as it was written, and every change by somebody else named."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from innkeeper.core.access import ADMIN, SYSTEM, Actor, ActorKind
from innkeeper.core.audit import Entry
from innkeeper.core.audit import entry as entry_by
from innkeeper.core.checking import FaultKind, Head, Verdict
from innkeeper.core.copies import check_copies
from innkeeper.core.ports import Store
from innkeeper.core.records import CUT_AT_ONCE, PAGE, Records
from innkeeper.core.trail import Sought
from innkeeper.store.memory import MemoryStore
from innkeeper.store.sql import SqlStore
from tests.store.databases import DATABASES, DRIVERS, database
from tests.store.examples import NOON, tenant
from tests.support.house import TurnedClock
from tests.support.links import LINKS

ALICE = tenant("alice")


@dataclass
class Archive:
    """A store, what looks after its trail, and a way to reach past both."""

    store: Store
    records: Records
    clock: TurnedClock
    url: str | None

    async def write(self, count: int, *, at: Callable[[int], Any] = lambda number: NOON) -> None:
        """So many lines more."""
        async with self.store.begin() as tx:
            for number in range(count):
                detail = {"number": number, "grüß": "\ud800\0"}
                await tx.audit(entry_by(ADMIN, "tenant.update", at=at(number), of=ALICE, detail=detail))

    async def tamper(self, *statements: str) -> None:
        """Change the database as somebody with a client of it would."""
        assert self.url is not None
        engine = create_async_engine(self.url)
        async with engine.begin() as connection:
            for statement in statements:
                await connection.exec_driver_sql(statement)
        await engine.dispose()

    async def faults(self) -> list[tuple[int | None, FaultKind]]:
        """What a check finds."""
        return [(fault.number, fault.kind) for fault in (await self.records.verify()).faults]


async def _archive(driver: str, folder: Path) -> AsyncIterator[Archive]:
    clock = TurnedClock()
    if driver == "memory":
        memory = MemoryStore(clock, links=LINKS)
        yield Archive(memory, Records(store=memory, links=LINKS, clock=clock), clock, None)
        return
    async with database(driver, folder) as url:
        store = await SqlStore.open(url, links=LINKS)
        yield Archive(store, Records(store=store, links=LINKS, clock=clock), clock, url)
        await store.close()


@pytest.fixture(params=DRIVERS)
async def archive(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Archive]:
    async for archive in _archive(request.param, tmp_path):
        yield archive


@pytest.fixture(params=DATABASES)
async def database_archive(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Archive]:
    async for archive in _archive(request.param, tmp_path):
        yield archive


# --- as it was written ------------------------------------------------------------------------------------------------


async def test_an_empty_trail_is_in_order(archive: Archive) -> None:
    verdict = await archive.records.verify()
    assert (verdict.rows, verdict.first, verdict.last, verdict.head) == (0, None, None, None)
    assert verdict.ok
    assert await archive.records.glance() is None


async def test_what_was_written_is_in_order_over_many_pages(archive: Archive) -> None:
    await archive.write(PAGE + 3)
    told: list[tuple[int, int]] = []
    verdict = await archive.records.verify(tell=lambda done, of: told.append((done, of)))
    assert (verdict.ok, verdict.rows, verdict.first, verdict.last) == (True, PAGE + 3, 1, PAGE + 3)
    assert told == [(PAGE, PAGE + 3), (PAGE + 3, PAGE + 3)]
    assert await archive.records.glance() is None


async def test_every_field_comes_back(archive: Archive) -> None:
    actor = Actor(kind=ActorKind.USER, id="usr_1", address="2001:db8::1", request="req_1")
    line = entry_by(actor, "tenant.update", at=NOON, of=ALICE, before={"a": [1]}, after={"a": "\0 \ud800"})
    async with archive.store.begin() as tx:
        await tx.audit(line)
    async with archive.store.look() as tx:
        assert await tx.trail() == [(1, line)]
        assert await tx.chain.links([0, 1, 2]) == {1: (await tx.chain.lines())[0].link}


async def test_a_transaction_that_fails_leaves_no_gap(archive: Archive) -> None:
    await archive.write(2)
    with pytest.raises(RuntimeError, match="the change itself failed"):
        await _failing(archive)
    await archive.write(2)
    async with archive.store.look() as tx:
        assert [line.number for line in await tx.chain.lines()] == [1, 2, 3, 4]
    assert (await archive.records.verify()).ok


async def _failing(archive: Archive) -> None:
    async with archive.store.begin() as tx:
        await tx.audit(Entry(at=NOON, actor="admin", action="tenant.create", tenant="bob"))
        raise RuntimeError("the change itself failed")


async def test_writers_at_once_make_one_chain(archive: Archive) -> None:
    await asyncio.gather(*(archive.write(3) for _ in range(12)))
    verdict = await archive.records.verify()
    assert (verdict.ok, verdict.rows, verdict.last) == (True, 36, 36)


async def test_two_control_planes_make_one_chain(database_archive: Archive) -> None:
    assert database_archive.url is not None
    other = await SqlStore.open(database_archive.url, links=LINKS)
    theirs = replace(database_archive, store=other)
    await asyncio.gather(*(each.write(2) for each in (database_archive, theirs) * 8))
    await other.close()
    verdict = await database_archive.records.verify()
    assert (verdict.ok, verdict.rows, verdict.last) == (True, 32, 32)


async def test_lines_that_come_during_a_check_are_checked_too(archive: Archive) -> None:
    await archive.write(PAGE + 1)
    wrote: list[asyncio.Task[None]] = []

    def tell(done: int, of: int) -> None:
        if not wrote:
            wrote.append(asyncio.ensure_future(archive.write(2)))

    verdict = await archive.records.verify(tell=tell)
    await wrote[0]
    assert verdict.ok
    assert verdict.last in (PAGE + 1, PAGE + 3)


# --- what is sought ---------------------------------------------------------------------------------------------------


async def test_filters_and_both_orders(archive: Archive) -> None:
    user = Actor(kind=ActorKind.USER, id="usr_1", request="req_1")
    earlier = tenant("alice", id="t_before")
    async with archive.store.begin() as tx:
        for hour, (actor, action, of) in enumerate([
            (ADMIN, "tenant.create", earlier), (user, "tenant.sleep", earlier), (SYSTEM, "tenant.erased", earlier),
            (ADMIN, "tenant.create", ALICE), (user, "key.create", ALICE), (user, "tenantry.look", None),
        ]):  # fmt: skip
            await tx.audit(entry_by(actor, action, at=NOON + timedelta(hours=hour), of=of))

    async def found(**sought: Any) -> list[int]:
        async with archive.store.look() as tx:
            return [line.number for line in await tx.chain.lines(Sought(**sought))]

    assert await found(tenant="alice") == [1, 2, 3, 4, 5]
    assert await found(tenant_id=ALICE.id) == [4, 5]
    assert await found(actor="usr_1", tenant="alice") == [2, 5]
    assert await found(kind="system") == [3]
    assert await found(request="req_1") == [2, 5, 6]
    assert await found(action="tenant.") == [1, 2, 3, 4]
    assert await found(action="tenant.create") == [1, 4]
    assert await found(action="Tenant.") == []
    assert await found(action="tenant") == []
    assert await found(since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=3)) == [2, 3]
    async with archive.store.look() as tx:
        assert await tx.chain.lines(after=10**18 - 1) == []
        assert len(await tx.chain.lines(after=10**18 - 1, newest_first=True)) == 6
        newest = await tx.chain.lines(limit=2, newest_first=True)
        assert [line.number for line in newest] == [6, 5]
        await archive.write(1)  # of a list that goes back in time, the next page is what it would have been
        assert [each.number for each in await tx.chain.lines(after=5, limit=2, newest_first=True)] == [4, 3]


# --- as somebody else would have it -----------------------------------------------------------------------------------

copied = (
    "INSERT INTO audit (number, at, actor, kind, action, tenant, tenant_id, detail, link) "
    "SELECT {}, at, actor, kind, action, tenant, tenant_id, detail, link FROM audit WHERE number = 4"
)
CHANGES = {
    "a text": ("UPDATE audit SET actor = 'nobody' WHERE number = 4", [(4, FaultKind.CHANGED)]),
    "one letter within what is told": (
        "UPDATE audit SET detail = REPLACE(detail, '\"number\":3', '\"number\":7') WHERE number = 4",
        [(4, FaultKind.CHANGED)],
    ),
    "something that was null": ("UPDATE audit SET after = '{}' WHERE number = 4", [(4, FaultKind.CHANGED)]),
    "null instead of something": ("UPDATE audit SET tenant = NULL WHERE number = 4", [(4, FaultKind.CHANGED)]),
    "the moment": ("UPDATE audit SET at = REPLACE(at, '2026', '2025') WHERE number = 1", [(1, FaultKind.CHANGED)]),
    "one value moved to its neighbour": (
        "UPDATE audit SET address = tenant, tenant = NULL WHERE number = 4",
        [(4, FaultKind.CHANGED)],
    ),
    "the link": (
        "UPDATE audit SET link = REPLACE(REPLACE(link, 'a', 'b'), '1', '2') WHERE number = 4",
        [(4, FaultKind.LINK_CHANGED)],
    ),
    "the last one's link": (
        "UPDATE audit SET link = REPLACE(REPLACE(link, 'a', 'b'), '1', '2') WHERE number = 9",
        [(9, FaultKind.LINK_CHANGED)],
    ),
    "the link taken away": ("UPDATE audit SET link = NULL WHERE number = 4", [(4, FaultKind.UNLINKED)]),
    "all links taken away from there": (
        "UPDATE audit SET link = NULL WHERE number > 6",
        [(7, FaultKind.UNLINKED), (8, FaultKind.UNLINKED), (9, FaultKind.UNLINKED)],
    ),
    "a line taken out": ("DELETE FROM audit WHERE number = 4", [(4, FaultKind.MISSING)]),
    "two of them": ("DELETE FROM audit WHERE number IN (4, 7)", [(4, FaultKind.MISSING), (7, FaultKind.MISSING)]),
    "some at the end": ("DELETE FROM audit WHERE number > 6", [(7, FaultKind.MISSING)]),
    "some at the beginning": ("DELETE FROM audit WHERE number < 4", [(1, FaultKind.MISSING)]),
    "all": ("DELETE FROM audit", [(1, FaultKind.MISSING)]),
    "a line copied to the end": (copied.format(10), [(10, FaultKind.ADDED)]),
    "a line before the beginning": (copied.format(-1), [(-1, FaultKind.ADDED)]),
    "another number": (
        "UPDATE audit SET number = 100 WHERE number = 4",
        [(4, FaultKind.MISSING), (100, FaultKind.ADDED)],
    ),
    "the ends forgotten": ("DELETE FROM audit_ends", [(None, FaultKind.ENDS)]),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_named(database_archive: Archive, change: str) -> None:
    await database_archive.write(9)
    statement, faults = CHANGES[change]
    await database_archive.tamper(statement)
    assert await database_archive.faults() == faults


@pytest.mark.parametrize(("one", "other"), [(4, 5), (2, 8), (1, 9)])
async def test_lines_that_changed_places(database_archive: Archive, one: int, other: int) -> None:
    await database_archive.write(9)
    await database_archive.tamper(
        *(
            f"UPDATE audit SET number = {to} WHERE number = {number}"  # noqa: S608 - the test's own numbers
            for number, to in ((one, 1000), (other, one), (1000, other))
        )
    )
    assert await database_archive.faults() == [(one, FaultKind.MOVED), (other, FaultKind.MOVED)]


async def test_lines_cut_off_with_the_end_moved(database_archive: Archive) -> None:
    await database_archive.write(9)
    await database_archive.tamper(
        "DELETE FROM audit WHERE number > 6",
        "UPDATE audit_ends SET last = 6, last_link = (SELECT link FROM audit WHERE number = 6)",
    )
    assert await database_archive.faults() == [(None, FaultKind.ENDS)]
    await database_archive.write(1)  # goes on, and doesn't make good what isn't
    assert (None, FaultKind.ENDS) in await database_archive.faults()
    assert await database_archive.records.glance() is not None


async def test_the_end_forgotten_isnt_made_anew_as_if_nothing_were(database_archive: Archive) -> None:
    await database_archive.write(9)
    await database_archive.tamper("DELETE FROM audit WHERE number > 6", "DELETE FROM audit_ends")
    assert database_archive.url is not None
    await (await SqlStore.open(database_archive.url, links=LINKS)).close()
    await database_archive.write(1)
    assert (None, FaultKind.ENDS) in await database_archive.faults()


async def test_no_more_faults_are_named_than_anybody_reads(database_archive: Archive) -> None:
    await database_archive.write(60)
    await database_archive.tamper("UPDATE audit SET actor = 'nobody' WHERE number > 10")
    verdict = await database_archive.records.verify()
    assert ([fault.number for fault in verdict.faults], verdict.more) == (list(range(11, 31)), True)


async def test_a_head_that_was_noted_is_part_of_it_or_isnt(database_archive: Archive) -> None:
    archive = database_archive
    await archive.write(5)
    noted = (await archive.records.verify()).head
    assert noted is not None
    await archive.write(5)
    assert (await archive.records.verify(head=noted)).ok
    assert (await archive.records.verify(head=Head(number=11, link=noted.link))).faults[0].kind is FaultKind.HEAD
    assert (await archive.records.verify(head=Head(number=4, link=noted.link))).faults[0].number == 4
    # Whoever brings back an older copy of everything is found by what was noted elsewhere alone.
    await archive.tamper("CREATE TABLE ends_before AS SELECT * FROM audit_ends")
    await archive.write(1)
    newest = (await archive.records.verify()).head
    await archive.tamper(
        "DELETE FROM audit WHERE number > 10",
        "DELETE FROM audit_ends",
        "INSERT INTO audit_ends SELECT * FROM ends_before",
    )
    assert (await archive.records.verify()).ok
    assert (await archive.records.verify(head=newest)).faults[0].kind is FaultKind.HEAD


async def test_one_byte_changed_in_the_file(tmp_path: Path) -> None:
    async for archive in _archive("sqlite", tmp_path):
        await archive.write(40)
        async with archive.store.begin() as tx:
            await tx.audit(entry_by(ADMIN, "tenant.forged", at=NOON, of=ALICE))
        await archive.write(40)
        await archive.store.close()
        file = tmp_path / "innkeeper.db"
        whole = file.read_bytes()
        for instead in (b"tenant.formed", b"tenant.for\xffed"):
            assert whole.count(b"tenant.forged") == 1
            file.write_bytes(whole.replace(b"tenant.forged", instead))
            assert await _checked(archive) == [(41, FaultKind.CHANGED)]
        async with SqlStore.as_it_is(archive.url or "", links=LINKS).look() as tx:
            assert len(await tx.chain.lines()) == 81  # all can still be read
        link = sqlite3.connect(file).execute("SELECT link FROM audit WHERE number = 7").fetchone()[0].encode()
        other = bytes([link[0] ^ 1]) + link[1:]
        file.write_bytes(whole.replace(link, other, 1))
        assert await _checked(archive) == [(7, FaultKind.LINK_CHANGED)]
        file.write_bytes(whole)
        assert await _checked(archive) == []


async def _checked(archive: Archive) -> list[tuple[int | None, FaultKind]]:
    store = SqlStore.as_it_is(archive.url or "", links=LINKS)
    verdict: Verdict = await Records(store=store, links=LINKS, clock=archive.clock).verify()
    await store.close()
    return [(fault.number, fault.kind) for fault in verdict.faults]


# --- from before there was a chain ------------------------------------------------------------------------------------


async def test_lines_from_before_are_tied_when_the_chain_begins(database_archive: Archive) -> None:
    archive = database_archive
    await archive.write(9)
    await archive.tamper(
        "DELETE FROM audit_ends", "DELETE FROM audit WHERE number IN (3, 4)", "UPDATE audit SET link = NULL"
    )  # as an earlier version leaves it; of PostgreSQL's numbers some are missing
    assert archive.url is not None
    await (await SqlStore.open(archive.url, links=LINKS)).close()
    await archive.write(2)
    verdict = await archive.records.verify()
    assert (verdict.ok, verdict.rows, verdict.began, verdict.last) == (True, 9, 9, 11)
    await archive.tamper("DELETE FROM audit WHERE number = 6")
    assert [number for number, _ in await archive.faults()] == [6]


# --- retention --------------------------------------------------------------------------------------------------------


def hourly(number: int) -> Any:
    return NOON + timedelta(hours=number)


async def test_retention_keeps_what_is_left_a_whole(archive: Archive) -> None:
    await archive.write(100, at=hourly)
    first = (await archive.records.verify()).head
    assert await archive.records.prune(before=NOON + timedelta(hours=60)) == 60
    verdict = await archive.records.verify()
    assert (verdict.ok, verdict.rows, verdict.first, verdict.cut) == (True, 41, 61, 60)
    async with archive.store.look() as tx:
        _, told = (await tx.trail(after=100))[0]
    assert (told.action, told.actor, told.detail["lines"]) == ("audit.pruned", "system", 60)
    assert (await archive.records.verify(head=first)).ok
    assert (await archive.records.verify(head=Head(number=9, link="x" * 20))).head_is_cut
    assert await archive.records.prune(before=NOON + timedelta(hours=61)) == 0  # not for every hour
    assert await archive.records.prune(before=NOON + timedelta(days=400)) == 41
    assert (await archive.records.verify()).ok


async def test_retention_goes_in_steps(archive: Archive) -> None:
    await archive.write(CUT_AT_ONCE + 10)
    archive.clock.turn(10 * 86400)
    assert await archive.records.prune(before=NOON + timedelta(days=2)) == CUT_AT_ONCE + 10
    async with archive.store.look() as tx:
        assert [entry.detail["lines"] for _, entry in await tx.trail()] == [CUT_AT_ONCE, 10]
    assert (await archive.records.verify()).ok


async def test_what_was_cut_behind_our_back_is_missing_and_stays_so(database_archive: Archive) -> None:
    await database_archive.write(100, at=hourly)
    await database_archive.records.prune(before=NOON + timedelta(hours=60))
    await database_archive.tamper("DELETE FROM audit WHERE number < 70")
    assert await database_archive.faults() == [(61, FaultKind.MISSING)]
    await database_archive.tamper("UPDATE audit_ends SET cut = 69")
    assert (None, FaultKind.ENDS) in await database_archive.faults()


async def test_evidence_isnt_cut_off(database_archive: Archive) -> None:
    await database_archive.write(100, at=hourly)
    await database_archive.tamper("UPDATE audit SET actor = 'nobody' WHERE number = 20")
    assert await database_archive.records.prune(before=NOON + timedelta(days=9)) == 0
    assert database_archive.records.checked is not None
    assert not database_archive.records.checked.verdict.ok  # for the doctor to tell
    assert await database_archive.faults() == [(20, FaultKind.CHANGED)]


# --- copies -----------------------------------------------------------------------------------------------------------


async def test_copies_can_be_checked_alone(archive: Archive) -> None:
    await archive.write(PAGE + 9, at=hourly)
    await archive.records.prune(before=NOON + timedelta(hours=30))
    copies = [dict(copy) async for page in archive.records.copies(Sought()) for copy in page]
    verdict = check_copies(copies, LINKS)
    assert (verdict.ok, verdict.rows, verdict.gaps) == (True, PAGE + 9 - 30 + 1, 0)
    assert copies[0]["detail"] == {"number": 30, "grüß": "\ud800\0"}
    some = [copies[3], copies[7], copies[8]]
    assert (check_copies(some, LINKS).ok, check_copies(some, LINKS).gaps) == (True, 1)
    assert [fault.number for fault in check_copies([copies[7], copies[3]], LINKS).faults] == [34]
    forged = {**copies[7], "actor": "nobody"}
    assert [fault.number for fault in check_copies([copies[3], forged, copies[8]], LINKS).faults] == [38]
    retied = {**copies[8], "previous": copies[3]["link"]}
    assert [fault.number for fault in check_copies([copies[7], retied], LINKS).faults] == [39]
    odds: list[Any] = [None, [], {}, {"number": "1"}, {**copies[0], "detail": 7}, {**copies[0], "at": {}}]
    for odd in odds:
        assert not check_copies([odd], LINKS).ok
