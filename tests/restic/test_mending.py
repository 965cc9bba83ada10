"""Repositories that are damaged on a disk and mended: what is whole stays, what isn't is put aside and named."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.snapshot_errors import SnapshotDamaged, TargetRefused
from innkeeper.restic import ResticStore
from innkeeper.restic.files import NearFiles
from tests.restic.deposits import AT, LOCAL, OWNER, REMOTE, MadeUpKeys, content, names, near


@dataclass
class Kept:
    """A repository with two snapshots, the second without a file that the first one has."""

    store: ResticStore
    tree: Path
    folder: Path
    first: str
    second: str

    def biggest(self) -> Path:
        return max(self.folder.glob("data/*/*"), key=lambda path: path.stat().st_size)

    async def save(self) -> str:
        return (await self.store.save(LOCAL, {"/persistence": self.tree}, name="alice", at=AT)).id

    async def restored(self, snapshot: str) -> dict[bytes, bytes | None]:
        into = self.tree.parent / f"restored-{snapshot}"
        into.mkdir()
        await self.store.restore(LOCAL, snapshot, into)
        return content(into / "persistence")


@pytest.fixture
async def kept(store: ResticStore, tree: Path, tmp_path: Path) -> Kept:
    await store.ready(LOCAL)
    (tree / "gone.bin").write_bytes(os.urandom(5 << 20))
    one = Kept(store=store, tree=tree, folder=tmp_path / "first" / OWNER, first="", second="")
    one.first = await one.save()
    (tree / "gone.bin").unlink()
    (tree / "later.bin").write_bytes(os.urandom(1 << 20))
    one.second = await one.save()
    return one


def flipped(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[len(held) // 3] ^= 1
    path.chmod(0o600)
    path.write_bytes(held)


def cut(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(b"")


SPOILS = [flipped, cut, emptied, Path.unlink]


@pytest.mark.parametrize("spoil", SPOILS)
async def test_a_pack_is_put_aside_and_the_next_snapshot_is_whole(kept: Kept, spoil: Callable[[Path], object]) -> None:
    pack = kept.biggest()
    spoil(pack)
    with pytest.raises(SnapshotDamaged):
        await kept.store.check(LOCAL, share=(1, 1))
    mended = await kept.store.mend(LOCAL)
    assert list(mended.aside) == ([str(pack.relative_to(kept.folder))] if spoil is not Path.unlink else [])
    if mended.aside:
        assert (kept.folder.parent / f".aside-{OWNER}" / mended.aside[0]).is_file()
    lacking = await kept.store.lacking(LOCAL)
    assert kept.first in lacking
    with pytest.raises(SnapshotDamaged):
        await kept.store.check(LOCAL, share=(1, 1))
    third = await kept.save()
    lacking = await kept.store.lacking(LOCAL)
    assert third not in lacking
    await kept.store.check(LOCAL, share=(1, 1), despite=lacking)
    assert await kept.restored(third) == content(kept.tree)
    assert not (await kept.store.mend(LOCAL)).aside, "it is mended already"


@pytest.mark.parametrize("spoil", [flipped, emptied, Path.unlink])
@pytest.mark.parametrize("what", ["index/*", "config"])
async def test_an_index_or_config_is_made_anew_and_nothing_is_lost(
    kept: Kept, what: str, spoil: Callable[[Path], object]
) -> None:
    for path in list(kept.folder.glob(what)):
        spoil(path)
    if spoil is not Path.unlink or what != "config":
        with pytest.raises(SnapshotDamaged):
            await kept.store.check(LOCAL)
    else:
        with pytest.raises(SnapshotDamaged):
            await kept.store.ready(LOCAL)
    assert not (await kept.store.mend(LOCAL)).anew
    assert await kept.store.lacking(LOCAL) == {}
    await kept.store.check(LOCAL, share=(1, 1))
    third = await kept.save()
    assert await kept.restored(third) == content(kept.tree) == await kept.restored(kept.second)
    assert {each.id for each in await kept.store.listing(LOCAL)} == {kept.first, kept.second, third}


@pytest.mark.parametrize("spoil", [flipped, emptied])
async def test_a_snapshots_own_file_is_put_aside_and_the_others_stay(
    kept: Kept, spoil: Callable[[Path], object]
) -> None:
    spoil(kept.folder / "snapshots" / kept.first)
    with pytest.raises(SnapshotDamaged):
        await kept.store.listing(LOCAL)
    assert (await kept.store.mend(LOCAL)).aside == [f"snapshots/{kept.first}"]
    assert [each.id for each in await kept.store.listing(LOCAL)] == [kept.second]
    await kept.store.check(LOCAL)


@pytest.mark.parametrize("spoil", [flipped, Path.unlink])
async def test_without_a_key_all_is_put_aside_and_begun_anew(kept: Kept, spoil: Callable[[Path], object]) -> None:
    before = content(kept.folder / "data")
    for path in list(kept.folder.glob("keys/*")):
        spoil(path)
    assert (await kept.store.mend(LOCAL)).anew
    assert await kept.store.listing(LOCAL) == []
    assert content(kept.folder.parent / f".aside-{OWNER}" / "whole" / "data") == before
    assert await kept.restored(await kept.save()) == content(kept.tree)
    assert await kept.store.owners("local") == [OWNER]
    await kept.store.destroy(LOCAL)
    assert names(kept.folder.parent) == [], "what was put aside is of the same owner"


class Died(BaseException):
    """The process, at that step."""


@pytest.mark.parametrize("key_too", [False, True])
async def test_wherever_it_is_cut_off_it_is_mended_the_next_time(
    kept: Kept, key_too: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in [kept.biggest(), kept.folder / "config", *kept.folder.glob("index/*")]:
        flipped(path)
    if key_too:
        for path in kept.folder.glob("keys/*"):
            flipped(path)
    lives = 0

    def mortal(name: str) -> None:
        real = getattr(NearFiles, name)

        async def dies(self: NearFiles, *which: Any) -> Any:
            nonlocal lives
            lives -= 1
            if lives < 0:
                raise Died
            await real(self, *which)
            raise Died

        monkeypatch.setattr(NearFiles, name, dies)

    with monkeypatch.context() as patched:
        monkeypatch = patched
        for name in ("aside", "all_aside", "put"):
            mortal(name)
        for life in range(6):  # before it has done anything, and after each thing that it does
            lives = life % 2
            with contextlib.suppress(Died):
                await kept.store.mend(LOCAL)
    await kept.store.mend(LOCAL)
    assert len(await kept.store.listing(LOCAL)) == (0 if key_too else 2)
    third = await kept.save()
    assert third not in await kept.store.lacking(LOCAL)
    assert await kept.restored(third) == content(kept.tree)


async def test_one_that_cant_be_opened_for_another_reason_is_left_alone(kept: Kept, tmp_path: Path) -> None:
    before = content(kept.folder)
    other = near(tmp_path, keys=MadeUpKeys("wrong"))
    with pytest.raises(TargetRefused):
        await other.mend(LOCAL)
    (kept.folder / "config").unlink()
    with pytest.raises(TargetRefused):
        await other.mend(LOCAL)
    before.pop(b"config")
    assert content(kept.folder) == before
    await kept.store.mend(LOCAL)
    assert len(await kept.store.listing(LOCAL)) == 2


async def test_of_what_is_left_a_purge_leaves_nothing(kept: Kept) -> None:
    assert not await kept.store.lies(REMOTE)
    (kept.folder / "config").unlink()
    assert not await kept.store.exists(LOCAL)
    assert await kept.store.lies(LOCAL)
    shutil.rmtree(kept.folder / "keys")
    await kept.store.mend(LOCAL)
    shutil.rmtree(kept.folder)
    assert await kept.store.lies(LOCAL), "what was put aside"
    assert await kept.store.destroy(LOCAL) == []
    assert not await kept.store.lies(LOCAL)
