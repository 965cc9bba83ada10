"""What goes wrong with snapshots on a disk: named, with nothing half-done taken for done."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from innkeeper.core.errors import DiskFull, Problem
from innkeeper.core.snapshot_errors import (
    BackupFailed,
    BackupToolMissing,
    RepositoryLocked,
    SnapshotDamaged,
    TargetFull,
    TargetRefused,
)
from innkeeper.restic import ResticStore
from innkeeper.restic.documents import unread
from tests.restic.deposits import AT, LOCAL, OWNER, MadeUpKeys, names, near, needs_root


@pytest.fixture
async def snapshot(store: ResticStore, tree: Path) -> str:
    """One that was taken of the tree."""
    await store.ready(LOCAL)
    return (await store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT)).id


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Where it lies."""
    return tmp_path / "first" / OWNER


# --- keys and locks ---------------------------------------------------------------------------------------------------


async def test_a_wrong_key_is_refused(tmp_path: Path, snapshot: str, into: Path) -> None:
    other = near(tmp_path, keys=MadeUpKeys("wrong"))
    for call in (other.listing(LOCAL), other.restore(LOCAL, snapshot, into), other.check(LOCAL), other.prune(LOCAL)):
        with pytest.raises(TargetRefused, match="wrong password"):
            await call
    assert names(into) == []


async def test_a_dead_lock_stands_in_the_way_until_it_is_removed(
    store: ResticStore, repository: Path, tree: Path, snapshot: str
) -> None:
    leave_a_lock(store, repository, tree)
    assert names(repository / "locks")
    assert [each.id for each in await store.listing(LOCAL)] == [snapshot]  # who reads minds no lock
    again = await store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT)
    with pytest.raises(RepositoryLocked):
        await store.forget(LOCAL, [snapshot])
    with pytest.raises(RepositoryLocked):
        await store.prune(LOCAL)
    await store.unlock(LOCAL)
    assert names(repository / "locks") == []
    await store.forget(LOCAL, [snapshot])
    assert [each.id for each in await store.listing(LOCAL)] == [again.id]


def leave_a_lock(store: ResticStore, repository: Path, tree: Path) -> None:
    """What a backup leaves whose process is killed."""
    (tree / "huge").write_bytes(os.urandom(64 << 20))
    environment = {"RESTIC_PASSWORD": f"right-{OWNER}", "HOME": str(tree.parent), "PATH": os.environ["PATH"]}
    command = ["restic", "--no-cache", "--repo", str(repository), "backup", str(tree)]
    backup = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while not [name for name in names(repository / "locks") if "tmp" not in name]:
        assert backup.poll() is None
    backup.kill()
    backup.wait()
    (tree / "huge").unlink()


# --- damage -----------------------------------------------------------------------------------------------------------


def flipped(file: Path) -> None:
    """Change a byte in the middle."""
    held = bytearray(file.read_bytes())
    held[len(held) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(held)


async def test_a_changed_pack_is_found_by_the_share_that_reads_it(
    store: ResticStore, repository: Path, snapshot: str, into: Path
) -> None:
    pack = max(repository.glob("data/*/*"), key=lambda path: path.stat().st_size)
    flipped(pack)
    await store.check(LOCAL)  # the structure is whole
    with pytest.raises(SnapshotDamaged, match=pack.name[:10]):
        await store.check(LOCAL, share=(1, 1))
    with pytest.raises(Problem):
        await store.restore(LOCAL, snapshot, into)


@pytest.mark.parametrize("kind", ["data/*/*", "index/*", "snapshots/*"])
async def test_a_lost_file_is_damage(store: ResticStore, repository: Path, snapshot: str, kind: str) -> None:
    for path in repository.glob(kind):
        path.unlink()
    if kind.startswith("snapshots"):  # as if it had been forgotten
        assert await store.listing(LOCAL) == []
        return
    with pytest.raises(SnapshotDamaged):
        await store.check(LOCAL)


async def test_a_lost_pack_fails_the_restore_at_once(
    store: ResticStore, repository: Path, snapshot: str, into: Path
) -> None:
    max(repository.glob("data/*/*"), key=lambda path: path.stat().st_size).unlink()
    with pytest.raises(SnapshotDamaged):  # and isn't looked for again for a quarter of an hour
        await store.restore(LOCAL, snapshot, into)


@pytest.mark.parametrize("kind", ["index/*", "snapshots/*"])
async def test_a_changed_file_is_damage(store: ResticStore, repository: Path, snapshot: str, kind: str) -> None:
    for path in repository.glob(kind):
        flipped(path)
    with pytest.raises(SnapshotDamaged):
        await store.check(LOCAL)


async def test_a_listing_does_not_pass_over_a_damaged_snapshot(
    store: ResticStore, repository: Path, snapshot: str
) -> None:
    flipped(repository / "snapshots" / snapshot)
    with pytest.raises(SnapshotDamaged, match=snapshot[:8]):
        await store.listing(LOCAL)


@pytest.mark.parametrize("spoil", [flipped, lambda path: path.write_text("junk")])
async def test_a_changed_config_is_damage(
    store: ResticStore, repository: Path, snapshot: str, spoil: Callable[[Path], object]
) -> None:
    (repository / "config").chmod(0o600)
    spoil(repository / "config")
    with pytest.raises((SnapshotDamaged, TargetRefused, BackupFailed)):
        await store.listing(LOCAL)


# --- full disks -------------------------------------------------------------------------------------------------------


@needs_root
async def test_a_full_target_takes_no_snapshot_and_keeps_what_it_had(small_disk: Path, tree: Path) -> None:
    store = near(small_disk)
    (tree / "workspace/large").rename(tree.parent / "large")
    await store.ready(LOCAL)
    first = await store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT)
    (tree / "huge").write_bytes(os.urandom(20 << 20))
    with pytest.raises(TargetFull):
        await store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT)
    assert [each.id for each in await store.listing(LOCAL)] == [first.id]
    await store.check(LOCAL)


@needs_root
async def test_a_disk_that_fills_during_a_restore_fails_it(store: ResticStore, tree: Path, small_disk: Path) -> None:
    (tree / "huge").write_bytes(os.urandom(20 << 20))
    await store.ready(LOCAL)
    snapshot = await store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT)
    into = small_disk / "into"
    into.mkdir()
    with pytest.raises(DiskFull):
        await store.restore(LOCAL, snapshot.id, into)


# --- ended early ------------------------------------------------------------------------------------------------------


async def test_a_cancelled_backup_is_ended_and_leaves_neither_snapshot_nor_lock(
    store: ResticStore, repository: Path, tree: Path, snapshot: str
) -> None:
    (tree / "huge").write_bytes(os.urandom(300 << 20))
    told = asyncio.Event()
    saving = asyncio.create_task(
        store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT, tell=lambda done, of: told.set())
    )
    await told.wait()
    assert our_restics(tree)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert not our_restics(tree)
    assert names(repository / "locks") == []
    assert [each.id for each in await store.listing(LOCAL)] == [snapshot]


async def test_a_run_that_is_cancelled_before_it_has_begun_is_ended_too(store: ResticStore, tree: Path) -> None:
    (tree / "huge").write_bytes(os.urandom(50 << 20))
    await store.ready(LOCAL)
    for turns in range(0, 40, 4):
        saving = asyncio.create_task(store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT))
        for _ in range(turns):
            await asyncio.sleep(0)
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
        assert not our_restics(tree)
    await store.unlock(LOCAL)  # one that was just making its lock may not have removed it
    await store.check(LOCAL)  # and one that was done before it heard of its end may be there, whole


async def test_a_control_plane_that_is_killed_takes_restic_with_it(tmp_path: Path, tree: Path) -> None:
    (tree / "huge").write_bytes(os.urandom(300 << 20))
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom tests.restic.deposits import *\n"
        "async def main(folder):\n"
        "    store = near(folder)\n"
        "    await store.ready(LOCAL)\n"
        "    await store.save(LOCAL, {'/persistence': folder / 'persistence'}, name='alice', at=AT,\n"
        "        tell=lambda done, of: print('runs', flush=True))\n"
        "asyncio.run(main(Path(sys.argv[1])))\n"
    )
    control = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert control.stdout is not None
    with control, control.stdout as told:
        assert told.readline() == b"runs\n"
        restics = our_restics(tree)
        assert len(restics) == 2
        control.send_signal(signal.SIGKILL)
    for pid in restics:
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.01)
    store = near(tmp_path)
    assert await store.listing(LOCAL) == []
    await store.unlock(LOCAL)
    await store.prune(LOCAL)
    await store.check(LOCAL)


def our_restics(folder: Path) -> list[int]:
    """The processes of a backup of what lies there: bubblewrap, and the restic inside."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
                if b"bwrap" in command and b"backup" in command and os.fsencode(folder) in command:
                    children = (entry / "task" / entry.name / "children").read_text().split()
                    found += [int(entry.name), *map(int, children)]
            except OSError:
                continue
    return found


# --- what can't be read, what is missing ------------------------------------------------------------------------------


async def test_without_its_programs_it_says_which_is_missing(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BackupToolMissing, match="nonesuch"):
        await near(tmp_path, program="nonesuch").ready(LOCAL)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupToolMissing, match="bubblewrap"):
        await near(tmp_path).ready(LOCAL)


def test_a_file_that_vanished_is_not_missed_and_one_that_fails_is() -> None:
    vanished = (
        '{"message_type":"error","error":{"Op":"lstat","Path":"/persistence/a","Err":2},'
        '"during":"archival","item":"/persistence/a"}'
    )
    broken = vanished.replace('"Err":2', '"Err":5')
    assert unread([vanished, "Fatal: whatever"]) == []
    assert len(unread([vanished, broken])) == 1


# --- what others see --------------------------------------------------------------------------------------------------


async def test_no_secret_is_seen_in_the_process_list(store: ResticStore, tree: Path) -> None:
    (tree / "huge").write_bytes(os.urandom(100 << 20))
    seen = bytearray()

    def look(done: int, of: int) -> None:
        for pid in our_restics(tree):
            for file in ("cmdline", "environ"):
                with suppress(OSError):
                    seen.extend(Path(f"/proc/{pid}/{file}").read_bytes())

    await store.ready(LOCAL)
    await store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT, tell=look)
    assert b"backup" in seen
    assert b"right-" not in seen
    assert os.environ["PATH"].encode() not in seen  # nor anything else of our environment
