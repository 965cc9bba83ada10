"""Folders for drills: private, made anew, and removed with whatever is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from innkeeper.core.errors import InvalidName, UnitFault
from innkeeper.units.staging import FolderStaging


@pytest.fixture
def staging(tmp_path: Path) -> FolderStaging:
    return FolderStaging(tmp_path / "drills")


async def test_a_folder_is_private_and_made_anew(staging: FolderStaging, tmp_path: Path) -> None:
    assert await staging.names() == []
    folder = await staging.make("op_1_a", "alice")
    assert folder == tmp_path / "drills/op_1_a/alice"
    assert [each.stat().st_mode & 0o777 for each in (folder, folder.parent, folder.parent.parent)] == [0o700] * 3
    (folder / "persistence").mkdir()
    assert staging.units("op_1_a").persistence("alice") == str(folder / "persistence")
    await staging.check("op_1_a", "alice")
    assert list((await staging.make("op_1_a", "alice")).iterdir()) == []
    assert await staging.names() == ["op_1_a"]
    await staging.erase("op_1_a")
    await staging.erase("op_1_a")
    assert await staging.names() == []
    assert await staging.free_bytes() > 0


async def test_what_links_lead_to_is_neither_mounted_nor_removed(staging: FolderStaging, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "kept").touch()
    folder = await staging.make("op_1_a", "alice")
    (folder / "persistence").symlink_to(theirs)
    with pytest.raises(UnitFault):
        await staging.check("op_1_a", "alice")
    (tmp_path / "drills/op_2_b").symlink_to(theirs)
    assert await staging.names() == ["op_1_a"]
    await staging.erase("op_1_a")
    assert (theirs / "kept").exists()


@pytest.mark.parametrize("drill", ["", "..", "a/b", "A", "x" * 65])
async def test_only_an_id_is_one(staging: FolderStaging, drill: str) -> None:
    with pytest.raises(UnitFault):
        await staging.make(drill, "alice")
    with pytest.raises(InvalidName):
        await staging.make("op_1", "../alice")
