"""Marks and shadows: what was written is copied, what wasn't is only a placeholder, and nobody's links lead out."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from innkeeper.core.ports.stills import Mark, Shadow, TooMuch
from innkeeper.units import memory
from innkeeper.units.marks import TICK_NS, FolderMark
from innkeeper.units.stills import FolderStills

OP = "op_1"
PLENTY = 1 << 20


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "tenants" / "alice" / "persistence"
    home.mkdir(parents=True)
    return home


@pytest.fixture(params=["memory", "disk"])
def stills(tmp_path: Path, home: Path, request: pytest.FixtureRequest) -> Iterator[FolderStills]:
    in_memory = memory.folder_for(tmp_path) if request.param == "memory" else None
    stills = FolderStills(
        tmp_path / "tenants",
        staging=tmp_path / "staging",
        kept=tmp_path / "marks",
        in_memory=in_memory,
        entries_max=1000,
    )
    yield stills
    stills.close()
    if in_memory is not None:
        shutil.rmtree(in_memory, ignore_errors=True)


def grow(home: Path) -> None:
    """Something of everything."""
    (home / "work" / "deep").mkdir(parents=True)
    (home / "work" / "plain").write_bytes(b"plain" * 1000)
    (home / "work" / "deep" / "secret").write_bytes(b"s")
    (home / "work" / "deep" / "secret").chmod(0o600)
    (home / "empty").touch()
    (home / "odd \udcff\nname").write_bytes(b"odd")
    os.link(home / "work" / "plain", home / "again")
    (home / "link").symlink_to("/etc/passwd")
    (home / "work" / "deep").chmod(0o750)
    os.utime(home / "work" / "plain", ns=(1, 1_600_000_000_123_456_789))
    os.utime(home / "work", ns=(1, 1_500_000_000_000_000_001))


async def settled(stills: FolderStills, home: Path) -> FolderMark:
    """A mark of a folder that was at rest for more than a tick of the kernel's."""
    mark = await stills.mark("alice", leave_out=())
    assert isinstance(mark, FolderMark)
    mark.began_ns += 2 * TICK_NS
    return mark


async def laid_out(stills: FolderStills, since: Mark) -> Shadow:
    await stills.prepare(OP, since=since, bytes_max=PLENTY)
    taken = await stills.take("alice", OP, since=since, leave_out=(), bytes_max=PLENTY)
    return await stills.lay_out(OP, taken, since=since)


def told(root: Path) -> dict[str, object]:
    """All that a snapshot would tell of a tree, but for contents."""
    found: dict[str, object] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        status = path.lstat()
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        link = path.readlink() if path.is_symlink() else None
        found[str(path.relative_to(root))] = status.st_mode, status.st_uid, size, status.st_mtime_ns, link
    return found


async def test_of_what_wasnt_written_there_are_only_placeholders(stills: FolderStills, home: Path) -> None:
    grow(home)
    shadow = await laid_out(stills, await settled(stills, home))
    assert told(shadow.folder) == told(home)
    assert (shadow.placeholders, shadow.copies) == (5, 0)
    assert (shadow.folder / "work" / "plain").read_bytes() == bytes(5000)
    assert (shadow.folder / "work" / "plain").stat().st_ino == (shadow.folder / "again").stat().st_ino
    assert (shadow.folder / "work" / "plain").stat().st_blocks == 0


async def test_what_was_written_is_copied_with_an_mtime_that_nobody_can_have_seen(
    stills: FolderStills, home: Path
) -> None:
    grow(home)
    since = await settled(stills, home)
    before = (home / "work" / "deep" / "secret").stat()
    (home / "work" / "deep" / "secret").write_bytes(b"t")
    os.utime(home / "work" / "deep" / "secret", ns=(before.st_atime_ns, before.st_mtime_ns))  # as if it weren't
    (home / "new").write_bytes(b"new")
    (home / "empty").unlink()
    shadow = await laid_out(stills, since)
    assert (shadow.placeholders, shadow.copies) == (3, 2)
    copy = shadow.folder / "work" / "deep" / "secret"
    assert copy.read_bytes() == b"t"
    assert 0 < copy.stat().st_mtime_ns - before.st_mtime_ns < 1000
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert (shadow.folder / "new").read_bytes() == b"new"
    assert not (shadow.folder / "empty").exists()


async def test_a_file_with_several_names_is_copied_once(stills: FolderStills, home: Path) -> None:
    grow(home)
    since = await settled(stills, home)
    (home / "again").write_bytes(b"both")
    shadow = await laid_out(stills, since)
    assert (shadow.placeholders, shadow.copies) == (3, 2)
    assert (shadow.folder / "work" / "plain").read_bytes() == b"both"
    assert (shadow.folder / "work" / "plain").stat().st_ino == (shadow.folder / "again").stat().st_ino


async def test_what_was_written_in_the_moment_of_the_mark_counts_as_written_since(
    stills: FolderStills, home: Path
) -> None:
    (home / "just").write_bytes(b"now")
    since = await stills.mark("alice", leave_out=())
    await stills.prepare(OP, since=since, bytes_max=PLENTY)
    taken = await stills.take("alice", OP, since=since, leave_out=(), bytes_max=PLENTY)
    assert taken.copies == 1


async def test_the_next_shadow_knows_by_which_mtime_a_copy_went_into_the_last_one(
    stills: FolderStills, home: Path
) -> None:
    grow(home)
    (home / "again").write_bytes(b"both")
    first = await laid_out(stills, FolderMark(began_ns=0))
    copied = (first.folder / "again").stat().st_mtime_ns
    await stills.keep("tn_1", "aa", first.mark)
    kept = await stills.kept("tn_1", "aa")
    assert isinstance(kept, FolderMark)
    kept.began_ns += 2 * TICK_NS
    second = await laid_out(stills, kept)
    assert second.copies == 0
    assert (second.folder / "again").stat().st_mtime_ns == copied == (second.folder / "work/plain").stat().st_mtime_ns
    assert await stills.kept("tn_1", "bb") is None, "of another snapshot"
    await stills.drop("tn_1")
    assert await stills.kept("tn_1", "aa") is None


async def test_attributes_and_holes_come_along(stills: FolderStills, home: Path) -> None:
    sparse = home / "sparse"
    with sparse.open("wb") as file:
        file.write(b"begin")
        file.seek(1 << 30)
        file.write(b"end")
    os.setxattr(sparse, "user.note", b"hello")
    (home / "still").touch()
    os.setxattr(home / "still", "user.note", b"world")
    since = await settled(stills, home)
    del since.entries["sparse"]
    shadow = await laid_out(stills, since)
    copy = shadow.folder / "sparse"
    assert copy.stat().st_size == sparse.stat().st_size
    assert copy.stat().st_blocks == sparse.stat().st_blocks
    with copy.open("rb") as file:
        assert file.read(5) == b"begin"
        file.seek(1 << 30)
        assert file.read() == b"end"
    assert os.getxattr(copy, "user.note") == b"hello"
    assert os.getxattr(shadow.folder / "still", "user.note") == b"world"


async def test_the_digest_tells_whether_anything_was_touched(stills: FolderStills, home: Path) -> None:
    grow(home)
    first, again = await stills.mark("alice", leave_out=()), await stills.mark("alice", leave_out=())
    assert await stills.digest(first) == await stills.digest(again)
    (home / "empty").chmod(0o600)
    assert await stills.digest(await stills.mark("alice", leave_out=())) != await stills.digest(first)


async def test_what_is_left_out_is_in_neither(stills: FolderStills, home: Path) -> None:
    grow(home)
    mark = await stills.mark("alice", leave_out=["work/deep"])
    assert isinstance(mark, FolderMark)
    assert "work" in mark.entries
    assert not any(path.startswith("work/deep") for path in mark.entries)


async def test_links_pipes_and_sockets_lead_nowhere(stills: FolderStills, home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_bytes(b"mine")
    (home / "door").symlink_to(outside)
    (home / "file").symlink_to(outside / "mine")
    os.mkfifo(home / "pipe")
    shadow = await laid_out(stills, FolderMark(began_ns=0))
    assert (shadow.placeholders, shadow.copies) == (0, 0)
    assert (shadow.folder / "door").readlink() == outside
    assert sorted(path.name for path in shadow.folder.iterdir()) == ["door", "file"]


async def test_a_folder_that_is_a_link_is_no_tenants(stills: FolderStills, home: Path, tmp_path: Path) -> None:
    home.rmdir()
    home.symlink_to("/etc")
    with pytest.raises(Exception, match="a folder was expected there"):
        await stills.mark("alice", leave_out=())


async def test_too_much_is_told_before_it_takes_long(stills: FolderStills, home: Path) -> None:
    for number in range(1001):
        (home / str(number)).touch()
    with pytest.raises(TooMuch):
        await stills.mark("alice", leave_out=())
    for number in range(1000):
        (home / str(number)).unlink()
    (home / "large").write_bytes(bytes(1000))
    await stills.prepare(OP, since=FolderMark(began_ns=0), bytes_max=999)
    with pytest.raises(TooMuch):
        await stills.take("alice", OP, since=FolderMark(began_ns=0), leave_out=(), bytes_max=999)


async def test_staging_is_found_and_cleared(stills: FolderStills, home: Path, tmp_path: Path) -> None:
    grow(home)
    await laid_out(stills, FolderMark(began_ns=0))
    (home.parent / ".env").write_text("PORT=1\n")
    beside = await stills.beside(OP, unit=await stills.unit_files("alice"), manifest=b"{}")
    assert (beside["/innkeeper"] / "manifest.json").read_bytes() == b"{}"
    assert (beside["/unit"] / ".env").read_text() == "PORT=1\n"
    assert await stills.staged() == [OP]
    await stills.clear(OP)
    await stills.clear(OP)
    assert await stills.staged() == []
    with pytest.raises(ValueError, match="persistence"):
        await stills.clear("../tenants/alice/persistence")


@pytest.fixture
async def looked_at(stills: FolderStills) -> Path:
    return await stills.room(OP, "databases")


def database(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (a)")
    connection.executemany("INSERT INTO t VALUES (?)", [("x" * 500,) for _ in range(200)])
    connection.commit()
    return connection


async def test_databases_are_looked_through_with_their_logs(stills: FolderStills, looked_at: Path) -> None:
    connection = database(looked_at / "whole")
    (looked_at / "copy").write_bytes((looked_at / "whole").read_bytes())
    (looked_at / "copy-wal").write_bytes((looked_at / "whole-wal").read_bytes())
    connection.close()
    broken = bytearray((looked_at / "whole").read_bytes())
    broken[5000:9000] = os.urandom(4000)
    (looked_at / "broken").write_bytes(broken)
    (looked_at / "none.db").write_bytes(b"no database at all")
    (looked_at / "cut").write_bytes(bytes(broken[:3000]))
    found = await stills.unsound(looked_at, ["whole", "copy", "broken", "none.db", "cut"])
    assert sorted(found) == ["broken", "cut"]


async def test_databases_are_known_by_content_and_by_name(stills: FolderStills, home: Path) -> None:
    connection = database(home / "memory.data")
    (home / "old.sqlite").write_bytes(b"?")
    shadow = await laid_out(stills, FolderMark(began_ns=0))
    assert shadow.databases == ["memory.data"]
    assert sorted(stills.databases_in(shadow.mark, since=None)) == ["memory.data", "old.sqlite"]
    assert list(stills.with_journals(shadow.mark, ["memory.data"])) == ["memory.data", "memory.data-wal"]
    connection.close()
