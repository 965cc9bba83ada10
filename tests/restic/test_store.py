"""Snapshots by a real restic: taken, listed, read, restored, copied, checked, forgotten, removed."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from innkeeper.core.errors import UnitFault
from innkeeper.core.ports.snapshots import CONTROL, EntryKind, Repository, Saved
from innkeeper.core.snapshot_errors import BackupFailed, SnapshotMissing, TargetUnknown
from innkeeper.restic import ResticStore
from tests.restic.deposits import AT, LOCAL, OWNER, REMOTE, MadeUpKeys, a_socket, content, names, near, needs_root


async def saved(store: ResticStore, tree: Path, **more: object) -> Saved:
    """A snapshot of the tree at the first target."""
    await store.ready(LOCAL)
    asked = {"name": "alice", "at": AT, "tags": ("auto",)} | more
    return await store.save(LOCAL, {"/persistence": tree}, **asked)  # type: ignore[arg-type]


# --- taken and restored -----------------------------------------------------------------------------------------------


async def test_what_is_restored_is_what_was_saved(store: ResticStore, tree: Path, into: Path) -> None:
    snapshot = await saved(store, tree)
    assert (snapshot.files_new, snapshot.dirs_new) == (5, 3)
    await store.restore(LOCAL, snapshot.id, into)
    assert content(into / "persistence") == content(tree)
    assert stat.S_IMODE((into / "persistence/sessions.json").stat().st_mode) == 0o600


@needs_root
async def test_owners_times_links_and_attributes_come_back(store: ResticStore, tree: Path, into: Path) -> None:
    large = tree / "workspace/large"
    os.link(large, tree / "hard")
    (tree / "soft").symlink_to("/etc/shadow")
    os.mkfifo(tree / "fifo")
    os.setxattr(large, "user.kind", b"model")
    for path in (large, tree / "soft", tree / "fifo", tree / "workspace"):
        os.chown(path, 1000, 1000, follow_symlinks=False)
    large.chmod(0o2750)
    os.utime(large, ns=(1, 1_700_000_000_123_456_789))
    snapshot = await saved(store, tree)
    await store.restore(LOCAL, snapshot.id, into)
    back = into / "persistence"
    assert (back / "workspace/large").stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert (back / "workspace/large").stat().st_mode == large.stat().st_mode
    assert (back / "workspace/large").samefile(back / "hard")
    assert os.getxattr(back / "workspace/large", "user.kind") == b"model"
    assert str((back / "soft").readlink()) == "/etc/shadow"
    assert stat.S_ISFIFO((back / "fifo").lstat().st_mode)
    assert [(back / name).lstat().st_uid for name in ("soft", "fifo", "workspace", "sessions.json")] == [
        *(1000, 1000, 1000),
        0,
    ]


@needs_root
async def test_devices_and_sockets_are_left_out_and_nothing_fails(store: ResticStore, tree: Path, into: Path) -> None:
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(tree / "error: operation not permitted", stat.S_IFBLK | 0o666, os.makedev(7, 0))
    a_socket(tree / "sock")
    snapshot = await saved(store, tree)
    await store.restore(LOCAL, snapshot.id, into)
    assert not {"null", "sock"} & set(names(into / "persistence"))
    assert (into / "persistence/workspace/SOUL.md").read_text() == "I remember."


async def test_several_folders_lie_side_by_side_in_it(
    store: ResticStore, tmp_path: Path, tree: Path, into: Path
) -> None:
    manifest = tmp_path / "manifest"
    manifest.mkdir()
    (manifest / "manifest.json").write_text("{}")
    await store.ready(LOCAL)
    folders = {"/persistence": tree, "/innkeeper": manifest}
    snapshot = await store.save(LOCAL, folders, name="alice", at=AT)
    await store.restore(LOCAL, snapshot.id, into, paths=["/innkeeper"])
    assert content(into) == {b"innkeeper": None, b"innkeeper/manifest.json": b"{}"}
    assert (await store.listing(LOCAL))[0].folders == ("/innkeeper", "/persistence")


async def test_single_paths_are_restored_alone(store: ResticStore, tree: Path, into: Path) -> None:
    snapshot = await saved(store, tree)
    await store.restore(LOCAL, snapshot.id, into, paths=["/persistence/workspace/SOUL.md"])
    assert {path for path, held in content(into).items() if held is not None} == {b"persistence/workspace/SOUL.md"}


# Each beside another that a pattern of it would fit, or that a line of it is.
STRANGE = ["a*b", "axb", "q?", "qx", "[ab]", "a", "x\\y", "x", "nl\nz", "nl", "-lead", "\\", "**", "uni é☃", "$HOME"]
STRANGE += [
    "!no",
    "#c",
    " sp ",
    "{a,b}",
    "]",
    "[",
    "^",
    "tab\t",
    "cr\r",
    "@x",
    "~",
    "%d",
    "d*/[in]",
    "dx/[in]",
    "**d/y",
    "caf\udce9",
]


async def test_a_path_is_a_name_whatever_is_in_it_and_no_pattern(store: ResticStore, tree: Path, into: Path) -> None:
    for name in STRANGE:
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(os.fsencode(name))
    snapshot = await saved(store, tree)
    for number, paths in enumerate([STRANGE[::2], STRANGE[1::2], ["d*", "**d"]]):
        (here := into / str(number)).mkdir()
        await store.restore(LOCAL, snapshot.id, here, paths=[f"/persistence/{path}" for path in paths])
        came = {os.fsdecode(held) for held in content(here).values() if held is not None}
        assert came == {name for name in STRANGE if name in paths or name.partition("/")[0] in paths}
    listed = [entry async for entry in store.entries(LOCAL, snapshot.id, "/persistence/d*/[in]")]
    assert len(listed) == 1, "its size is looked up by its name, too"


async def test_it_restores_into_an_empty_folder_only(store: ResticStore, tree: Path, into: Path) -> None:
    snapshot = await saved(store, tree)
    (into / "mine").write_text("stays")
    with pytest.raises(UnitFault, match="isn't empty"):
        await store.restore(LOCAL, snapshot.id, into)
    with pytest.raises(SnapshotMissing):
        await store.restore(LOCAL, "0" * 64, tree / "workspace/empty")


# --- what is read again -----------------------------------------------------------------------------------------------


async def test_what_is_unmodified_is_not_read_again(store: ResticStore, tree: Path) -> None:
    first = await saved(store, tree)
    (tree / "workspace/SOUL.md").write_text("I remember more.")
    second = await saved(store, tree, parent=first.id)
    assert (second.files_new, second.files_changed, second.files_unmodified) == (0, 1, 4)


async def test_a_moved_tree_is_unmodified_by_time_and_size(store: ResticStore, tree: Path, tmp_path: Path) -> None:
    first = await saved(store, tree)
    moved = tmp_path / "elsewhere"
    subprocess.run(["cp", "-a", str(tree), str(moved)], check=True)  # other inodes, another ctime
    again = await saved(store, moved, parent=first.id)
    assert again.files_unmodified == 0
    again = await saved(store, moved, parent=first.id, by_time_and_size=True)
    assert again.files_unmodified == 5


async def test_a_parent_that_is_gone_is_told(store: ResticStore, tree: Path) -> None:
    await store.ready(LOCAL)
    with pytest.raises(SnapshotMissing):
        await saved(store, tree, parent="0" * 64)


async def test_what_is_excluded_is_left_out(store: ResticStore, tree: Path) -> None:
    (tree / "cache/control-ui-assets").mkdir(parents=True)
    (tree / "cache/control-ui-assets/app.js").write_text("x")
    snapshot = await saved(store, tree, excludes=["/persistence/cache/control-ui-assets", "*.json"])
    async with aclosing(store.entries(LOCAL, snapshot.id)) as entries:
        found = [entry.path.name async for entry in entries]
    assert "cache" in found
    assert not {"control-ui-assets", "app.js", "sessions.json"} & set(found)


@needs_root
async def test_other_file_systems_are_not_entered(store: ResticStore, tree: Path, small_disk: Path) -> None:
    (small_disk / "theirs").write_text("x")
    (tree / "mounted").mkdir()
    subprocess.run(["mount", "--bind", str(small_disk), str(tree / "mounted")], check=True)
    try:
        snapshot = await saved(store, tree)
    finally:
        subprocess.run(["umount", str(tree / "mounted")], check=True)
    async with aclosing(store.entries(LOCAL, snapshot.id)) as entries:
        assert "theirs" not in [entry.path.name async for entry in entries]


# --- listed and looked into -------------------------------------------------------------------------------------------


async def test_the_listing_tells_time_name_and_tags(store: ResticStore, tree: Path) -> None:
    assert await store.listing(LOCAL) == []
    late = await saved(store, tree, at=AT + timedelta(hours=1), tags=("manual", "kept"))
    early = await saved(store, tree)
    listed = await store.listing(LOCAL)
    assert [(each.id, each.at) for each in listed] == [(early.id, AT), (late.id, AT + timedelta(hours=1))]
    assert (listed[1].name, listed[1].tags, listed[1].original) == ("alice", frozenset({"manual", "kept"}), None)


async def test_entries_are_told_one_by_one(store: ResticStore, tree: Path) -> None:
    snapshot = await saved(store, tree)
    async with aclosing(store.entries(LOCAL, snapshot.id, "/persistence/workspace")) as entries:
        found = {entry.path.name: entry async for entry in entries}
    assert {"SOUL.md", "large", "new\nline", "empty"} <= found.keys()
    assert "sessions.json" not in found
    assert (found["large"].size, found["large"].kind) == (3 << 20, EntryKind.FILE)
    assert found["empty"].kind is EntryKind.FOLDER
    async with aclosing(store.entries(LOCAL, snapshot.id)) as entries:
        async for _ in entries:
            break  # and restic is gone


async def test_entries_of_no_snapshot_are_missing(store: ResticStore, tree: Path) -> None:
    await saved(store, tree)
    with pytest.raises(SnapshotMissing):
        async with aclosing(store.entries(LOCAL, "0" * 64)) as entries:
            assert [entry async for entry in entries] == []


async def test_one_file_is_read_up_to_a_limit(store: ResticStore, tree: Path) -> None:
    snapshot = await saved(store, tree)
    assert await store.read(LOCAL, snapshot.id, "/persistence/workspace/SOUL.md", limit=100) == b"I remember."
    with pytest.raises(BackupFailed, match="larger than 100 bytes"):
        await store.read(LOCAL, snapshot.id, "/persistence/workspace/large", limit=100)
    with pytest.raises(SnapshotMissing):
        await store.read(LOCAL, snapshot.id, "/persistence/none", limit=100)


# --- copied, checked, forgotten ---------------------------------------------------------------------------------------


async def test_a_copy_is_whole_and_shares_what_is_alike(store: ResticStore, tree: Path, into: Path) -> None:
    first = await saved(store, tree)
    await store.ready(REMOTE)
    copied = await store.copy(LOCAL, REMOTE, first.id)
    assert await store.copy(LOCAL, REMOTE, first.id) == copied
    assert [(each.id, each.original) for each in await store.listing(REMOTE)] == [(copied, first.id)]
    before = size(store, REMOTE)
    direct = await store.save(REMOTE, {"/persistence": tree}, name="alice", at=AT)
    assert direct.bytes_added < 1 << 16  # cut by the same parameters
    assert size(store, REMOTE) - before < 1 << 16
    await store.restore(REMOTE, copied, into)
    assert content(into / "persistence") == content(tree)


async def test_what_is_not_there_is_not_copied(store: ResticStore, tree: Path) -> None:
    await saved(store, tree)
    await store.ready(REMOTE)
    with pytest.raises(SnapshotMissing):
        await store.copy(LOCAL, REMOTE, "0" * 64)


async def test_a_share_of_the_data_is_checked(store: ResticStore, tree: Path) -> None:
    await saved(store, tree)
    await store.check(LOCAL)
    for part in (1, 2):
        await store.check(LOCAL, share=(part, 2))


async def test_what_is_forgotten_goes_at_the_next_prune(store: ResticStore, tree: Path) -> None:
    first = await saved(store, tree)
    (tree / "workspace/large").unlink()
    second = await saved(store, tree)
    await store.forget(LOCAL, [first.id, first.id, "0" * 64])
    assert [each.id for each in await store.listing(LOCAL)] == [second.id]
    before = size(store, LOCAL)
    await store.prune(LOCAL)
    assert size(store, LOCAL) < before - (2 << 20)
    await store.check(LOCAL, share=(1, 1))


# --- repositories -----------------------------------------------------------------------------------------------------


async def test_made_by_two_at_once_it_is_one(tmp_path: Path, tree: Path) -> None:
    stores = [near(tmp_path) for _ in range(4)]
    await asyncio.gather(*(store.ready(LOCAL) for store in stores))
    assert names(tmp_path / "first") == [OWNER]
    await saved(stores[0], tree)
    await stores[1].check(LOCAL)


async def test_its_owner_gets_a_key_when_it_is_made_and_not_before(tmp_path: Path) -> None:
    keys = MadeUpKeys()
    store = near(tmp_path, keys=keys)
    assert await store.listing(LOCAL) == []
    assert keys.made == []
    await store.ready(LOCAL)
    await store.ready(LOCAL)
    assert keys.made == [OWNER]


async def test_one_that_was_made_by_half_is_in_nobodys_way(tmp_path: Path, store: ResticStore, tree: Path) -> None:
    half = tmp_path / "first" / f".new-{OWNER}-1234"
    (half / "keys").mkdir(parents=True)
    (half / "keys/0").write_text("{}")
    await saved(store, tree)
    assert await store.owners("local") == [OWNER]
    await store.destroy(LOCAL)
    assert names(tmp_path / "first") == []


async def test_what_lies_in_its_place_is_not_touched(tmp_path: Path, store: ResticStore) -> None:
    (tmp_path / "first" / OWNER).mkdir(parents=True)
    (tmp_path / "first" / OWNER / "photo.jpg").write_text("mine")
    with pytest.raises(BackupFailed, match="in the way"):
        await store.ready(LOCAL)
    with pytest.raises(BackupFailed, match="in the way"):
        await store.mend(LOCAL)
    assert names(tmp_path / "first") == [OWNER]
    assert names(tmp_path / "first" / OWNER) == ["photo.jpg"]


async def test_a_removed_repository_is_gone_and_may_be_removed_again(
    tmp_path: Path, store: ResticStore, tree: Path
) -> None:
    other = replace(LOCAL, owner=CONTROL)
    await store.ready(other)
    await saved(store, tree)
    assert await store.owners("local") == [CONTROL, OWNER]
    (tmp_path / "first" / f".gone-{OWNER}").mkdir()  # of a removal that was killed
    assert list(await store.destroy(LOCAL)) == []
    assert list(await store.destroy(LOCAL)) == []
    assert names(tmp_path / "first") == [CONTROL]
    assert not await store.exists(LOCAL)


async def test_a_removal_that_died_in_the_middle_is_ended(tmp_path: Path, store: ResticStore, tree: Path) -> None:
    await saved(store, tree)
    folder = tmp_path / "first" / OWNER
    (folder / "config").unlink()
    folder.rename(tmp_path / "first" / f".gone-{OWNER}")
    assert await store.owners("local") == []
    await store.destroy(LOCAL)
    assert names(tmp_path / "first") == []


async def test_targets_are_told_and_others_unknown(store: ResticStore) -> None:
    assert store.targets == ["local", "remote"]
    assert not store.is_far("remote")
    with pytest.raises(TargetUnknown):
        await store.listing(Repository(target="moon", owner=OWNER))


@pytest.mark.parametrize("inside", ["persistence", "/a/../b", "/repository", "/a/"])
async def test_a_path_that_is_none_is_refused(store: ResticStore, tree: Path, inside: str) -> None:
    with pytest.raises(UnitFault, match="no path in a snapshot"):
        await store.save(LOCAL, {inside: tree}, name="alice", at=AT)


def size(store: ResticStore, repository: Repository) -> int:
    """What the repository takes."""
    folder = store._calls.folder(repository)
    assert folder is not None
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
