"""Whose turn it is to be drilled: by lot, seldom those who were lately, and one at a time."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.drill import Drill, Outcome
from innkeeper.core.drill_schedule import DrillSchedule, drawn
from innkeeper.core.operations import OperationKind
from innkeeper.core.tenant import Tenant, Wanted
from tests.store.examples import NOON, tenant
from tests.support.drills import Range, a_range

DAY = timedelta(days=1)


@pytest.fixture
async def range_(tmp_path: Path) -> Range:
    return await a_range(tmp_path)


def schedule(range_: Range, every: timedelta | None = DAY) -> DrillSchedule:
    house = range_.house
    return DrillSchedule(
        every=every,
        works=range_.works,
        catalogue=range_.catalogue,
        directory=house.directory,
        store=house.store,
        clock=house.clock,
        lots=random.Random(1),
    )


def drill(of: Tenant, began_at: Any, number: int = 1) -> Drill:
    return Drill(
        id=f"op_{number}",
        tenant=of.name,
        tenant_id=of.id,
        snapshot="5e",
        target="local",
        taken_at=began_at,
        began_at=began_at,
        ended_at=began_at,
        outcome=Outcome.PROVEN,
    )


async def test_a_day_after_the_last_the_next_one_is_due(range_: Range) -> None:
    await range_.snapshot()
    began = await schedule(range_).turn()
    assert began is not None
    assert (began.kind, began.tenant) == (OperationKind.DRILL, "alice")
    assert await schedule(range_).turn() is None, "one is open"
    async with range_.house.store.look() as read:
        [line] = [entry for _, entry in await read.trail() if entry.action == "tenant.drill"]
    assert line.actor == "system"
    await range_.carried_out(began)
    assert await schedule(range_).turn() is None
    range_.house.clock.turn(DAY.total_seconds() + 1)
    assert await schedule(range_).turn() is not None


async def test_without_an_interval_none_ever_is(range_: Range) -> None:
    await range_.snapshot()
    assert await schedule(range_, None).turn() is None


async def test_who_has_no_snapshot_isnt_drilled(range_: Range) -> None:
    await range_.house.create("bob")
    await range_.snapshot(of=await range_.tenant("bob"))
    for _ in range(5):
        began = await schedule(range_).turn()
        assert began is not None
        assert began.tenant == "bob"
        await range_.carried_out(began)
        range_.house.clock.turn(2 * DAY.total_seconds())


async def test_nobody_has_one_yet(range_: Range) -> None:
    assert await schedule(range_).turn() is None
    async with range_.house.store.look() as read:
        assert [each for each in await read.operations() if each.kind is OperationKind.DRILL] == []


async def test_one_by_hand_counts_too_and_a_clock_set_back_delays_nothing(range_: Range) -> None:
    await range_.snapshot()
    await range_.drilled()
    assert await schedule(range_).turn() is None
    range_.house.clock.turn(-30 * DAY.total_seconds())
    assert await schedule(range_).turn() is not None
    await range_.drills.begin("alice", actor=SYSTEM)


def test_those_who_were_proven_long_ago_or_never_come_first_but_not_always() -> None:
    lots = random.Random(7)
    lately, once, never = tenant("lately", 0), tenant("once", 1), tenant("never", 2)
    last = {"lately": drill(lately, NOON), "once": drill(once, NOON - 90 * DAY)}
    first = Counter(drawn([lately, once, never], last, NOON, lots)[0].name for _ in range(2000))
    assert first["never"] > first["once"] > first["lately"] > 0


def test_who_is_leaving_isnt_drawn() -> None:
    gone = tenant("gone", 0, wanted=Wanted.GONE)
    assert drawn([gone], {}, NOON, random.Random(1)) == []
