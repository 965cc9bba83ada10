"""A restore in place: the tenant of then, on the tokens of tomorrow; or, whatever goes wrong, the tenant of before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.errors import Conflict, DiskFull, UnitFault, UnknownTenant
from innkeeper.core.events import AlertRaised
from innkeeper.core.instance import State
from innkeeper.core.operations import Operation, Status
from innkeeper.core.snapshot_errors import SnapshotMissing, TargetFull
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import Wanted
from innkeeper.core.works import RESULT
from innkeeper.units.stages import FolderStages
from tests.support.restoring import RestoringHouse, until
from tests.units.folders import needs_root

pytestmark = needs_root


@pytest.fixture
def house(tmp_path: Path) -> RestoringHouse:
    return RestoringHouse(tmp_path)


@pytest.fixture
async def running(house: RestoringHouse) -> AsyncIterator[RestoringHouse]:
    async with house.running():
        yield house


def left_in(house: RestoringHouse) -> list[str]:
    """What lies beside the tenants' folders still."""
    return sorted(path.name for path in (house.root / "restores").iterdir())


async def test_the_data_of_then_comes_back_with_tokens_that_nobody_knows(running: RestoringHouse) -> None:
    house = running
    before = await house.born()
    saved = await house.save()
    house.remember("regret")
    ended = await house.restored(snapshot=saved)
    after = await house.tenant()
    assert ended.status is Status.DONE, ended.error
    assert house.remembered() == ["first day"]
    assert (after.id, after.token_epoch, after.closed, after.fenced) == (before.id, before.token_epoch + 1, None, False)
    assert (await house.runtime.get("alice")).revision == after.revision > before.revision
    assert f"gateway-{after.id}-{after.token_epoch}" in (house.data() / "plain.json").read_text()
    assert left_in(house) == []
    assert not (house.root / "tenants" / "alice" / ".restored").exists()
    assert ended.detail[RESULT]["safety"] == house.safeties[0]
    await house.restored(snapshot=house.safeties[0])
    assert house.remembered() == ["first day", "regret"], "the present state was snapshotted first"


async def test_by_time_the_newest_that_was_taken_by_then(running: RestoringHouse) -> None:
    house = running
    await house.born()
    noon = house.clock.now()
    await house.save(at=noon)
    house.remember("second day")
    await house.save(at=noon + timedelta(days=1))
    await house.restored(at=noon + timedelta(hours=23))
    assert house.remembered() == ["first day"]
    with pytest.raises(SnapshotMissing):
        await house.restores.in_place("alice", actor=SYSTEM, at=noon - timedelta(seconds=1))
    with pytest.raises(SnapshotMissing):
        await house.restores.in_place("alice", actor=SYSTEM, snapshot="0" * 64)
    with pytest.raises(UnknownTenant):
        await house.restores.in_place("bob", actor=SYSTEM)


async def test_what_does_not_become_healthy_is_undone_and_the_former_state_runs(running: RestoringHouse) -> None:
    house = running
    before = await house.born()
    (house.data() / "sick").touch()
    saved = await house.save()
    (house.data() / "sick").unlink()
    house.remember("well again")
    ended = await house.restored(snapshot=saved)
    after = await house.tenant()
    assert (ended.status, ended.error and ended.error.code) == (Status.FAILED, "restore_undone")
    assert ended.error
    assert "isn't ready" in ended.error.message
    assert "is back and runs" in ended.error.message
    assert house.remembered() == ["first day", "well again"]
    assert after.seen.ready
    assert after.spec == before.spec
    assert after.token_epoch == before.token_epoch + 2, "what was restored had tokens of its own"
    assert left_in(house) == []


async def test_one_that_crashes_over_and_over_is_undone_without_waiting(running: RestoringHouse) -> None:
    house = running
    await house.born()
    saved = await house.save()
    house.agent.start_timeout_s = 600
    (house.data() / "sick").touch()
    sick = await house.save()
    (house.data() / "sick").unlink()
    operation = await house.restores.in_place("alice", actor=SYSTEM, snapshot=sick)
    for _ in range(5):
        await crashes(house)
    ended = await house.ended(operation)
    assert ended.error
    assert "crashed 5 times" in ended.error.message
    assert (await house.tenant()).seen.ready
    assert saved


async def crashes(house: RestoringHouse) -> None:
    """Its instance is up, after the swap, and ends by itself."""

    async def is_up() -> bool:
        return (await house.runtime.get("alice")).state is State.RUNNING and (house.data() / "sick").exists()

    await until(is_up)
    house.runtime.crash("alice", exit_code=1)


async def test_the_release_of_then_comes_back_while_its_image_is_here(running: RestoringHouse) -> None:
    house = running
    await house.born()
    old = await house.save()
    await house.record_release("2.0")
    _, update = await house.control.update("alice", SpecPatch(release="2.0"), actor=SYSTEM)
    await house.ended(update)
    new = await house.save()
    await house.restored(snapshot=old)
    assert (await house.tenant()).spec.release == "1.0"
    await house.restored(snapshot=new)
    assert (await house.tenant()).spec.release == "2.0", "and a newer one alike"
    house.runtime.missing_images.add("sha256:1.0")
    before = await house.tenant()
    ended = await house.restored(snapshot=old)
    assert ended.error
    assert (ended.error.code, "image build plain" in ended.error.hint) == ("image_missing", True)
    assert await house.tenant() == before, "nothing of it was touched"
    assert left_in(house) == []


async def test_whoever_may_not_change_the_spec_gets_no_more_of_it_than_the_release(running: RestoringHouse) -> None:
    house = running
    await house.born()
    saved = await house.save()
    await house.record_release("2.0")
    _, update = await house.control.update(
        "alice", SpecPatch(release="2.0", env={"A": "1"}, hostnames=("a.example.com",)), actor=SYSTEM
    )
    await house.ended(update)
    await house.restored(snapshot=saved, whole_spec=False)
    spec = (await house.tenant()).spec
    assert (spec.release, dict(spec.env), spec.hostnames) == ("1.0", {"A": "1"}, ("a.example.com",))
    await house.restored(snapshot=saved)
    spec = (await house.tenant()).spec
    assert (dict(spec.env), spec.hostnames) == ({}, ())


async def test_a_hostname_that_somebody_else_has_by_now_stays_theirs(running: RestoringHouse) -> None:
    house = running
    await house.born()
    for hostnames in (("a.example.com", "b.example.com"), ()):
        _, update = await house.control.update("alice", SpecPatch(hostnames=hostnames), actor=SYSTEM)
        await house.ended(update)
        if hostnames:
            saved = await house.save()
    await house.born("bob")
    _, update = await house.control.update("bob", SpecPatch(hostnames=("a.example.com",)), actor=SYSTEM)
    await house.ended(update)
    ended = await house.restored(snapshot=saved)
    assert ended.detail[RESULT]["hostnames_taken"] == ["a.example.com"]
    assert (await house.tenant()).spec.hostnames == ("b.example.com",)


async def test_secrets_that_are_gone_come_back_and_others_stay(running: RestoringHouse) -> None:
    house = running
    await house.born()
    for name in ("GONE", "KEPT"):
        await house.vault.set("alice", name, f"old {name}", actor=SYSTEM)
    saved = await house.save()
    await house.vault.delete("alice", "GONE", actor=SYSTEM)
    await house.vault.set("alice", "KEPT", "new KEPT", actor=SYSTEM)
    ended = await house.restored(snapshot=saved)
    tenant = await house.tenant()
    assert ended.detail[RESULT]["secrets_put_back"] == ["GONE"]
    assert await house.vault.reveal("GONE", tenant) == "old GONE"
    assert await house.vault.reveal("KEPT", tenant) == "new KEPT"
    await house.restored(snapshot=saved, replace_secrets=True)
    assert await house.vault.reveal("KEPT", tenant) == "old KEPT"


async def test_an_undone_restore_takes_its_secrets_along(running: RestoringHouse) -> None:
    house = running
    await house.born()
    for name in ("GONE", "KEPT"):
        await house.vault.set("alice", name, f"old {name}", actor=SYSTEM)
    (house.data() / "sick").touch()
    saved = await house.save()
    (house.data() / "sick").unlink()
    await house.vault.delete("alice", "GONE", actor=SYSTEM)
    await house.vault.set("alice", "KEPT", "new KEPT", actor=SYSTEM)
    ended = await house.restored(snapshot=saved, replace_secrets=True)
    assert ended.status is Status.FAILED
    assert [each.name for each in await house.vault.all("alice")] == ["KEPT"]
    assert await house.vault.reveal("KEPT", await house.tenant()) == "new KEPT"


async def test_a_damaged_database_in_the_snapshot_leaves_the_tenant_alone(running: RestoringHouse) -> None:
    house = running
    await house.born()
    for day in range(4):
        house.remember(f"day {day} " * 500)
    content = bytearray((house.data() / "memory.db").read_bytes())
    whole = bytes(content)
    content[4096:] = b"\xff" * (len(content) - 4096)
    (house.data() / "memory.db").write_bytes(content)
    saved = await house.save()
    (house.data() / "memory.db").write_bytes(whole)
    before = await house.tenant()
    ended = await house.restored(snapshot=saved)
    assert ended.error
    assert (ended.error.code, "memory.db" in ended.error.message) == ("snapshot_damaged", True)
    assert replace(await house.tenant(), seen=before.seen) == before
    assert left_in(house) == []


async def test_a_full_disk_leaves_the_tenant_alone(running: RestoringHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house = running
    await house.born()
    saved = await house.save()
    before = await house.tenant()
    monkeypatch.setattr("innkeeper.core.staging.SPARE_BYTES", 1 << 60)
    ended = await house.restored(snapshot=saved)
    assert ended.error
    assert ended.error.code == DiskFull.code
    assert replace(await house.tenant(), seen=before.seen) == before


async def test_where_the_present_state_cannot_be_snapshotted_it_stays(running: RestoringHouse) -> None:
    house = running
    await house.born()
    saved = await house.save()
    house.remember("precious")
    house.safety_fails = TargetFull("The target takes no more.")
    ended = await house.restored(snapshot=saved)
    assert ended.error
    assert ended.error.code == "target_full"
    assert house.remembered() == ["first day", "precious"]
    assert (await house.tenant()).closed is None
    ended = await house.restored(snapshot=saved, safety=False)
    assert (ended.status, house.remembered()) == (Status.DONE, ["first day"])


async def test_whoever_is_asleep_by_order_is_up_for_the_proof_alone(running: RestoringHouse) -> None:
    house = running
    await house.born()
    saved = await house.save()
    _, update = await house.control.update("alice", SpecPatch(), actor=SYSTEM, wanted=Wanted.ASLEEP)
    await house.ended(update)
    house.remember("regret")
    ended = await house.restored(snapshot=saved)
    tenant = await house.tenant()
    assert (ended.status, tenant.wanted, house.remembered()) == (Status.DONE, Wanted.ASLEEP, ["first day"])


async def test_one_restore_at_a_time(house: RestoringHouse) -> None:
    async with house.running(works=False):
        await house.born()
        await house.save()
        await house.restores.in_place("alice", actor=SYSTEM)
        with pytest.raises(Conflict):
            await house.restores.in_place("alice", actor=SYSTEM)


# --- what can't be undone by itself -----------------------------------------------------------------------------------


async def test_where_the_way_back_fails_too_all_of_it_is_kept_and_somebody_is_called(
    running: RestoringHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = running
    await house.born()
    healthy = await house.save()
    (house.data() / "sick").touch()
    sick = await house.save()
    (house.data() / "sick").unlink()
    house.remember("precious")
    monkeypatch.setattr("innkeeper.core.restore_in_place.RETURN_AGAIN_S", 0.0)
    monkeypatch.setattr("innkeeper.loops.works.LOOK_EVERY_S", 0.1)

    def broken(*_: object) -> None:
        raise UnitFault("The disk doesn't answer.")

    with monkeypatch.context() as patched:
        patched.setattr(FolderStages, "_swap_back", broken)
        ended = await house.restored(snapshot=sick)
    tenant = await house.tenant()
    assert ended.error
    assert ended.error.code == "restore_stuck"
    assert (tenant.closed, (await house.runtime.get("alice")).state) == (ended.id, State.ABSENT)
    assert [each.code for each in house.happened if isinstance(each, AlertRaised)] == ["restore.stuck"]
    kept = house.root / "restores" / left_in(house)[0]
    assert str(kept) in ended.error.message
    assert (kept / "before" / "persistence" / "last.txt").read_text() == "precious"
    assert await house.left.sweep() == 0, "nothing of it is erased"
    async with house.store.look() as tx:
        operation = await tx.operation(ended.id)
    await house.store.forget(before=house.clock.now() + timedelta(days=8))
    assert await house.left.sweep() == 0, "nor when its operation isn't known any more"
    async with house.store.begin() as tx:
        assert operation is not None
        await tx.add_operation(operation)
    again = await house.restored(snapshot=healthy)
    assert (again.status, (await house.tenant()).closed) == (Status.DONE, None), "another restore takes it from there"
    assert await house.left.sweep() == 1


async def test_one_that_is_deleted_meanwhile_ends_the_restore(house: RestoringHouse) -> None:
    operation = await _begun(house, sick=False)
    async with house.running(works=False):
        assert await house.dies_at(operation, 2, after=True)
        _, delete = await house.control.delete("alice", purge=True, actor=SYSTEM)
        await house.ended(delete)
    house.start("two")
    async with house.running():
        with pytest.raises(UnknownTenant):
            await house.tenant()
        assert await house.left.sweep() == 1
        assert left_in(house) == []
        assert not (house.root / "tenants" / "alice").exists()


# --- crashes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("keep", range(1, 10))
async def test_whoever_comes_after_a_crash_ends_it(house: RestoringHouse, keep: int, after: bool) -> None:
    operation = await _begun(house, sick=False)
    async with house.running(works=False):
        assert await house.dies_at(operation, keep, after=after)
    house.start("two")
    async with house.running():
        ended = await house.ended(operation)
        assert ended.status is Status.DONE, ended.error
        assert house.remembered() == ["first day"]
        assert (await house.tenant()).closed is None
        assert left_in(house) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("keep", range(6, 12))
async def test_whoever_comes_after_a_crash_undoes_it(house: RestoringHouse, keep: int, after: bool) -> None:
    operation = await _begun(house, sick=True)
    async with house.running(works=False):
        assert await house.dies_at(operation, keep, after=after)
    house.start("two")
    async with house.running():
        ended = await house.ended(operation)
        assert (ended.status, ended.error and ended.error.code) == (Status.FAILED, "restore_undone")
        assert house.remembered() == ["first day", "regret"]
        tenant = await house.tenant()
        assert (tenant.closed, tenant.seen.ready) == (None, True)
        assert left_in(house) == []


async def _begun(house: RestoringHouse, *, sick: bool) -> Operation:
    async with house.running(works=False):
        await house.born()
        if sick:
            (house.data() / "sick").touch()
        saved = await house.save()
        (house.data() / "sick").unlink(missing_ok=True)
        house.remember("regret")
        operation = await house.restores.in_place("alice", actor=SYSTEM, snapshot=saved)
    house.start("one")
    return operation
