"""Backups begin when they are due, are caught up after a downtime, and somebody is told where they fail."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from innkeeper.core.access import SYSTEM
from innkeeper.core.backup_plans import BackupPlan, BackupPlans, Keep, backup_plans_from, plan_from
from innkeeper.core.backups import Overview
from innkeeper.core.closing import Closing
from innkeeper.core.errors import InvalidSpec
from innkeeper.core.events import AlertRaised, BackupDone, Event
from innkeeper.core.operations import Operation, OperationKind, Trouble
from innkeeper.core.plans import plans_from
from innkeeper.core.snapshots import BackupState, Origin
from innkeeper.core.specs import SpecPatch
from innkeeper.core.taking import Way
from innkeeper.loops import backups
from innkeeper.loops.backups import BackupLoops
from innkeeper.settings import Settings
from innkeeper.telemetry import REGISTRY, count_backups, count_event, exposition
from tests.backups.house import Bench, at_work, make
from tests.support.house import House

DAY = timedelta(days=1)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = make(tmp_path, plans=BackupPlans(default=BackupPlan(spread_h=0)))
    yield bench
    bench.keeping.stills.close()


async def begun(bench: Bench) -> list[Operation]:
    """All backups that there are."""
    async with bench.house.store.look() as tx:
        return [each for each in await tx.operations() if each.kind is OperationKind.BACKUP]


async def until(bench: Bench, *, hour: int, day: int = 0) -> None:
    """Noon of the 20th is now."""
    bench.house.clock.time = datetime(2026, 11, 20 + day, hour, 1, tzinfo=UTC)


async def look(bench: Bench) -> None:
    """One look, and all that is to be done after it."""
    await bench.keeping.loops.look()
    async with at_work(bench):
        for operation in await begun(bench):
            await bench.over(operation)


async def test_everybody_is_backed_up_once_a_night_and_the_database_too(bench: Bench) -> None:
    await bench.tenant("alice")
    await bench.tenant("bob")
    await look(bench)
    assert await begun(bench) == [], "created today, due tonight"
    await until(bench, hour=3, day=1)
    await look(bench)
    await look(bench)
    operations = await begun(bench)
    assert sorted(each.tenant for each in operations) == ["", "alice", "bob"]
    assert (await bench.newest()).origin is Origin.SCHEDULE
    await until(bench, hour=23, day=1)
    await look(bench)
    assert len(await begun(bench)) == 3
    await until(bench, hour=3, day=2)
    await look(bench)
    assert len(await begun(bench)) == 6


async def test_what_was_missed_is_caught_up_and_one_under_way_isnt_begun_twice(bench: Bench) -> None:
    await bench.tenant()
    await until(bench, hour=17, day=3)
    await bench.keeping.loops.look()
    await bench.keeping.loops.look()
    assert sorted(each.tenant for each in await begun(bench)) == ["", "alice"]


async def test_a_failing_target_is_tried_again_alerted_once_a_day_and_told(bench: Bench) -> None:
    await bench.tenant()
    (bench.data / "first").write_text("no folder")
    await until(bench, hour=3, day=1)
    for _ in range(3):
        await look(bench)
        bench.house.clock.turn(1200)
    await bench.keeping.loops.look()
    told = [alert for alert in bench.alerts if alert.tenant == "alice"]
    assert [alert.code for alert in told] == ["backup.failed"]
    assert "there is none yet" in told[0].says
    assert "first" in told[0].says
    await bench.keeping.loops.look()
    assert len([alert for alert in bench.alerts if alert.tenant == "alice"]) == 1
    await until(bench, hour=3, day=2)
    await bench.keeping.loops.look()
    assert len([alert for alert in bench.alerts if alert.tenant == "alice"]) == 2, "the next day again"
    (bench.data / "first").unlink()
    bench.house.clock.turn(8000)
    await look(bench)
    await look(bench)
    state = await bench.state()
    assert (state.failures, state.error, state.alerted_at) == (0, None, None)


async def test_one_that_is_late_without_having_failed_is_told_too(bench: Bench) -> None:
    await bench.tenant()
    await until(bench, hour=20, day=2)
    await bench.keeping.loops.look()
    assert {alert.code for alert in bench.alerts} == {"backup.late"}


async def test_one_that_stays_closed_isnt_begun_and_is_told_of_all_the_same(bench: Bench) -> None:
    await bench.tenant()
    await Closing(store=bench.house.store, runtime=bench.house.runtime, bus=bench.house.bus).close("alice", "op_stuck")
    await until(bench, hour=20, day=2)
    await bench.keeping.loops.look()
    assert [each.tenant for each in await begun(bench)] == [""]
    assert {alert.tenant for alert in bench.alerts} == {"", "alice"}


async def test_of_many_that_are_due_only_so_many_are_open(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "BEGUN_AT_ONCE", 2)
    for name in ("alice", "bob"):
        await bench.tenant(name)
    await until(bench, hour=4, day=1)
    await bench.keeping.loops.look()
    await bench.keeping.loops.look()
    assert len(await begun(bench)) == 2
    await look(bench)
    await look(bench)
    assert len(await begun(bench)) == 3


async def test_a_plan_says_when_and_how_long(tmp_path: Path) -> None:
    said: dict[str, dict[str, Any]] = {
        "gold": {"backup": {"every_h": 6, "keep_local": {"daily": 30}}},
        "plain": {"models": ["x"]},
    }
    plans = backup_plans_from(plan_from({"at": "01:00", "spread_h": 0}), said)
    house = House()
    house.control.plans = plans_from(said)
    bench = make(tmp_path, house, plans=plans)
    await house.create("alice", SpecPatch(uses={"plan": "gold"}))
    await house.settle("alice")
    await house.create("bob", SpecPatch(uses={"plan": "plain"}))
    alice, bob = await house.tenant("alice"), await house.tenant("bob")
    for each in (alice, bob):
        bench.keeping.stills.folder(each.name).mkdir(parents=True)
    assert (plans.of(alice).every_h, plans.of(alice).at_minute, plans.of(bob).every_h) == (6, 60, 24)
    assert plans.of(alice).keep == {"local": Keep(daily=30), "remote": Keep(daily=30)}
    house.clock.time += timedelta(hours=7)
    await bench.keeping.loops.look()
    assert [each.tenant for each in await begun(bench) if each.tenant] == ["alice"]
    bench.keeping.stills.close()


@pytest.mark.parametrize("said", [{"at": "3 o'clock"}, {"keep": 3}, 7])
def test_a_plan_that_cant_be_is_refused_with_where_it_stands(said: object) -> None:
    with pytest.raises(InvalidSpec) as refused:
        plans_from({"gold": {"backup": said}})
    assert (refused.value.field or "").startswith("plans.gold.backup")


def test_the_settings_say_what_holds_for_the_others(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, backup_at="23:30", backup_keep_remote={"daily": 3, "monthly": 12})
    assert settings.backup_plan.at_minute == 23 * 60 + 30
    assert settings.backup_plan.keep["remote"] == Keep(daily=3, monthly=12)
    assert Settings(data=tmp_path).backup_plan == BackupPlan()
    for wrong in ({"backup_at": "noon"}, {"backup_every_h": 0.2}, {"backup_keep_local": {"hourly": 1}}):
        with pytest.raises(ValueError, match="backup"):
            Settings(data=tmp_path, **wrong)


def ages_of_each() -> list[tuple[str, float]]:
    """What `/metrics` tells by tenant."""
    families = text_string_to_metric_families(exposition().decode())
    [family] = [each for each in families if each.name == "innkeeper_tenant_backup_age_seconds"]
    return [(sample.labels["tenant"], sample.value) for sample in family.samples]


async def test_metrics_tell_the_oldest_and_how_many(bench: Bench) -> None:
    await bench.tenant("alice")
    await bench.tenant("bob")
    async with at_work(bench):
        await bench.result("alice")
    bench.house.clock.turn(7200)
    seen: list[Sequence[Overview]] = []
    keeping = bench.keeping

    def tell(overviews: Sequence[Overview], now: datetime) -> None:
        seen.append(overviews)
        count_backups(overviews, now)

    loops = BackupLoops(
        store=bench.house.store,
        backups=keeping.backups,
        stills=keeping.stills,
        bus=bench.house.bus,
        clock=bench.house.clock,
        tell=tell,
    )
    async with bench.house.store.begin() as tx:
        bob = await tx.tenant("bob")
        assert bob is not None
        trouble = Trouble(code="target_full", message="It is full.")
        await tx.snapshots.put_state(BackupState(owner=bob.id, tenant="bob", failures=1, error=trouble))
    await loops.look()
    assert sorted(each.tenant for each in seen[0]) == ["", "alice", "bob"]

    def value(name: str) -> float | None:
        return REGISTRY.get_sample_value(f"innkeeper_{name}")

    assert (value("backup_age_seconds"), value("backups_missing"), value("backups_failing")) == (7200, 1, 1)
    assert [name for name, _ in ages_of_each()] == ["alice"]
    assert dict(ages_of_each())["alice"] >= 7200
    assert math.isnan(value("backup_control_age_seconds") or 0), "none at all isn't one of this moment"
    count_event(BackupDone(tenant="bob", snapshot="snap_1", way=Way.SHADOW, seconds=2, frozen_s=None, bytes_added=0))
    assert sorted(name for name, _ in ages_of_each()) == ["alice", "bob"]


async def test_without_a_target_nothing_is_begun(tmp_path: Path) -> None:
    from innkeeper.loops.supervise import Supervisor
    from innkeeper.restic import Calls, ResticStore
    from innkeeper.units.erase import erase
    from tests.restic.deposits import MadeUpKeys

    store = ResticStore(Calls([], MadeUpKeys(), tmp_path / "cache"), erase=erase)
    bench = make(tmp_path, snapshots=store)
    supervisor = Supervisor()
    bench.keeping.loops.start(supervisor)
    assert supervisor.loops == {}
    await bench.tenant()
    with pytest.raises(Exception, match="no place for backups"):
        await bench.keeping.backups.create("alice", actor=SYSTEM)
    bench.keeping.stills.close()
    shutil.rmtree(tmp_path / "tenants")


async def test_who_was_never_started_has_nothing_to_be_saved_and_is_never_late(bench: Bench) -> None:
    await bench.house.create("asleep")
    bench.house.clock.turn(5 * 24 * 3600)
    alerts: list[Event] = []
    bench.house.bus.on_event(lambda event: alerts.append(event) if isinstance(event, AlertRaised) else None)
    await bench.keeping.loops.look()
    assert not [each for each in await begun(bench) if each.tenant]
    assert not [each for each in alerts if each.tenant]
    async with at_work(bench):
        asked = await bench.backup("asleep")
    assert asked.error is not None
    assert asked.error.code == "nothing_to_save"
    async with bench.house.store.look() as tx:
        assert await tx.snapshots.state((await bench.house.tenant("asleep")).id) is None, "no failure of a backup"
    bench.keeping.stills.folder("asleep").mkdir(parents=True)
    await bench.keeping.loops.look()
    assert [each.tenant for each in await begun(bench) if each.tenant] == ["asleep", "asleep"]
    bench.keeping.stills.close()
