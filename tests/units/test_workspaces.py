"""Packs delivered into real folders: what tenants changed, deleted or planted there stays as they made it."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.errors import DiskFull
from innkeeper.core.goods import Goods
from innkeeper.core.merging import Act
from innkeeper.core.pack_errors import HydrationUnreadable, PackDamaged, PacksClash
from innkeeper.core.ports.packs import Delivered
from innkeeper.units import placing, workspaces
from innkeeper.units.exchange import exchange
from tests.support.house import House
from tests.support.packs import OWNER, Packs, packs_for, texts, unit

V1 = {"SOUL.md": "soul 1", "sops/intake.md": "intake 1", "sops/billing.md": "billing 1", "bin/check": "#!check 1"}
V2 = {"SOUL.md": "soul 2", "sops/intake.md": "intake 2", "bin/check": "#!check 2", "sops/new.md": "new 2"}


class Shop:
    """A tenant's folder, and packs to be delivered to it."""

    def __init__(self, data: Path) -> None:
        self.house = House()
        self.packs: Packs = packs_for(self.house, data)
        self.data = data
        self.persistence = unit(data)
        self.workspace = self.persistence / "workspace"

    async def deliver(self, *versions: str, force: bool = False) -> Delivered:
        return await self.packs.workspaces.deliver(
            "alice", await self.goods(*versions), at=self.house.clock.now(), force=force
        )

    async def goods(self, *versions: str) -> Goods:
        named = [each.rpartition("@") for each in versions]
        packs = [await self.packs.library.pack(name or "core", version) for name, _, version in named]
        return Goods(packs=packs, workspace="workspace")

    def texts(self) -> dict[str, str]:
        return texts(self.workspace)

    @property
    def state(self) -> Path:
        return self.persistence.parent / "hydration.json"


@pytest.fixture
async def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    await shop.packs.add("1", V1)
    await shop.packs.add("2", V2)
    return shop


def acts(done: Delivered) -> Mapping[Act, int]:
    return Counter(item.act for item in done.items)


async def test_an_empty_workspace_is_filled_and_all_of_it_is_the_tenants(shop: Shop) -> None:
    assert await shop.packs.workspaces.is_blank("alice", "workspace")
    assert acts(await shop.deliver("1")) == {Act.ADD: 4}
    assert shop.texts() == V1
    for path in [shop.workspace, *shop.workspace.rglob("*")]:
        assert (path.stat().st_uid, path.stat().st_gid) == OWNER
    assert (shop.workspace / "bin/check").stat().st_mode & 0o777 == 0o755
    assert (shop.workspace / "SOUL.md").stat().st_mode & 0o777 == 0o644
    assert shop.state.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in shop.state.parent.iterdir()) == ["hydration.json", "persistence"]
    assert not await shop.packs.workspaces.is_blank("alice", "workspace")


async def test_a_new_version_takes_the_place_of_what_wasnt_touched(shop: Shop) -> None:
    await shop.deliver("1")
    done = await shop.deliver("2")
    assert acts(done) == {Act.UPDATE: 3, Act.ADD: 1, Act.REMOVE: 1}
    assert shop.texts() == V2
    assert acts(await shop.deliver("2")) == {Act.SAME: 4}
    assert acts(await shop.deliver("1")) == {Act.UPDATE: 3, Act.ADD: 1, Act.REMOVE: 1}, "and back again"
    assert shop.texts() == V1


async def test_what_both_changed_stays_and_the_new_version_lies_beside_it_until_that_is_settled(shop: Shop) -> None:
    await shop.deliver("1")
    (shop.workspace / "SOUL.md").write_text("my own soul")
    done = await shop.deliver("2")
    assert done.besides == {"workspace/SOUL.md": "workspace/SOUL.md.new"}
    assert shop.texts() == {**V2, "SOUL.md": "my own soul", "SOUL.md.new": "soul 2"}
    assert list((await shop.packs.workspaces.delivery("alice")).conflicts) == ["workspace/SOUL.md"]
    assert acts(await shop.deliver("2"))[Act.KEEP] == 1
    assert list((await shop.packs.workspaces.delivery("alice")).conflicts) == ["workspace/SOUL.md"], "still"
    await shop.packs.add("3", {**V2, "SOUL.md": "soul 3"})
    await shop.deliver("3")
    assert shop.texts() == {**V2, "SOUL.md": "my own soul", "SOUL.md.new": "soul 3"}, "ours is replaced"
    (shop.workspace / "SOUL.md.new").unlink()
    assert (await shop.packs.workspaces.delivery("alice")).conflicts == {}


async def test_a_conflict_is_settled_by_taking_the_new_version(shop: Shop) -> None:
    await shop.deliver("1")
    (shop.workspace / "SOUL.md").write_text("my own soul")
    await shop.deliver("2")
    (shop.workspace / "SOUL.md.new").rename(shop.workspace / "SOUL.md")
    assert (await shop.packs.workspaces.delivery("alice")).conflicts == {}
    await shop.packs.add("3", {"SOUL.md": "soul 3"})
    assert acts(await shop.deliver("3"))[Act.UPDATE] == 1


async def test_what_lies_beside_and_was_worked_on_is_left_alone(shop: Shop) -> None:
    await shop.deliver("1")
    (shop.workspace / "SOUL.md").write_text("my own soul")
    (shop.workspace / "SOUL.md.new").write_text("a file of my own")
    await shop.deliver("2")
    assert (shop.workspace / "SOUL.md.new").read_text() == "a file of my own"
    assert (shop.workspace / "SOUL.md.2.new").read_text() == "soul 2"


async def test_deletions_stay_deleted_also_when_the_pack_drops_the_file_and_has_it_again(shop: Shop) -> None:
    await shop.deliver("1")
    (shop.workspace / "sops/billing.md").unlink()
    (shop.workspace / "SOUL.md").unlink()
    assert acts(await shop.deliver("1")) == {Act.SAME: 2, Act.LEFT_DELETED: 2}
    await shop.deliver("2")
    assert acts(await shop.deliver("1", force=True))[Act.LEFT_DELETED] == 2, "force is about changes"
    assert set(shop.texts()) == {"sops/intake.md", "bin/check"}


async def test_what_the_pack_dropped_and_the_tenant_changed_is_theirs(shop: Shop) -> None:
    await shop.deliver("1")
    (shop.workspace / "sops/billing.md").write_text("my billing")
    assert acts(await shop.deliver("2"))[Act.RELEASE] == 1
    assert shop.texts()["sops/billing.md"] == "my billing"
    done = await shop.deliver("1")
    assert done.besides == {"workspace/sops/billing.md": "workspace/sops/billing.md.new"}


async def test_force_overwrites_and_saves_each_old_one(shop: Shop) -> None:
    await shop.deliver("1")
    for number, name in enumerate(("my soul", "my other soul")):
        (shop.workspace / "SOUL.md").write_text(name)
        done = await shop.deliver("1", force=True)
        assert done.saved == {"workspace/SOUL.md": f"workspace/SOUL.md{'.2' * number}.old"}
    assert shop.texts() == {**V1, "SOUL.md.old": "my soul", "SOUL.md.2.old": "my other soul"}
    outside = shop.data / "outside"
    outside.write_text("precious")
    (shop.workspace / "SOUL.md").unlink()
    (shop.workspace / "SOUL.md").symlink_to(outside)
    (shop.workspace / "bin/check").unlink()
    (shop.workspace / "bin/check").mkdir()
    (shop.workspace / "bin/check/mine").write_text("mine")
    await shop.deliver("1", force=True)
    assert shop.texts()["SOUL.md"] == "soul 1"
    assert (shop.workspace / "SOUL.md.3.old").is_symlink()
    assert shop.texts()["bin/check.old/mine"] == "mine"
    assert outside.read_text() == "precious"


@pytest.mark.parametrize("can_exchange", [True, False])
async def test_force_and_updates_do_without_a_file_system_that_exchanges(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(placing, "exchange", lambda *_, **__: False)
    await shop.deliver("1")
    (shop.workspace / "SOUL.md").write_text("my soul")
    await shop.deliver("2", force=True)
    assert shop.texts() == {**V2, "SOUL.md.old": "my soul"}


PLANTS = ["link", "dangling", "folder", "fifo", "unreadable", "huge"]


def plant(kind: str, at: Path, outside: Path) -> None:
    at.unlink(missing_ok=True)
    match kind:
        case "link":
            at.symlink_to(outside)
        case "dangling":
            at.symlink_to(outside.with_name("nowhere"))
        case "folder":
            at.mkdir()
        case "fifo":
            os.mkfifo(at)
        case "unreadable":
            at.write_text("mine")
            at.chmod(0)
        case "huge":
            with at.open("wb") as file:
                file.truncate(1 << 40)


@pytest.mark.parametrize("kind", PLANTS)
@pytest.mark.parametrize("first", [True, False])
async def test_whatever_is_where_a_file_should_be_stays_and_nothing_goes_through_it(
    shop: Shop, kind: str, first: bool
) -> None:
    outside = shop.data / "outside"
    outside.write_text("precious")
    if not first:
        await shop.deliver("1")
    shop.workspace.mkdir(exist_ok=True)
    plant(kind, shop.workspace / "SOUL.md", outside)
    before = (shop.workspace / "SOUL.md").lstat()
    done = await shop.deliver("2")
    assert done.besides == {"workspace/SOUL.md": "workspace/SOUL.md.new"}
    after = (shop.workspace / "SOUL.md").lstat()
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)
    assert (shop.workspace / "SOUL.md.new").read_text() == "soul 2"
    assert (outside.read_text(), outside.stat().st_uid) == ("precious", os.geteuid())


@pytest.mark.parametrize("place", ["workspace", "workspace/sops"])
@pytest.mark.parametrize("kind", ["link", "file"])
async def test_a_folder_that_isnt_one_bars_the_way_and_the_new_version_lies_beside_that(
    shop: Shop, place: str, kind: str
) -> None:
    await shop.deliver("1")
    elsewhere = shop.data / "elsewhere"
    barred = shop.persistence / place
    barred.rename(elsewhere)
    barred.symlink_to(elsewhere) if kind == "link" else barred.write_text("a file")
    before = texts(elsewhere)
    for force in (False, True):
        done = await shop.deliver("2", force=force)
        at = f"{place}.new/{'intake.md' if place.endswith('sops') else 'sops/intake.md'}"
        assert done.besides.get("workspace/sops/intake.md") == (None if force else at)
        assert (shop.persistence / at).read_text() == "intake 2"
    assert texts(elsewhere) == before
    assert barred.is_symlink() or barred.read_text() == "a file"


async def test_several_packs_lie_over_each_other_and_what_is_given_no_more_stays(shop: Shop) -> None:
    await shop.packs.add("1", {"SOUL.md": "gold soul", "gold.md": "gold"}, name="gold")
    await shop.deliver("1", "gold@1")
    assert shop.texts() == {**V1, "SOUL.md": "gold soul", "gold.md": "gold"}
    await shop.deliver("2")
    assert shop.texts() == {**V2, "gold.md": "gold"}, "the plan ended; what it brought, apart from what core has, stays"


async def test_packs_that_cant_lie_over_each_other_are_refused_before_anything_is_touched(shop: Shop) -> None:
    await shop.packs.add("1", {"sops": "a file"}, name="gold")
    with pytest.raises(PacksClash, match="gold has a file"):
        await shop.deliver("1", "gold@1")
    assert not shop.workspace.exists()


async def test_a_pack_can_go_to_another_folder(shop: Shop) -> None:
    await shop.packs.add("1", {"a.md": "a"}, name="lib", target="library/shared")
    await shop.deliver("lib@1")
    assert texts(shop.persistence) == {"library/shared/a.md": "a"}


async def test_a_plan_changes_nothing(shop: Shop) -> None:
    await shop.deliver("1")
    (shop.workspace / "SOUL.md").write_text("my own soul")
    before, state = shop.texts(), shop.state.read_bytes()
    items = await shop.packs.workspaces.plan("alice", await shop.goods("2"))
    assert {item.path.removeprefix("workspace/"): item.act for item in items} == {
        "SOUL.md": Act.BESIDE,
        "bin/check": Act.UPDATE,
        "sops/billing.md": Act.REMOVE,
        "sops/intake.md": Act.UPDATE,
        "sops/new.md": Act.ADD,
    }
    assert (shop.texts(), shop.state.read_bytes()) == (before, state)


async def test_nothing_is_touched_where_the_disk_is_full_before_all_of_it_lies_there(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.deliver("1")
    before = shop.texts()
    copied = 0

    def copy(pack: object, source: str, to: object) -> None:
        nonlocal copied
        copied += 1
        if copied == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(shop.packs.library, "copy", copy)
    with pytest.raises(DiskFull):
        await shop.deliver("2")
    assert shop.texts() == before
    assert not (shop.state.parent / workspaces.STAGING).exists()
    monkeypatch.undo()
    assert acts(await shop.deliver("2")) == {Act.UPDATE: 3, Act.ADD: 1, Act.REMOVE: 1}


async def test_a_damaged_pack_is_delivered_to_nobody(shop: Shop) -> None:
    kept = shop.data / "packs/core/1/files"
    (kept / "sops/intake.md").write_text("forged")
    with pytest.raises(PackDamaged, match="intake"):
        await shop.deliver("1")
    assert not shop.workspace.exists()
    await shop.packs.add("1", V1)
    await shop.deliver("1")
    assert shop.texts() == V1, "adding it again mends it"


@pytest.mark.parametrize("broken", ["", "{}", '{"format": 9}', "[]", '{"format": 1, "packs": []}'])
async def test_a_record_that_cant_be_read_stops_it_before_anything_is_touched(shop: Shop, broken: str) -> None:
    await shop.deliver("1")
    shop.state.write_text(broken)
    with pytest.raises(HydrationUnreadable):
        await shop.deliver("2")
    assert shop.texts() == V1
    shop.state.unlink()
    (shop.workspace / "SOUL.md").write_text("my own soul")
    assert acts(await shop.deliver("1")) == {Act.SAME: 3, Act.BESIDE: 1}, "without it, what differs counts as theirs"


async def test_what_the_tenant_changes_meanwhile_stays(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the deed a tenant that runs may do anything."""
    await shop.deliver("1")
    real = placing.Placing.done

    def late(self: placing.Placing, item: object, disputes: object) -> object:
        monkeypatch.setattr(placing.Placing, "done", real)
        (shop.workspace / "SOUL.md").write_text("just now")
        (shop.workspace / "sops/new.md").write_text("mine, just now")
        (shop.workspace / "sops/billing.md").write_text("billing, just now")
        (shop.workspace / "sops/intake.md").unlink()
        return real(self, item, disputes)  # type: ignore[arg-type]

    monkeypatch.setattr(placing.Placing, "done", late)
    done = await shop.deliver("2")
    assert shop.texts() == {
        "SOUL.md": "just now",
        "SOUL.md.new": "soul 2",
        "bin/check": "#!check 2",
        "sops/billing.md": "billing, just now",
        "sops/new.md": "mine, just now",
        "sops/new.md.new": "new 2",
    }
    assert acts(done) == {Act.BESIDE: 2, Act.UPDATE: 1, Act.RELEASE: 1, Act.LEFT_DELETED: 1}


async def test_two_at_once_end_as_one_after_the_other(shop: Shop) -> None:
    await asyncio.gather(shop.deliver("1"), shop.deliver("1"), shop.deliver("1"))
    assert shop.texts() == V1


# --- killed in the middle -------------------------------------------------------------------------------------------


async def test_killed_at_any_step_it_is_simply_done_again(shop: Shop, tmp_path: Path) -> None:
    """At each call that changes the disk, in turn, the process dies; the next delivery ends as an undisturbed one."""
    whole = Shop(tmp_path / "whole")
    await whole.packs.add("1", V1)
    await whole.packs.add("2", V2)
    expected, undisturbed = await _disturbed(whole, dies_at=None)
    assert expected["SOUL.md"] == "my own soul"
    for step in range(1, 200):
        here = Shop(tmp_path / str(step))
        await here.packs.add("1", V1)
        await here.packs.add("2", V2)
        found, state = await _disturbed(here, dies_at=step)
        assert found == expected, f"after dying at call {step}"
        assert state == undisturbed, f"after dying at call {step}"
        assert sorted(path.name for path in here.state.parent.iterdir()) == ["hydration.json", "persistence"]
        if not (tmp_path / str(step) / "died").exists():
            break
    assert 20 < step < 199


async def _disturbed(shop: Shop, *, dies_at: int | None) -> tuple[dict[str, str], object]:
    """Version 1, then changes of the tenant's, then version 2, in a process that dies at that call; then 2 again."""
    await shop.deliver("1")
    (shop.workspace / "SOUL.md").write_text("my own soul")
    (shop.workspace / "sops/intake.md").unlink()
    goods = await shop.goods("2")
    at = shop.house.clock.now()
    if dies_at is not None:
        await asyncio.to_thread(_in_a_process_that_dies, shop, goods, at, dies_at)
    await shop.deliver("2")
    return shop.texts(), json.loads(shop.state.read_text())


def _in_a_process_that_dies(shop: Shop, goods: Goods, at: datetime, step: int) -> None:
    child = os.fork()
    if child == 0:
        try:
            _die_at(step, shop.data / "died")
            shop.packs.workspaces._deliver(shop.state.parent, goods, at, force=False)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _die_at(step: int, told: Path) -> None:
    left = step

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                told.touch()
                os._exit(9)
            return real(*arguments, **named)

        return call

    for name in ("mkdir", "rename", "link", "unlink", "rmdir", "fsync", "fchown"):
        setattr(os, name, dying(getattr(os, name)))
    setattr(placing, "exchange", dying(exchange))  # noqa: B010 - it is imported there
