"""`innkeeper restore` and `tenant confirm`: what they ask, and of whom."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

from innkeeper.core.access import SYSTEM, Scope, TenantRole
from innkeeper.core.restore_asked import Mode
from innkeeper.core.restoring import Restoring
from innkeeper.core.works import Tell
from tests.api.bench import Bench
from tests.api.deposit import deposited
from tests.api.people import person, token_of
from tests.cli.conftest import Run
from tests.support.arriving import OWNER, open_house


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
    told = await inn("restore", "alice", "--path", "workspace/a*[b]", "--path", "caf\udce9", "--no-wait")
    assert (told.code, "being restored" in told.out) == (0, True)


SECRET = "an-api-key-of-alices"


def what_it_had(data: Path) -> None:
    """Alice's data as the snapshot has it."""
    (data / "workspace/notes").mkdir(parents=True)
    (data / "workspace/notes/a*[b].md").write_text("then")
    (data / "workspace/notes/passwd").symlink_to("/etc/passwd")
    (data / os.fsdecode(b"caf\xe9")).write_text("bytes")
    (data / "plain.json").write_text(json.dumps({"token": SECRET}))
    (data / "other").write_text("not asked for")


async def test_paths_come_to_whoever_asks_for_them(bench: Bench, inn: Run, tmp_path: Path) -> None:
    await bench.tenant("alice")
    what_it_had(tmp_path / "of/alice/persistence")
    await bench.house.vault.set("alice", "BOT", SECRET, actor=SYSTEM)
    await deposited(bench, tmp_path)
    asked = ("restore", "alice", "--path", "workspace/notes", "--path", "caf\udce9", "--path", "plain.json", "--to")
    restoring = Restoring({Mode.FILE: bench.app.state.inn.restored_files})
    async with open_house(bench.house, restoring, tenants=False):  # type: ignore[arg-type]  # a work like any other
        folder = await inn(*asked, f"{tmp_path}/out/")
        assert (folder.code, "3 files" in folder.out) == (0, True), folder.err
        out = tmp_path / "out"
        assert sorted(os.fsencode(each.relative_to(out)) for each in out.rglob("*") if not each.is_dir()) == [
            b"caf\xe9",
            b"plain.json",
            b"workspace/notes/a*[b].md",
            b"workspace/notes/passwd",
        ]
        assert (out / "workspace/notes/a*[b].md").read_text() == "then"
        assert (out / "workspace/notes/passwd").readlink() == Path("/etc/passwd")
        assert "set-BOT-anew" in (out / "plain.json").read_text()
        tar = await inn(*asked, f"{tmp_path}/out.tar", "--secrets", "--json")
        assert (tar.code, tar.document["with_secrets"]) == (0, True)
        with tarfile.open(tmp_path / "out.tar") as opened:
            assert {each.uid for each in opened if "/workspace" in each.name} == {OWNER[0]}
            assert opened.getnames()[-1] == "alice/innkeeper.end"
            config = opened.extractfile("alice/persistence/plain.json")
            assert config is not None
            assert SECRET in config.read().decode()
        missing = await inn("restore", "alice", "--path", "no/such", "--to", f"{tmp_path}/none.tar")
        assert (missing.code, "holds no 'no/such'" in missing.err) == (1, True)
    for wrong in (("--to", "x"), (*asked[2:], f"{out}"), (*asked[2:], "-", "--json"), (*asked[2:], "x", "--as", "b")):
        assert (await inn("restore", "alice", *wrong)).code == 2
    assert {each.name for each in tmp_path.iterdir()} == {"data", "of", "out", "out.tar", "repositories"}
    for left in ("exports", "restores"):
        assert not list((tmp_path / "data" / left).iterdir())
    trail = await inn("audit", "list", "--json")
    told = [each["action"] for each in trail.document]
    assert told.count("tenant.restore.fetched") == 2


async def test_a_tar_that_a_crash_broke_off_is_made_again(bench: Bench, tmp_path: Path) -> None:
    await bench.tenant("alice")
    what_it_had(tmp_path / "of/alice/persistence")
    await deposited(bench, tmp_path)
    files, house = bench.app.state.inn.restored_files, bench.house
    begun = await bench.app.state.inn.restores.file("alice", ["workspace"], actor=SYSTEM)
    lease = await house.store.claim_work("alice", holder="one", for_s=60)
    assert lease is not None
    results = []
    for _ in range(2):  # the process dies when all of it is done, and nothing of that is written down
        tell = Tell(begun, lease=lease, store=house.store, bus=house.bus, clock=house.clock)
        results.append(await files.carry_out(begun, tell))
    assert [each["files"] for each in results] == [1, 1]
    (tar,) = (tmp_path / "data/exports" / begun.id).iterdir()
    with tarfile.open(tar) as opened:
        assert "alice/persistence/workspace/notes/a*[b].md" in opened.getnames()
    assert not list((tmp_path / "data/restores").iterdir())


async def test_whose_secrets_arent_for_them_gets_none(bench: Bench, inn: Run, tmp_path: Path) -> None:
    await bench.tenant("alice")
    await deposited(bench, tmp_path)
    person_ = await person(bench, "owner", tenants={"alice": TenantRole.OWNER})
    narrow = await token_of(bench, person_, scopes=frozenset({Scope.OPERATE}))
    async with bench.client(narrow) as client:
        answer = await client.post("/v1/tenants/alice/restored-files", json={"paths": ["x"]})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), "its data isn't either"
    async with bench.client() as client:
        begun = await client.post("/v1/tenants/alice/restored-files", json={"paths": ["x"]})
        early = await client.get(f"/v1/tenants/alice/restored-files/{begun.json()['id']}")
        assert (early.status_code, "isn't here yet" in early.json()["detail"]) == (404, True)
        other = await client.get(f"/v1/tenants/alice/exports/{begun.json()['id']}")
        assert other.status_code == 404, "that is none"


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
