"""A restored folder takes a tenant's place, and gives it back, whatever cuts that off; what was restored is tamed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from innkeeper.core.errors import UnitExists, UnitFault
from innkeeper.core.ports.stages import Stage
from innkeeper.units import stages as module
from innkeeper.units.stages import FolderStages
from tests.units.folders import OWNER, needs_root

pytestmark = needs_root
STAGE = Stage(tenant_id="tn_1", operation_id="op_1")


class Cut(BaseException):
    """The process is no more."""


@pytest.fixture
def stages(tmp_path: Path) -> FolderStages:
    return FolderStages(tmp_path / "restores", tmp_path / "tenants", owner_uid=OWNER[0], owner_gid=OWNER[1])


@pytest.fixture(params=["exchange", "two renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How names change places: in one step, or where the file system can't, in two."""
    if request.param == "two renames":
        monkeypatch.setattr(module, "exchange", lambda *_, **__: False)
    return str(request.param)


async def staged(stages: FolderStages, tmp_path: Path) -> None:
    """A unit that came out of a snapshot is ready, and the tenant has another."""
    into = await stages.begin(STAGE)
    (into / "persistence").mkdir()
    (into / "persistence" / "said").write_text("then")
    (into / "unit").mkdir()
    (into / "unit" / ".env").write_text("PORT=1\n")
    await stages.assemble(STAGE)
    (tmp_path / "tenants" / "a" / "persistence").mkdir(parents=True)
    (tmp_path / "tenants" / "a" / "persistence" / "said").write_text("now")


def said(tmp_path: Path) -> str:
    return (tmp_path / "tenants" / "a" / "persistence" / "said").read_text()


async def test_it_takes_the_place_and_gives_it_back(stages: FolderStages, tmp_path: Path, way: str) -> None:
    await staged(stages, tmp_path)
    for _ in range(2):
        await stages.swap(STAGE, "a")
        assert said(tmp_path) == "then"
    assert (tmp_path / "tenants" / "a" / ".env").read_text() == "PORT=1\n"
    for _ in range(2):
        await stages.swap_back(STAGE, "a")
        assert said(tmp_path) == "now"
    await stages.drop(STAGE, "a")
    assert list((tmp_path / "restores").iterdir()) == []


@pytest.mark.parametrize("renames", range(4))
async def test_a_swap_that_is_cut_off_is_ended_or_undone(
    stages: FolderStages, tmp_path: Path, way: str, renames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for outcome in ("then", "now"):
        await staged(stages, tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(os, "rename", _dies_after(renames))
            ends: AbstractContextManager[object] = nullcontext()
            if renames < (1 if way == "exchange" else 2):
                ends = pytest.raises(Cut)
            with ends:
                await stages.swap(STAGE, "a")
        await (stages.swap if outcome == "then" else stages.swap_back)(STAGE, "a")
        assert said(tmp_path) == outcome
        await stages.drop(STAGE, "a")
        for path in sorted((tmp_path / "tenants").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (tmp_path / "tenants" / "a").rmdir() if (tmp_path / "tenants" / "a").exists() else None


async def test_one_that_had_no_folder_has_none_again(stages: FolderStages, tmp_path: Path) -> None:
    await staged(stages, tmp_path)
    for path in ("persistence/said", "persistence", ""):
        whole = tmp_path / "tenants" / "a" / path
        whole.rmdir() if whole.is_dir() else whole.unlink()
    await stages.swap(STAGE, "a")
    assert said(tmp_path) == "then"
    await stages.swap_back(STAGE, "a")
    assert list((tmp_path / "tenants").iterdir()) == []


async def test_all_of_it_becomes_its_owners_and_nothing_keeps_a_set_user_id_bit(
    stages: FolderStages, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("ours")
    outside.chmod(0o4755)
    into = await stages.begin(STAGE)
    inner = into / "persistence" / "deep" / "er"
    inner.mkdir(parents=True)
    (inner / "program").write_text("x")
    (inner / "program").chmod(0o6755)
    (inner / "link").symlink_to(outside)
    os.mkfifo(inner / "fifo")
    await stages.assemble(STAGE)
    unit = tmp_path / "restores" / STAGE.name / "unit" / "persistence"
    for path in (unit, *unit.rglob("*")):
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == OWNER, path
        assert not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o6000
    assert stat.S_IMODE(outside.stat().st_mode) == 0o4755
    assert outside.stat().st_uid == os.geteuid()


async def test_a_snapshot_without_data_is_none(stages: FolderStages) -> None:
    await stages.begin(STAGE)
    with pytest.raises(UnitFault, match="persistence"):
        await stages.assemble(STAGE)
    into = await stages.begin(STAGE)
    (into / "persistence").symlink_to("/etc")
    with pytest.raises(UnitFault, match="persistence"):
        await stages.assemble(STAGE)


async def test_an_earlier_attempt_leaves_nothing_in_the_next(stages: FolderStages) -> None:
    into = await stages.begin(STAGE)
    (into / "half").write_text("x")
    assert list((await stages.begin(STAGE)).iterdir()) == []


async def test_nobody_elses_folder_is_taken(stages: FolderStages, tmp_path: Path) -> None:
    await staged(stages, tmp_path)
    with pytest.raises(UnitExists):
        await stages.place(STAGE, "a")
    assert said(tmp_path) == "now"
    for _ in range(2):
        await stages.place(STAGE, "b")
    assert (tmp_path / "tenants" / "b" / "persistence" / "said").read_text() == "then"


def _dies_after(times: int) -> Callable[..., None]:
    left, rename = [times], os.rename

    def dying(one: str, other: str, **folders: int) -> None:
        if left[0] == 0:
            raise Cut
        left[0] -= 1
        rename(one, other, src_dir_fd=folders["src_dir_fd"], dst_dir_fd=folders["dst_dir_fd"])

    return dying
