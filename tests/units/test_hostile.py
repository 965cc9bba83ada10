"""A tenant that plants links, FIFOs, folders and endless trees where we read, write and erase."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from innkeeper.core.errors import UnitFault
from innkeeper.units.layout import FolderUnits
from tests.units.folders import FILES, OWNER, PATH, write

NEW = FILES[0].content
DEEPER_THAN_ANY_LIMIT = 3000


def contents(folder: Path) -> dict[str, str]:
    """The plain files below."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def names(folder: Path) -> list[str]:
    """Everything right below."""
    return sorted(path.name for path in folder.iterdir())


def owner(path: Path) -> tuple[int, int]:
    """Whose it is."""
    status = path.lstat()
    return status.st_uid, status.st_gid


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What no tenant may reach."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "config.json").write_text("precious")
    return folder


@pytest.fixture
async def agent(units: FolderUnits, tmp_path: Path) -> Path:
    """The folder of the agent's config, which the tenant owns."""
    await write(units)
    return tmp_path / "tenants/a/persistence/.agent"


def plant_link(at: Path, outside: Path) -> None:
    at.symlink_to(outside / "config.json")


def plant_dangling_link(at: Path, outside: Path) -> None:
    at.symlink_to(outside / "not-there-yet")


def plant_hard_link(at: Path, outside: Path) -> None:
    at.hardlink_to(outside / "config.json")


def plant_fifo(at: Path, outside: Path) -> None:
    os.mkfifo(at)


def plant_unreadable(at: Path, outside: Path) -> None:
    at.touch(mode=0)


PLANTS = [plant_link, plant_dangling_link, plant_hard_link, plant_fifo, plant_unreadable]


@pytest.mark.parametrize("name", ["config.json", ".config.json.new"])
@pytest.mark.parametrize("plant", PLANTS)
async def test_a_write_replaces_what_is_planted_and_goes_through_nothing(
    units: FolderUnits, agent: Path, outside: Path, plant: Callable[[Path, Path], None], name: str
) -> None:
    (agent / "config.json").unlink()
    plant(agent / name, outside)
    await write(units)
    assert names(agent) == ["config.json"]
    assert not agent.joinpath("config.json").is_symlink()
    assert contents(agent) == {"config.json": NEW.decode()}
    assert contents(outside) == {"config.json": "precious"}
    assert owner(outside / "config.json")[0] == os.geteuid()


@pytest.mark.parametrize("place", [".", "agent"])
async def test_a_folder_that_is_a_link_is_not_entered(
    units: FolderUnits, agent: Path, outside: Path, place: str
) -> None:
    replaced = agent if place == "agent" else agent.parent
    replaced.rename(agent.parent.parent / "aside")
    replaced.symlink_to(outside)
    (outside / ".agent").mkdir()
    with pytest.raises(UnitFault, match="a folder was expected"):
        await write(units)
    assert await units.read("a", [PATH, "config.json"]) == {}
    assert contents(outside) == {"config.json": "precious"}


@pytest.mark.parametrize("name", ["config.json", ".config.json.new"])
async def test_a_folder_in_the_way_is_told(units: FolderUnits, agent: Path, name: str) -> None:
    (agent / "config.json").unlink()
    (agent / name).mkdir()
    with pytest.raises(UnitFault, match=r"persistence/\.agent/config\.json"):
        await write(units)


async def test_only_plain_files_of_a_decent_size_are_read(units: FolderUnits, agent: Path, outside: Path) -> None:
    plant_link(agent / "link", outside)
    plant_fifo(agent / "fifo", outside)
    (agent / "folder").mkdir()
    (agent / "largest").write_bytes(b"x" * (1 << 20))
    (agent / "larger").write_bytes(b"x" * ((1 << 20) + 1))
    (agent / "linked").symlink_to(outside)
    names = ["link", "fifo", "folder", "largest", "larger", "linked/config.json"]
    found = await units.read("a", [f".agent/{name}" for name in names])
    assert list(found) == [".agent/largest"]


async def test_erasing_removes_links_and_not_what_they_lead_to(units: FolderUnits, agent: Path, outside: Path) -> None:
    for number, plant in enumerate(PLANTS):
        plant(agent / str(number), outside)
    (agent / "folder").symlink_to(outside)
    locked = agent / "locked/inside"
    locked.mkdir(parents=True)
    (locked / "file").touch()
    locked.chmod(0)
    locked.parent.chmod(0)
    await units.erase("a")
    await units.erase("a")
    assert not await units.exists("a")
    assert await units.names() == []
    assert contents(outside) == {"config.json": "precious"}


async def test_erasing_any_depth(units: FolderUnits, agent: Path) -> None:
    below = os.open(agent, os.O_RDONLY)
    for _ in range(DEEPER_THAN_ANY_LIMIT):
        os.mkdir("d" * 200, dir_fd=below)
        os.close(os.open("file", os.O_CREAT, dir_fd=below))
        deeper = os.open("d" * 200, os.O_RDONLY, dir_fd=below)
        os.close(below)
        below = deeper
    os.close(below)
    await units.erase("a")
    assert not await units.exists("a")


async def test_erasing_what_is_being_written_to(units: FolderUnits, agent: Path) -> None:
    started = threading.Event()

    def keep_writing() -> None:
        number = 0
        try:
            while True:
                (agent / f"folder{number}").mkdir()
                (agent / f"folder{number}/file").touch()
                number += 1
                if number > 50:
                    started.set()
        except FileNotFoundError:
            return

    writer = threading.Thread(target=keep_writing)
    writer.start()
    started.wait()
    await units.erase("a")
    writer.join()
    assert await units.names() == []


async def test_erasing_names_that_arent_text(units: FolderUnits, agent: Path) -> None:
    for name in (b"\xff\xfe", b"new\nline", b"-rf", b"\x1b[2J", b"x" * 255):
        (agent / os.fsdecode(name)).mkdir()
        (agent / os.fsdecode(name) / os.fsdecode(name)).touch()
    await units.erase("a")
    assert not await units.exists("a")


@pytest.fixture
def immutable(agent: Path) -> Iterator[Path]:
    """A file that not even the super-user removes."""
    file = agent / "folder/immutable"
    file.parent.mkdir()
    file.touch()
    if subprocess.run(["chattr", "+i", str(file)], capture_output=True, check=False).returncode:
        pytest.skip("this file system has no immutable files, or that takes root")
    yield file
    subprocess.run(["chattr", "-i", str(file)], capture_output=True, check=False)


async def test_what_is_immutable_is_told_and_all_else_goes(units: FolderUnits, agent: Path, immutable: Path) -> None:
    for each in ("a", "folder/b", "z/y/x"):
        (agent / each).mkdir(parents=True)
        (agent / each / "file").touch()
    with pytest.raises(UnitFault, match=r"'immutable'.*Operation not permitted") as told:
        await units.erase("a")
    assert "chattr" in told.value.hint
    left = [path for path in agent.parents[1].rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["immutable"]
    await asyncio.to_thread(subprocess.run, ["chattr", "-i", str(left[0])], check=True)
    await units.erase("a")
    assert not await units.exists("a")


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
async def test_what_is_mounted_in_it_is_told_and_not_entered(units: FolderUnits, agent: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    (agent / "deep/mount").mkdir(parents=True)
    (agent / "file").touch()
    mount = ["mount", "--bind", str(elsewhere), str(agent / "deep/mount")]
    await asyncio.to_thread(subprocess.run, mount, check=True)
    try:
        with pytest.raises(UnitFault, match="busy") as told:
            await units.erase("a")
        assert "mounted" in told.value.hint
        assert (elsewhere / "precious").exists()
        assert not (agent / "file").exists()
    finally:
        moved = next(path for path in agent.parents[1].rglob("mount"))
        await asyncio.to_thread(subprocess.run, ["umount", "-l", str(moved)], check=True)
    await units.erase("a")
    assert (elsewhere / "precious").exists()


async def test_an_erase_that_was_interrupted_is_finished(
    units: FolderUnits, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("x/y/z", "x/w"):
        (agent / folder).mkdir(parents=True)
        (agent / folder / "file").touch()
    removed = 0
    rmdir = os.rmdir

    def remove_some(*arguments: object, **options: object) -> None:
        nonlocal removed
        removed += 1
        if removed == 3:
            raise OSError(5, "Input/output error")
        rmdir(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rmdir", remove_some)
    with pytest.raises(UnitFault, match="Input/output error"):
        await units.erase("a")
    assert await units.exists("a")
    await units.erase("a")
    assert await units.names() == []


async def test_a_tenant_that_took_a_folder_away_gets_it_back(units: FolderUnits, agent: Path) -> None:
    shutil.rmtree(agent)
    await write(units)
    assert owner(agent) == OWNER
