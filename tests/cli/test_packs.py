"""`pack` and `unit` on the command line: a folder becomes a version, a version a workspace."""

from __future__ import annotations

from pathlib import Path

from tests.api.bench import Bench
from tests.cli.conftest import Run
from tests.support.packs import texts, unit


def folder(at: Path, version: str, soul: str) -> Path:
    at.mkdir(exist_ok=True)
    (at / "pack.toml").write_text(f'name = "core"\nversion = "{version}"\ntitle = "Our house"\n')
    (at / "SOUL.md").write_text(soul)
    (at / "sops").mkdir(exist_ok=True)
    (at / "sops/intake.md").write_text("intake")
    return at


async def test_from_a_folder_to_a_workspace_and_its_conflicts(bench: Bench, inn: Run, tmp_path: Path) -> None:
    await bench.tenant()
    workspace = unit(tmp_path / "data") / "workspace"
    added = await inn("pack", "add", str(folder(tmp_path / "core", "1", "soul 1")))
    assert (added.code, added.out) == (0, "core 1: 2 files, 12 bytes\n")
    listed = await inn("pack", "list", "--json")
    assert [(each["name"], each["version"], each["title"]) for each in listed.document] == [("core", "1", "Our house")]
    assert (await inn("tenant", "update", "alice", "--pack", "core")).code == 0

    planned = await inn("unit", "hydrate", "alice", "--dry-run")
    assert "new: workspace/SOUL.md" in planned.out
    assert "Nothing was done" in planned.err
    assert not workspace.exists()
    assert (await inn("unit", "hydrate", "alice")).code == 0
    assert texts(workspace) == {"SOUL.md": "soul 1", "sops/intake.md": "intake"}

    (workspace / "SOUL.md").write_text("mine")
    await inn("pack", "add", str(folder(tmp_path / "core", "2", "soul 2")))
    shown = (await inn("unit", "status", "alice")).out
    assert "core 1, delivered " in shown
    assert " ago; 2 is to come" in shown
    hydrated = await inn("unit", "hydrate", "alice")
    assert "both changed: workspace/SOUL.md -> workspace/SOUL.md.new" in hydrated.out
    status = await inn("unit", "status", "alice")
    assert "changed by both; core 2 lies at workspace/SOUL.md.new" in status.out
    forced = await inn("unit", "hydrate", "alice", "--force", "--pack", "core@2", "--json")
    assert forced.document["result"]["counts"] == {"overwrite": 1, "same": 1}
    assert texts(workspace) == {"SOUL.md": "soul 2", "SOUL.md.old": "mine", "sops/intake.md": "intake"}
    assert (await inn("unit", "status", "alice", "--json")).document["conflicts"] == []


async def test_what_cant_be_a_pack_says_so_here(inn: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for source, says in ((empty, "has no pack.toml"), (tmp_path / "none", "can't be read")):
        refused = await inn("pack", "add", str(source))
        assert (refused.code, says in refused.err) == (2, True)
    linked = folder(tmp_path / "core", "1", "soul")
    (linked / "link.md").symlink_to("/etc/passwd")
    refused = await inn("pack", "add", str(linked))
    assert (refused.code, "no plain file" in refused.err) == (2, True)


async def test_a_version_is_deleted_when_nobody_gets_it(bench: Bench, inn: Run, tmp_path: Path) -> None:
    await bench.tenant()
    await inn("pack", "add", str(folder(tmp_path / "core", "1", "soul 1")))
    await inn("tenant", "update", "alice", "--pack", "core@1")
    assert (await inn("pack", "delete", "core", "1", "--yes")).code == 4
    await inn("tenant", "update", "alice", "--pack", "none")
    assert (await inn("pack", "delete", "core", "1", "--yes")).code == 0
    assert (await inn("pack", "delete", "core", "1", "--yes")).code == 3
    failed = await inn("unit", "hydrate", "alice")
    assert (failed.code, "has no packs" in failed.err) == (1, True)
