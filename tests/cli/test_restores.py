"""`innkeeper restore` and `tenant confirm`: what they ask, and of whom."""

from __future__ import annotations

from pathlib import Path

from innkeeper.core.access import SYSTEM
from tests.api.bench import Bench
from tests.api.deposit import deposited
from tests.cli.conftest import Run


async def test_a_restore_is_asked_for_only_if_it_is_meant(bench: Bench, inn: Run, tmp_path: Path) -> None:
    await bench.tenant("alice")
    snapshot = await deposited(bench, tmp_path)
    unsure = await inn("restore", "alice", "--no-wait")
    assert (unsure.code, "--yes" in unsure.err) == (2, True)
    told = await inn("restore", "alice", "--snapshot", snapshot[:8], "--no-wait", "--yes", "--json")
    assert (told.code, told.document["operation"]["kind"]) == (0, "restore")
    missing = await inn("restore", "alice", "--snapshot", "0" * 8, "--yes")
    assert (missing.code, "no snapshot" in missing.err) == (3, True)
    early = await inn("restore", "alice", "--at", "2020-01-01", "--yes")
    assert (early.code, "No snapshot is that old" in early.err) == (3, True)
    minutes = await inn("restore", "alice", "--at", "30m", "--yes")
    assert (minutes.code, "being restored already" in minutes.err) == (4, True)
    for wrong in (("restore",), ("restore", "alice", "--all"), ("restore", "alice", "--at", "soon", "--yes")):
        assert (await inn(*wrong)).code == 2


async def test_paths_replace_nothing_and_are_not_asked_about(bench: Bench, inn: Run, tmp_path: Path) -> None:
    await bench.tenant("alice")
    await deposited(bench, tmp_path)
    told = await inn("restore", "alice", "--path", "workspace/a", "--path", "b", "--no-wait")
    assert (told.code, "being restored" in told.out) == (0, True)


async def test_the_lost_are_listed_and_restored_each_for_itself(bench: Bench, inn: Run, tmp_path: Path) -> None:
    assert "No lost tenant" in (await inn("restore", "--list")).err
    for name in ("alice", "bob"):
        await bench.tenant(name)
        await deposited(bench, tmp_path, name)
        _, delete = await bench.house.control.delete(name, purge=False, actor=SYSTEM)
        await bench.house.control.wait(delete.id, timeout_s=20)
    await bench.house.units.erase("bob")
    found = (await inn("restore", "--list", "--json")).document
    assert [each["tenant"] for each in found] == ["alice", "bob"]
    listed = await inn("restore", "--list")
    assert "alice" in listed.out
    one = await inn("restore", "bob", "--no-wait", "--yes")
    assert one.code == 0, one.err
    told = await inn("restore", "--all", "--yes")
    assert told.code == 1, "alice's folder is there still"
    assert "refused" in told.out


async def test_channels_are_confirmed_only_if_it_is_meant(bench: Bench, inn: Run) -> None:
    await bench.tenant("alice")
    assert (await inn("tenant", "confirm", "alice")).code == 2
    told = await inn("tenant", "confirm", "alice", "--yes", "--json")
    assert (told.code, told.document["fenced"]) == (0, False)
