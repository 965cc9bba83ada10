"""A restore to a tenant that isn't there: another one that shares nothing with the first, or the very one after a loss;
and single paths, which replace nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.errors import (
    Conflict,
    Invalid,
    Problem,
    StoreUnavailable,
    TenantExists,
    UnitExists,
    UnknownTenant,
)
from innkeeper.core.operations import Operation, Status
from innkeeper.core.ports.snapshots import LOCAL, REMOTE, Repository
from innkeeper.core.ports.stages import Stage
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import Wanted
from innkeeper.core.works import RESULT
from innkeeper.units.stages import FolderStages
from tests.support.restoring import RestoringHouse
from tests.units.folders import OWNER, needs_root

pytestmark = needs_root


@pytest.fixture
def house(tmp_path: Path) -> RestoringHouse:
    return RestoringHouse(tmp_path)


@pytest.fixture
async def running(house: RestoringHouse) -> AsyncIterator[RestoringHouse]:
    async with house.running():
        yield house


async def as_other(house: RestoringHouse) -> Operation:
    return await house.ended(await house.restores.as_other("alice", "bob", actor=SYSTEM))


async def test_another_has_the_data_and_nothing_else_of_the_first(running: RestoringHouse) -> None:
    house = running
    alice = await house.born()
    _, update = await house.control.update("alice", SpecPatch(hostnames=("a.example.com",)), actor=SYSTEM)
    await house.ended(update)
    await house.vault.set("alice", "KEY", "value", actor=SYSTEM)
    await house.save()
    ended = await as_other(house)
    bob = await house.tenant("bob")
    assert ended.status is Status.DONE, ended.error
    assert house.remembered("bob") == ["first day"]
    assert (bob.id != alice.id, bob.spec.hostnames, bob.fenced, bob.closed) == (True, (), True, None)
    assert (bob.hostname, house.runtime.blueprints["bob"].hostname) == ("alice", "alice"), "as its data know it"
    assert f"gateway-{bob.id}-{bob.token_epoch}" in (house.data("bob") / "plain.json").read_text()
    assert await house.vault.reveal("KEY", bob) == "value", "sealed anew by its own key"
    assert ended.detail[RESULT]["fenced"] is True
    assert (await house.tenant()).seen.ready, "the first one lives on"
    before = (await house.runtime.get("bob")).revision
    confirmed = await house.restores.confirm("bob", actor=SYSTEM)
    assert (confirmed.fenced, confirmed.remade_at > before) == (False, True), "a fresh instance has its channels on"
    assert await house.restores.confirm("bob", actor=SYSTEM) == confirmed, "asked again nothing happens"
    with pytest.raises(TenantExists):
        await house.restores.as_other("alice", "bob", actor=SYSTEM)


async def test_another_of_whom_nothing_came_leaves_no_trace(running: RestoringHouse) -> None:
    house = running
    await house.born()
    content = bytearray((house.data() / "memory.db").read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    (house.data() / "memory.db").write_bytes(content)
    await house.save()
    ended = await as_other(house)
    assert (ended.status, ended.error and ended.error.code) == (Status.FAILED, "snapshot_damaged")
    with pytest.raises(UnknownTenant):
        await house.tenant("bob")
    assert not (house.root / "tenants" / "bob").exists()
    assert house.data_keys.destroyed == [ended.tenant_id], "and its key with it"


async def test_what_was_started_and_is_not_healthy_is_left_to_be_looked_at(running: RestoringHouse) -> None:
    house = running
    await house.born()
    (house.data() / "sick").touch()
    await house.save()
    (house.data() / "sick").unlink()
    ended = await as_other(house)
    assert ended.error
    assert "isn't healthy" in ended.error.message
    assert (await house.tenant("bob")).closed is None
    assert (house.data("bob") / "sick").exists()


async def test_a_lost_tenant_is_found_by_the_keyring_and_the_repositories(tmp_path: Path) -> None:
    old = RestoringHouse(tmp_path / "old", targets=(LOCAL, REMOTE))
    async with old.running():
        alice = await old.born()
        await old.vault.set("alice", "KEY", "value", actor=SYSTEM)
        await old.save(target=REMOTE)
        await old.born("bob")
    new = RestoringHouse(tmp_path / "new")
    new.repositories, new.repository_keys = old.repositories, old.repository_keys
    new.start()
    async with new.running():
        await new.record_release()
        assert [each.tenant for each in await new.restores.restorable()] == ["alice"]
        with pytest.raises(UnknownTenant):
            await new.restores.lost("bob", actor=SYSTEM)
        ended = await new.ended(await new.restores.lost("alice", actor=SYSTEM))
        assert ended.status is Status.DONE, ended.error
        tenant = await new.tenant()
        assert (tenant.id, tenant.fenced) == (alice.id, True)
        assert tenant.token_epoch > alice.token_epoch + 100, "its tokens were none of those on the lost host"
        assert new.remembered() == ["first day"]
        assert await new.vault.reveal("KEY", tenant) == "value"
        assert await new.restores.restorable() == [], "it is here"
        assert new.adopted == [(alice.id, "alice")], "its snapshots are known again"


async def test_one_whose_repository_cant_be_read_doesnt_hide_the_others(tmp_path: Path) -> None:
    old = RestoringHouse(tmp_path / "old")
    async with old.running():
        alice = await old.born()
        await old.save()
        bob = await old.born("bob")
        await old.save("bob")
    for key in (tmp_path / "old" / f"{LOCAL}-repositories" / bob.id / "keys").iterdir():
        key.write_bytes(b"{}")
    new = RestoringHouse(tmp_path / "new")
    new.repositories, new.repository_keys = old.repositories, old.repository_keys
    new.start()
    assert [each.tenant for each in await new.restores.restorable()] == ["alice"]
    with pytest.raises(Problem):
        await new.restores.restorable(tenant_id=bob.id)
    assert alice.id != bob.id


async def test_two_that_had_one_name_are_told_apart_by_id(running: RestoringHouse) -> None:
    house = running
    ids = []
    for _ in range(2):
        ids.append((await house.born()).id)
        await house.save()
        _, delete = await house.control.delete("alice", purge=False, actor=SYSTEM)
        await house.ended(delete)
        (house.root / "tenants" / "alice").rename(house.root / f"alice of {ids[-1]}")
    with pytest.raises(Conflict, match="Several"):
        await house.restores.lost("alice", actor=SYSTEM)
    await house.ended(await house.restores.lost("alice", tenant_id=ids[0], actor=SYSTEM, channels_on=True))
    tenant = await house.tenant()
    assert (tenant.id, tenant.fenced) == (ids[0], False)


async def test_a_folder_that_a_former_tenant_left_is_never_taken(running: RestoringHouse) -> None:
    house = running
    await house.born()
    await house.save()
    house.remember("after the snapshot")
    _, delete = await house.control.delete("alice", purge=False, actor=SYSTEM)
    await house.ended(delete)
    with pytest.raises(UnitExists):
        await house.restores.lost("alice", actor=SYSTEM)
    assert house.remembered() == ["first day", "after the snapshot"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("keep", range(1, 6))
async def test_whoever_comes_after_a_crash_ends_it(house: RestoringHouse, keep: int, after: bool) -> None:
    async with house.running(works=False):
        await house.born()
        await house.save()
        operation = await house.restores.as_other("alice", "bob", actor=SYSTEM)
        assert await house.dies_at(operation, keep, after=after)
    house.start("two")
    async with house.running():
        ended = await house.ended(operation)
        assert ended.status is Status.DONE, ended.error
        assert house.remembered("bob") == ["first day"]
        assert list((house.root / "restores").iterdir()) == []


@pytest.mark.parametrize("keep", [2, 3])
async def test_whoever_was_asleep_by_order_sleeps_again_also_after_a_crash(house: RestoringHouse, keep: int) -> None:
    async with house.running(works=False):
        await house.born()
        _, update = await house.control.update("alice", SpecPatch(), actor=SYSTEM, wanted=Wanted.ASLEEP)
        await house.ended(update)
        await house.save()
        operation = await house.restores.as_other("alice", "bob", actor=SYSTEM)
        assert await house.dies_at(operation, keep, after=False)
    house.start("two")
    async with house.running():
        assert (await house.ended(operation)).status is Status.DONE
        assert (await house.tenant("bob")).wanted is Wanted.ASLEEP


async def test_its_row_goes_too_when_the_store_was_away_as_it_was_to(
    house: RestoringHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("innkeeper.core.restore_anew.STORE_AGAIN_S", 0.0)
    monkeypatch.setattr("innkeeper.loops.works.LOOK_EVERY_S", 0.1)
    was, away = FolderStages._swap_back, [StoreUnavailable("It doesn't answer.")]

    def unwell(stages: FolderStages, stage: Stage, tenant: str) -> None:
        if away:
            raise away.pop()
        was(stages, stage, tenant)

    monkeypatch.setattr(FolderStages, "_swap_back", unwell)
    async with house.running():
        await house.born()
        (house.data() / "memory.db").write_bytes(b"SQLite format 3\0" + bytes(100))
        await house.save()
        assert (await as_other(house)).status is Status.FAILED
        with pytest.raises(UnknownTenant):
            await house.tenant("bob")


# --- single paths -----------------------------------------------------------------------------------------------------


async def test_paths_come_into_a_new_folder_and_the_tenant_lives_on(running: RestoringHouse) -> None:
    house = running
    before = await house.born()
    (house.data() / "workspace" / "notes").mkdir(parents=True)
    (house.data() / "workspace" / "notes" / "a b.md").write_text("then")
    await house.save()
    (house.data() / "workspace" / "notes" / "a b.md").write_text("now")
    asked = ["workspace/notes", "last.txt"]
    ended = await house.ended(await house.restores.paths("alice", asked, actor=SYSTEM))
    into = ended.detail[RESULT]["into"]
    folder = house.data() / into
    assert into.startswith("workspace/restored-")
    assert (folder / "workspace" / "notes" / "a b.md").read_text() == "then"
    assert (folder / "last.txt").read_text() == "first day"
    assert (folder.stat().st_uid, folder.stat().st_gid) == OWNER
    assert (house.data() / "workspace" / "notes" / "a b.md").read_text() == "now"
    assert (await house.tenant()).revision == before.revision
    again = await house.ended(await house.restores.paths("alice", asked, into=into, actor=SYSTEM))
    assert again.error
    assert again.error.code == "unit_exists"


async def test_paths_lead_nowhere_else(running: RestoringHouse, tmp_path: Path) -> None:
    house = running
    await house.born()
    (tmp_path / "outside").mkdir()
    (house.data() / "link").symlink_to(tmp_path / "outside")
    await house.save()
    for bad in ("../x", "a/../../x", "a//b", "", "a\0b"):
        with pytest.raises(Invalid):
            await house.restores.paths("alice", [bad], actor=SYSTEM)
        with pytest.raises(Invalid):
            await house.restores.paths("alice", ["last.txt"], into=bad or "..", actor=SYSTEM)
    through = await house.ended(await house.restores.paths("alice", ["last.txt"], into="link/x", actor=SYSTEM))
    assert through.error
    assert through.error.code == "unit_fault"
    assert list((tmp_path / "outside").iterdir()) == []
    missing = await house.ended(await house.restores.paths("alice", ["no/such"], actor=SYSTEM))
    assert missing.error
    assert missing.error.code == "snapshot_missing"
    assert list((house.root / "restores").iterdir()) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_paths_after_a_crash(house: RestoringHouse, after: bool) -> None:
    async with house.running(works=False):
        await house.born()
        await house.save()
        operation = await house.restores.paths("alice", ["last.txt"], into="back", actor=SYSTEM)
        assert await house.dies_at(operation, 1, after=after)
    house.start("two")
    async with house.running():
        ended = await house.ended(operation)
        assert ended.status is Status.DONE, ended.error
        assert (house.data() / "back" / "last.txt").read_text() == "first day"


# --- where it is taken from -------------------------------------------------------------------------------------------


async def test_what_one_target_does_not_give_comes_from_the_other(tmp_path: Path) -> None:
    house = RestoringHouse(tmp_path, targets=(LOCAL, REMOTE))
    async with house.running():
        tenant = await house.born()
        saved = await house.save()
        near, far = (Repository(target=each, owner=tenant.id) for each in (LOCAL, REMOTE))
        await house.repositories.ready(far)
        await house.repositories.copy(near, far, saved)
        house.remember("regret")
        [found] = await house.shelf.of(tenant.id)
        assert list(found.copies) == [LOCAL, REMOTE], "two copies of one are one"
        for pack in (tmp_path / "local-repositories").glob("*/data/*/*"):
            pack.write_bytes(b"damaged")
        ended = await house.restored(safety=False, at=house.clock.now() + timedelta(seconds=1))
        assert ended.status is Status.DONE, ended.error
        assert house.remembered() == ["first day"]
