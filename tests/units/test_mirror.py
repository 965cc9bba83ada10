"""The two-pass copy: it comes out the same, however its owner worked in it meanwhile, and stays within itself."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from innkeeper.core.unit_limits import DEPTH_MAX
from innkeeper.units import mirror as mirrors
from innkeeper.units.mirror import HOLES_MAX_BYTES, Mark, Stopped, mirror


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def copied(source: Path, target: Path, since: Mark | None = None, **options: object) -> Mark:
    flags = os.O_RDONLY | os.O_DIRECTORY
    one, other = os.open(source, flags), os.open(target, flags)
    try:
        return mirror(one, other, since=since, **options)  # type: ignore[arg-type]
    finally:
        os.close(one)
        os.close(other)


def tree(top: Path) -> dict[str, object]:
    """All that lies there, as far as a copy has to be the same."""
    return dict(_entries(top))


def _entries(top: Path) -> Iterator[tuple[str, object]]:
    for folder, _, names in os.walk(top):
        at = Path(folder)
        yield str(at.relative_to(top)), stat.S_IMODE(at.stat().st_mode) | 0o700 if at != top else None
        for each in (*(at / name for name in names), *at.iterdir()):
            found = each.lstat()
            if stat.S_ISLNK(found.st_mode):
                yield str(each.relative_to(top)), str(each.readlink())
            elif stat.S_ISREG(found.st_mode):
                content = each.read_bytes() if found.st_size < 1 << 20 else found.st_blocks
                yield str(each.relative_to(top)), (content, stat.S_IMODE(found.st_mode), found.st_mtime_ns)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time enough has gone by since the last change."""
    monkeypatch.setattr(mirrors, "_SETTLED_NS", -1)


def test_everything_comes_out_the_same(source: Path, target: Path) -> None:
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "b" / "file").write_bytes(b"x" * 300_000)
    (source / "a" / "one").write_bytes(b"1")
    (source / "a" / "one").chmod(0o400)
    os.link(source / "a" / "one", source / "other")
    (source / "link").symlink_to("/etc/passwd")
    (source / "folders").symlink_to("a")
    (source / os.fsdecode(b"n\xff\n")).write_bytes(b"odd")
    with (source / "holes").open("wb") as file:
        file.truncate(50 << 20)
        file.seek(20 << 20)
        file.write(b"in between")
    mark = copied(source, target)
    assert tree(source) == tree(target)
    assert (target / "other").stat().st_ino == (target / "a" / "one").stat().st_ino
    assert (target / "holes").stat().st_blocks * 512 < 2 << 20
    assert (mark.copied, mark.left_out, mark.changed) == (4, {}, [])


def test_the_second_pass_copies_what_changed_and_drops_what_is_gone(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(monkeypatch)
    for name in ("same", "grows", "goes", "turns", "linked"):
        (source / name).write_bytes(name.encode())
    (source / "folder" / "below").mkdir(parents=True)
    (source / "folder" / "below" / "file").write_bytes(b"1")
    (source / "gone" / "below").mkdir(parents=True)
    (source / "link").symlink_to("same")
    first = copied(source, target)
    (source / "grows").write_bytes(b"grown")
    (source / "goes").unlink()
    (source / "turns").unlink()
    (source / "turns").mkdir()
    (source / "turns" / "new").write_bytes(b"new")
    (source / "folder" / "below" / "file").unlink()
    (source / "folder" / "below").rmdir()
    (source / "folder").rmdir()
    (source / "folder").write_bytes(b"a file now")
    (source / "gone" / "below").rmdir()
    (source / "gone").rmdir()
    (source / "link").unlink()
    (source / "link").symlink_to("grows")
    os.link(source / "linked", source / "again")
    second = copied(source, target, first)
    assert tree(source) == tree(target)
    assert second.copied == 4
    assert copied(source, target, second).copied == 0


def test_what_was_changed_just_now_is_copied_again(source: Path, target: Path) -> None:
    (source / "file").write_bytes(b"1")
    mark = copied(source, target)
    assert mark.files == {"file": None}
    assert copied(source, target, mark).copied == 1


def test_a_folder_that_became_a_link_leads_nobody_astray(
    source: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(monkeypatch)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"somebody's")
    (source / "folder").mkdir()
    (source / "folder" / "file").write_bytes(b"1")
    (source / "folder" / "more").mkdir()
    mark = copied(source, target)
    for name in ("file", "more"):
        path = source / "folder" / name
        path.rmdir() if path.is_dir() else path.unlink()
    (source / "folder").rmdir()
    (source / "folder").symlink_to(outside)
    copied(source, target, mark)
    assert (outside / "file").read_bytes() == b"somebody's"
    assert str((target / "folder").readlink()) == str(outside)


def test_what_holds_no_data_is_left_out_and_told(source: Path, target: Path) -> None:
    os.mkfifo(source / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(source / "socket"))
        with (source / "huge").open("wb") as file:
            file.truncate(HOLES_MAX_BYTES + (1 << 20))
        here = source
        for _ in range(DEPTH_MAX + 5):
            here = here / "d"
            here.mkdir()
        (here / "file").write_bytes(b"1")
        mark = copied(source, target)
    told = {path.rpartition("/")[2]: why for path, why in mark.left_out.items()}
    assert told.keys() == {"fifo", "socket", "huge", "d"}
    assert "too deep" in told["d"]
    assert names(target) == ["d"]


def test_caches_are_left_out(source: Path, target: Path) -> None:
    for path in ("state/cache/assets", "state/cache/other"):
        (source / path).mkdir(parents=True)
        (source / path / "file").write_bytes(b"1")
    copied(source, target, leave_out=["state/cache/assets"])
    assert names(target / "state" / "cache") == ["other"]


def test_nobody_can_make_it_look_at_a_million_names(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "ENTRIES_MAX", 10)
    for number in range(11):
        (source / str(number)).write_bytes(b"")
    with pytest.raises(Exception, match="more than 10 files"):
        copied(source, target)


def test_who_isnt_wanted_any_more_stops(source: Path, target: Path) -> None:
    for number in range(10):
        (source / str(number)).write_bytes(b"1")
    looks = iter([True] * 6)
    with pytest.raises(Stopped):
        copied(source, target, wanted=lambda: next(looks, False))
    assert len(names(target)) < 10


def test_a_file_that_changes_while_it_is_copied_is_told(source: Path, target: Path) -> None:
    path = source / "log"
    path.write_bytes(b"x" * (3 << 20))

    def wanted() -> bool:
        with path.open("ab") as file:
            file.write(b"y")
        return True

    mark = copied(source, target, wanted=wanted)
    assert mark.changed == ["log"]
    assert mark.files == {"log": None}
