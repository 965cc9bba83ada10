"""What lies of a tenant beside its folder goes with it, and nothing of another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from innkeeper.core.errors import UnitFault
from innkeeper.core.ports.traces import Whose
from innkeeper.units.places import FolderTraces

HERS = Whose(tenant="a", tenant_id="tn_1", operations=frozenset({"op_7", "../x", ""}))


async def test_what_is_named_by_her_id_or_an_operation_on_her_goes(tmp_path: Path) -> None:
    place = tmp_path / "exports"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    for name in (
        "tn_1",
        "tn_1-new",
        "tn_1.part",
        "op_7",
        "op_7_ab12",
        "tn_12",
        "tn_2",
        "op_77",
        "op_8",
        "a",
        "a-tn_1",
        ".tn_1",
    ):
        (place / name / "deep").mkdir(parents=True)
        (place / name / "deep/file").write_text("x")
    (place / "tn_1.tar").write_text("x")
    (place / "tn_1-link").symlink_to(outside)
    traces = FolderTraces(place, "exports")
    found = await traces.extent(HERS)
    assert found is not None
    assert (found.files, found.folders) == (7, 5)
    await traces.erase(HERS)
    await traces.erase(HERS)
    assert await traces.extent(HERS) is None
    left = sorted(path.name for path in place.iterdir())
    assert left == [".tn_1", "a", "a-tn_1", "op_77", "op_8", "tn_12", "tn_2"]
    assert (outside / "file").read_text() == "precious"


async def test_a_place_that_was_never_used(tmp_path: Path) -> None:
    traces = FolderTraces(tmp_path / "never", "drills")
    assert await traces.extent(HERS) is None
    await traces.erase(HERS)
    (tmp_path / "never").write_text("a file")
    with pytest.raises(UnitFault):
        await traces.erase(HERS)
