"""Drills on real snapshots: they prove what is whole, say what isn't and why, and leave nothing behind."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.boarding import NotYet
from innkeeper.core.drill import Outcome
from innkeeper.core.drills import PATIENCE
from innkeeper.core.errors import IsolationBroken, RuntimeUnavailable, UnknownTenant
from innkeeper.core.instance import Execution
from innkeeper.core.operations import Status
from innkeeper.core.ports import Blueprint
from innkeeper.core.redaction import hide
from innkeeper.core.snapshots import SUSPECT, Origin, Snapshot
from innkeeper.core.tenant import Tenant
from innkeeper.core.works import RESULT
from tests.support.drills import Range, a_range, described


@pytest.fixture
async def range_(tmp_path: Path) -> Range:
    return await a_range(tmp_path)


async def test_a_whole_snapshot_is_proven_and_thrown_away(range_: Range) -> None:
    snapshot = await range_.snapshot()
    range_.room.answer = lambda drill, blueprint: Execution(exit_code=0, output=b"4")
    range_.house.prober.answer = (200, b"3")
    ended = await range_.drilled()
    assert ended.status is Status.DONE, described(ended)
    async with range_.house.store.look() as read:
        [drill] = await read.drills.newest()
        assert await read.drills.proven() == {"alice": drill}
    assert (drill.outcome, drill.snapshot, drill.target) == (Outcome.PROVEN, snapshot, "local")
    assert (drill.release, drill.sessions) == ("plain 1.0", 3), "what the agent itself says counts"
    assert [step.step for step in drill.steps] == [
        "reading the manifest",
        "measuring the snapshot",
        "restoring",
        "looking through what it kept",
        "configuring",
        "starting",
        "waiting until ready",
        "reading its sessions",
    ]
    assert ended.detail[RESULT]["outcome"] == "proven"
    assert await range_.nothing_is_left()
    assert range_.alerts == []


async def test_what_runs_is_the_snapshots_own_and_fenced_and_knows_no_credential(range_: Range) -> None:
    tenant = await range_.tenant()
    older = replace(tenant, spec=replace(tenant.spec, image="sha256:older", env={"A": "1"}))
    await range_.snapshot(of=older)
    seen: dict[str, bytes] = {}

    def look(drill: str, blueprint: Blueprint) -> Execution:
        folder = Path(blueprint.persistence)
        seen.update({path.name: path.read_bytes() for path in folder.iterdir()})
        assert (folder.stat().st_uid, (folder / "notes.txt").stat().st_uid) == (1000, 1000)
        assert blueprint.command == ("examine",)
        return Execution(exit_code=0, output=b"1")

    range_.room.answer = look
    ended = await range_.drilled()
    assert ended.status is Status.DONE, described(ended)
    [blueprint] = range_.room.blueprints.values()
    assert seen == {"plain.json": b"before", "notes.txt": b"remember"}, "looked through as it was restored"
    assert (blueprint.image, blueprint.tenant, blueprint.command) == ("sha256:older", "alice", ())
    assert blueprint.env == {"A": "1", "FENCED": "1"}
    assert range_.folder / "drills" in Path(blueprint.persistence).parents
    assert range_.house.seating.gateway_token(tenant) not in str(blueprint)


async def test_a_damaged_snapshot_fails_and_raises_an_alert(range_: Range) -> None:
    await range_.snapshot({"notes.txt": b"x" * 100_000})
    range_.damage(await range_.tenant())
    ended = await range_.drilled()
    assert ended.status is Status.FAILED
    async with range_.house.store.look() as read:
        [drill] = await read.drills.newest()
        assert await read.drills.proven() == {}
    assert drill.outcome is Outcome.FAILED, drill
    assert drill.code in ("snapshot_damaged", "backup_failed")
    [alert] = range_.alerts
    assert (alert.tenant, alert.code) == ("alice", "drill.failed")
    assert await range_.nothing_is_left()


async def test_what_isnt_whole_inside_fails_though_it_would_start(range_: Range) -> None:
    await range_.snapshot()
    hide("a-secret-of-hers-1234")
    torn = b"/data/x.sqlite: row 3 of a-secret-of-hers-1234 is torn"
    range_.room.answer = lambda drill, blueprint: Execution(exit_code=1, output=torn)
    ended = await range_.drilled()
    assert ended.error is not None
    assert ended.error.code == "drill_failed"
    assert "row 3 of" in ended.error.message
    assert "a-secret-of-hers" not in ended.error.message
    assert range_.room.blueprints == {}, "it wasn't started"
    assert [alert.code for alert in range_.alerts] == ["drill.failed"]


async def test_one_that_ends_while_it_starts_fails_with_its_last_words(range_: Range) -> None:
    await range_.snapshot()
    range_.house.prober.answer = None
    range_.room.dies, range_.room.says = (78, False), ("reading the config", "no such key: gatway")
    ended = await range_.drilled()
    async with range_.house.store.look() as read:
        [drill] = await read.drills.newest()
    assert (drill.failed_at, drill.code) == ("waiting until ready", "drill_failed")
    assert drill.says is not None
    assert "exit code 78" in drill.says
    assert "no such key: gatway" in drill.says
    assert ended.status is Status.FAILED
    assert await range_.nothing_is_left()


async def test_one_that_doesnt_get_ready_in_time_fails(range_: Range) -> None:
    await range_.snapshot()
    range_.house.prober.answer = (503, b"")
    range_.house.agent.start_timeout_s = 1
    ended = await range_.drilled()
    assert ended.error is not None
    assert "isn't ready after 1 s" in ended.error.message


async def test_an_image_that_is_gone_is_the_snapshots_failure(range_: Range) -> None:
    tenant = await range_.tenant()
    await range_.snapshot()
    range_.room.missing_images.add(tenant.spec.image)
    ended = await range_.drilled()
    assert ended.error is not None
    assert (ended.error.code, "plain 1.0" in ended.error.message) == ("drill_failed", True)
    assert [alert.code for alert in range_.alerts] == ["drill.failed"]


async def test_the_hosts_trouble_says_nothing_of_the_snapshot(range_: Range, monkeypatch: pytest.MonkeyPatch) -> None:
    await range_.snapshot()
    range_.room.fault = IsolationBroken("nft isn't there")
    ended = await range_.drilled()
    assert (ended.error and ended.error.code) == "isolation_broken"
    range_.room.fault = None
    monkeypatch.setattr("innkeeper.core.drill_run.DISK_LEFT_BYTES", 1 << 60)
    full = await range_.drilled()
    assert (full.error and full.error.code) == "disk_full"
    async with range_.house.store.look() as read:
        drills = await read.drills.newest()
        assert await read.drills.latest() == {}
    assert [drill.outcome for drill in drills] == [Outcome.UNTRIED, Outcome.UNTRIED]
    assert [alert.code for alert in range_.alerts] == ["drill.untried", "drill.untried"]
    assert await range_.nothing_is_left()


async def test_it_waits_for_memory_and_for_a_runtime_that_is_away(range_: Range) -> None:
    await range_.snapshot()
    operation = await range_.drills.begin("alice", actor=SYSTEM)
    for wait in ("full", "away"):
        range_.berth.full = NotYet("waiting until 128 MB of memory are free", again_s=60) if wait == "full" else None
        range_.room.fault = RuntimeUnavailable("the Engine is away") if wait == "away" else None
        async with range_.carrying_out(), asyncio.timeout(30):
            words = "128 MB" if wait == "full" else "away"
            while words not in (await range_.house.control.operation(operation.id)).progress.step:
                await asyncio.sleep(0.05)
        assert await range_.nothing_is_left()
    # Not for ever.
    range_.house.clock.turn(PATIENCE.total_seconds() + 1)
    ended = await range_.carried_out(operation)
    assert (ended.error and ended.error.code) == "runtime_unavailable"
    async with range_.house.store.look() as read:
        [drill] = await read.drills.newest()
    assert drill.outcome is Outcome.UNTRIED


async def test_one_is_asked_for_by_how_its_id_begins(range_: Range) -> None:
    first = await range_.snapshot()
    second = await range_.snapshot({"notes.txt": b"later"})
    ended = await range_.drilled(snapshot=first[:10])
    assert ended.detail[RESULT]["snapshot"] == first
    assert second != first
    for asked in ("0" * 64, ""):
        missing = await range_.drilled(snapshot=asked or "zz")
        assert (missing.error and missing.error.code) == "nothing_to_drill"
    assert range_.alerts == []


def recorded(tenant: Tenant, snapshot: str, copy: str, at: datetime) -> Snapshot:
    """As the store keeps one."""
    return Snapshot(
        id=snapshot,
        owner=tenant.id,
        tenant=tenant.name,
        taken_at=at,
        confirmed_at=at,
        origin=Origin.SCHEDULE,
        copies={"local": copy},
        verified_at=at,
    )


async def test_damage_that_is_found_is_written_down_so_that_the_next_backup_mends_it(range_: Range) -> None:
    tenant = await range_.tenant()
    copy = await range_.snapshot({"notes.txt": b"x" * 100_000})
    async with range_.house.store.begin() as tx:
        await tx.snapshots.put(recorded(tenant, "snap_100000", copy, range_.house.clock.now()))
    range_.damage(tenant)
    await range_.drilled()
    async with range_.house.store.look() as read:
        [drill] = await read.drills.newest()
        [known] = await read.snapshots.of(tenant.id)
    assert drill.code == "snapshot_damaged", drill
    assert (known.damage, known.is_good) == ({"local": SUSPECT}, False)


async def test_what_the_store_knows_of_snapshots_counts(range_: Range) -> None:
    """A good one is drilled rather than a newer one that nobody has verified, and is proven then."""
    tenant, clock = await range_.tenant(), range_.house.clock
    copies = [await range_.snapshot(), await range_.snapshot({"notes.txt": b"later"})]
    known = [
        replace(
            recorded(tenant, f"snap_{number}00000", copy, clock.now() + timedelta(hours=number)),
            verified_at=clock.now() if number == 0 else None,
        )
        for number, copy in enumerate(copies)
    ]
    async with range_.house.store.begin() as tx:
        for each in known:
            await tx.snapshots.put(each)
    ended = await range_.drilled()
    assert ended.detail[RESULT]["snapshot"] == known[0].id, described(ended)
    async with range_.house.store.look() as read:
        assert [(await read.snapshots.get(each.id)).proven_at for each in known] == [  # type: ignore[union-attr]
            clock.now(),
            None,
        ]
    by_hand = await range_.drilled(snapshot="snap_10000")
    assert by_hand.detail[RESULT]["snapshot"] == known[1].id
    by_its_copy = await range_.drilled(snapshot=copies[1][:10])
    assert by_its_copy.detail[RESULT]["snapshot"] == known[1].id


async def test_without_a_snapshot_there_is_nothing_to_drill(range_: Range) -> None:
    ended = await range_.drilled()
    assert (ended.error and ended.error.code) == "nothing_to_drill"
    with pytest.raises(UnknownTenant):
        await range_.drills.begin("nobody", actor=SYSTEM)


@pytest.mark.parametrize("words", [b"{", b'{"format": 9}', b"[]"])
async def test_a_manifest_that_says_nothing_fails(range_: Range, words: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    await range_.snapshot()

    async def read(*_: object, **__: object) -> bytes:
        return words

    monkeypatch.setattr(range_.snapshots, "read", read)
    ended = await range_.drilled()
    assert (ended.error and ended.error.code) == "snapshot_damaged"
    assert [alert.code for alert in range_.alerts] == ["drill.failed"]


async def test_one_that_died_in_the_middle_is_done_again_on_the_same_snapshot(range_: Range) -> None:
    first = await range_.snapshot()
    operation = await range_.drills.begin("alice", actor=SYSTEM)
    range_.house.prober.answer = None
    async with range_.carrying_out(), asyncio.timeout(60):
        while not range_.room.blueprints:
            await asyncio.sleep(0.05)
    # The process has ended; a worse end would have left this.
    await range_.staging.make(f"{operation.id}_1", "alice")
    await range_.room.ready(f"{operation.id}_1")
    await range_.snapshot({"notes.txt": b"later"})
    range_.house.prober.answer = (200, b"1")
    ended = await range_.carried_out(operation)
    assert ended.status is Status.DONE, described(ended)
    assert ended.detail[RESULT]["snapshot"] == first
    assert await range_.nothing_is_left()


async def test_one_that_died_after_it_was_written_down_isnt_done_again(range_: Range) -> None:
    await range_.snapshot({"notes.txt": b"x" * 100_000})
    range_.damage(await range_.tenant())
    failed = await range_.drilled()
    async with range_.house.store.begin() as tx:
        await tx.put_operation(replace(failed, status=Status.RUNNING))
    again = await range_.carried_out(failed)
    assert again.error == failed.error
    async with range_.house.store.look() as read:
        assert len(await read.drills.newest()) == 1
    assert [alert.code for alert in range_.alerts] == ["drill.failed"] * 2, "rather twice than never"


async def test_what_is_left_of_those_that_are_over_is_swept_away(range_: Range) -> None:
    await range_.snapshot()
    open_one = await range_.drills.begin("alice", actor=SYSTEM)
    for drill in ("op_gone_1", f"{open_one.id}_1"):
        await range_.staging.make(drill, "alice")
        await range_.room.ready(drill)
    work = range_.work()
    assert await work.sweep() == ["op_gone_1"]
    assert await range_.room.leftovers() == [f"{open_one.id}_1"], "another control plane may be at it"
    assert await range_.staging.names() == [f"{open_one.id}_1"]


async def test_a_tenant_that_goes_meanwhile_ends_its_drill(range_: Range) -> None:
    await range_.snapshot()
    operation = await range_.drills.begin("alice", actor=SYSTEM)
    range_.house.prober.answer = None
    async with range_.carrying_out(), asyncio.timeout(60):
        while not range_.room.blueprints:
            await asyncio.sleep(0.05)
        tenant = await range_.tenant()
        async with range_.house.store.begin() as tx:
            await tx.drop_tenant("alice", tenant.id)
        range_.house.prober.answer = (200, b"1")
        await range_.house.control.wait(operation.id, timeout_s=30)
    async with range_.house.store.look() as read:
        assert await read.drills.newest() == []
    assert await range_.nothing_is_left()
