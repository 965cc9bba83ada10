"""The tenants' folders: what is where, whose it is, and that a crash in mid-write is mended by the next write."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from innkeeper.core.errors import DiskFull, InvalidName, UnitFault
from innkeeper.core.ports import ConfigFile
from innkeeper.units.layout import FolderUnits
from tests.units.folders import FILES, OWNER, PATH, make_units, needs_root, write


def shown(path: Path) -> tuple[int, tuple[int, int]]:
    status = path.lstat()
    return stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


async def test_everything_has_its_place_owner_and_mode(units: FolderUnits, tmp_path: Path) -> None:
    await write(units)
    unit, us = tmp_path / "tenants/a", (os.geteuid(), os.getegid())
    assert shown(unit) == (0o700, us)
    assert shown(unit / "compose.yaml") == (0o600, us)
    assert shown(unit / ".env") == (0o600, us)
    assert units.persistence("a") == str(unit / "persistence")
    for folder in ("persistence", "persistence/.agent"):
        assert shown(unit / folder) == (0o700, OWNER)
    for file in FILES:
        assert shown(unit / "persistence" / file.path) == (0o600, OWNER)
        assert (unit / "persistence" / file.path).read_bytes() == file.content


async def test_what_was_written_is_read_and_the_rest_is_not_there(units: FolderUnits) -> None:
    assert await units.read("a", [PATH]) == {}
    await write(units)
    assert await units.read("a", [PATH, "absent", "notes.txt/below"]) == {PATH: b'{"new": true}'}


async def test_names_are_those_of_tenants_folders_alone(units: FolderUnits, tmp_path: Path) -> None:
    assert await units.names() == []
    assert not await units.exists("a")
    await write(units)
    (tmp_path / "tenants/file").touch()
    (tmp_path / "tenants/link").symlink_to("a")
    (tmp_path / "tenants/Not A Name").mkdir()
    assert await units.names() == ["a"]
    assert await units.exists("a")
    assert not await units.exists("link")


@pytest.mark.parametrize("name", ["..", "a/b", "A", "", "a" * 41, "/etc"])
async def test_names_are_checked_again(units: FolderUnits, name: str) -> None:
    with pytest.raises(InvalidName):
        await units.write(name, [], compose="", env="")
    with pytest.raises(InvalidName):
        await units.erase(name)
    with pytest.raises(InvalidName):
        units.persistence(name)


@pytest.mark.parametrize("path", ["../compose.yaml", "/etc/passwd", "a//b", "", "a/./b"])
async def test_paths_stay_within(units: FolderUnits, path: str) -> None:
    with pytest.raises(UnitFault):
        await write(units, [ConfigFile(path=path, content=b"")])
    with pytest.raises(UnitFault):
        await units.read("a", [path])


async def test_what_is_just_so_is_left_alone_and_what_is_not_is_mended(units: FolderUnits, tmp_path: Path) -> None:
    await write(units)
    path = tmp_path / "tenants/a/persistence" / PATH
    before = path.stat().st_ino
    await write(units)
    assert path.stat().st_ino == before
    path.chmod(0o644)
    await write(units)
    assert shown(path) == (0o600, OWNER)


async def test_what_an_operator_set_in_env_stays(units: FolderUnits, tmp_path: Path) -> None:
    await write(units)
    env = tmp_path / "tenants/a/.env"
    env.write_text("PORT=7\nMODEL_NAME=mine\n")
    await write(units)
    assert env.read_text() == "PORT=7\nMODEL_NAME=mine\n"


def calls_that_change(monkeypatch: pytest.MonkeyPatch, die_at: int) -> None:
    """Let the process die just before its `die_at`th call that changes something."""
    made = 0

    def wrap(name: str) -> None:
        real = getattr(os, name)

        def counted(*arguments: object, **options: object) -> object:
            nonlocal made
            made += 1
            if made == die_at:
                os._exit(9)
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, counted)

    for name in ("mkdir", "open", "fchown", "fchmod", "rename", "unlink", "fsync"):
        wrap(name)


def test_a_crash_at_any_call_leaves_old_or_new_and_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "tenants/a/persistence" / PATH
    for die_at in range(1, 200):
        units = make_units(tmp_path)
        child = os.fork()
        if child == 0:
            with pytest.MonkeyPatch.context() as monkeypatch:
                calls_that_change(monkeypatch, die_at)
                asyncio.run(write(units))
                os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert not path.exists() or path.read_bytes() == b'{"new": true}'
        asyncio.run(write(units))
        assert shown(path) == (0o600, OWNER)
        assert tree(tmp_path / "tenants") == {
            "a",
            "a/compose.yaml",
            "a/.env",
            "a/persistence",
            "a/persistence/.agent",
            "a/persistence/.agent/config.json",
            "a/persistence/notes.txt",
        }
        if code == 0:
            assert die_at > 20
            return
        asyncio.run(units.erase("a"))
    pytest.fail("it never ended by itself")


async def test_without_root_the_owner_must_be_oneself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    with pytest.raises(UnitFault, match="uid 1000: that takes root, and this is uid 4321"):
        await write(FolderUnits(tmp_path / "tenants"))


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A small file system of its own there, wherever the folder is moved to meanwhile."""
    folder.mkdir(parents=True)
    top = os.open(folder.parent, os.O_RDONLY)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "innkeeper-test", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", Path(f"/proc/self/fd/{top}").readlink() / folder.name], check=True)
        os.close(top)


@needs_root
async def test_a_full_disk_is_told_and_leaves_the_old(units: FolderUnits, tmp_path: Path) -> None:
    with mounted(tmp_path / "tenants"):
        await write(units)
        with pytest.raises(DiskFull, match=r"config\.json"):
            await write(units, [ConfigFile(path=PATH, content=b"x" * 100_000)])
        assert await units.read("a", [PATH]) == {PATH: b'{"new": true}'}
        assert not any(path.endswith(".new") for path in tree(tmp_path))
        await write(units)


@needs_root
async def test_what_is_mounted_inside_is_not_entered(units: FolderUnits, tmp_path: Path) -> None:
    await write(units)
    inside = tmp_path / "tenants/a/persistence/deep/mounted"
    with mounted(inside):
        inside.joinpath("precious").touch()
        with pytest.raises(UnitFault, match=r"mounted.*busy"):
            await units.erase("a")
        assert {path for path in tree(tmp_path / "tenants") if path.endswith("/mounted/precious")}
    await units.erase("a")
    assert await units.names() == []
