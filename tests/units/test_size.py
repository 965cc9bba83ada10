"""How much disk a folder takes: beside `du`, and in the hands of somebody who doesn't want it told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from innkeeper.units.layout import FolderUnits
from innkeeper.units.size import disk_bytes
from tests.units.folders import write


@pytest.fixture
def root(tmp_path: Path) -> int:
    return os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)


def fill(folder: Path) -> None:
    """Files of several sizes, a hole, and one file with two names."""
    (folder / "a/b").mkdir(parents=True)
    for number in range(5):
        (folder / f"a/b/{number}").write_bytes(b"x" * 10_000 * number)
    (folder / "two").write_bytes(b"x" * 100_000)
    (folder / "a/names").hardlink_to(folder / "two")
    with (folder / "hole").open("wb") as file:
        file.truncate(1 << 30)


def test_it_is_what_du_says(tmp_path: Path, root: int) -> None:
    fill(tmp_path / "unit")
    (tmp_path / "unit/away").symlink_to("/usr")
    os.mkfifo(tmp_path / "unit/pipe")
    said = subprocess.run(["du", "-s", "-x", "-B1", tmp_path / "unit"], capture_output=True, text=True, check=True)
    top = (tmp_path / "unit").stat().st_blocks * 512
    assert disk_bytes(root, "unit") == int(said.stdout.split()[0]) - top


def test_links_arent_followed(tmp_path: Path, root: int) -> None:
    fill(tmp_path / "elsewhere")
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit/there").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "unit/round").symlink_to(".")
    assert (disk_bytes(root, "unit") or 0) < 10_000
    (tmp_path / "link").symlink_to("elsewhere")
    assert disk_bytes(root, "link") is None
    assert disk_bytes(root, "nowhere") is None


def test_too_many_or_too_deep_isnt_measured(tmp_path: Path, root: int) -> None:
    fill(tmp_path / "unit")
    assert disk_bytes(root, "unit", entries=10) is not None
    assert disk_bytes(root, "unit", entries=9) is None
    deep = tmp_path / "deep"
    deep.mkdir()
    here = os.open(deep, os.O_RDONLY)
    for _ in range(150):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert disk_bytes(root, "deep") is None


async def test_a_units_size(units: FolderUnits) -> None:
    assert await units.disk_bytes("a") is None
    await write(units)
    assert (await units.disk_bytes("a") or 0) > 0
