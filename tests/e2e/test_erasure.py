"""A tenant is purged from a whole control plane: nothing of it is left, and a copy made before can't be read."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from innkeeper.api.app import create_app
from innkeeper.cli.main import outcome
from innkeeper.core.access import ADMIN
from innkeeper.core.egress import AskedName
from innkeeper.core.operations import Status
from innkeeper.core.ports import ConfigFile
from innkeeper.core.ports.snapshots import LOCAL, REMOTE, Repository
from innkeeper.core.tenant import Tenant, Wanted
from innkeeper.core.usage import Counts, UsageKey, UsageRow
from innkeeper.erasing import check_receipt
from innkeeper.keyring import KeyDestroyed, Keyring
from innkeeper.keyring.restore import restore
from innkeeper.loops.supervise import Supervisor
from innkeeper.safe_deposit import snapshot_store
from innkeeper.settings import Settings
from innkeeper.strongroom import export_keyring
from innkeeper.units.layout import FolderUnits
from innkeeper.wiring import House, build
from tests.restic.deposits import AT
from tests.store.examples import NOON, message, tenant
from tests.support.secrets import NamedSecrets
from tests.support.serving import free_port, serving

pytestmark = pytest.mark.timeout(180)


def settings_of(folder: Path, **more: Any) -> Settings:
    return Settings(
        data=folder / "data", runtime="memory", edge=False, broker_port=free_port(), names_port=free_port(),
        api=f"127.0.0.1:{free_port()}", **({"backup_remote": str(folder / "second")} | more),
    )  # fmt: skip


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[House]:
    async with build(settings) as house:
        supervisor = Supervisor()
        house.start(supervisor)
        supervisor.loops.pop("backups")  # a nightly one would be found, too, and not always
        async with supervisor.running():
            yield house


def everywhere(folder: Path, canary: str) -> list[str]:
    """Where it stands: in files, and in their names."""
    found = [str(path) for path in folder.rglob("*") if canary in path.name]
    return found + [str(path) for path in folder.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]


async def planted(house: House, settings: Settings, canary: str) -> Tenant:
    """A tenant that has it in all that it has."""
    hers = tenant("alice", id="tn_alice", wanted=Wanted.ASLEEP)
    store = house.inn.store
    async with store.begin() as tx:
        await tx.add_tenant(hers)
        await tx.messages.add(message("alice", 1, tenant_id=hers.id, sender_id=canary), canary.encode())
        asked = AskedName(name=f"{canary}.example.com", first_seen=NOON, last_seen=NOON, asked=1, refused=0)
        await tx.asked_names.add("alice", hers.id, [asked], keep=10)
        usage = UsageRow(key=UsageKey(hers.id, "2026-11-20", "p", canary), tenant="alice", counts=Counts(calls=1))
        await tx.usage.add([usage])
    await house.inn.vault.set("alice", "KEY", canary, actor=ADMIN)
    await house.inn.keys.create("alice", canary, actor=ADMIN)
    units = FolderUnits(settings.data / "tenants")
    content = [ConfigFile(path=f".nanobot/{canary}.json", content=canary.encode())]
    await units.write("alice", content, compose=canary, env="")
    for place in ("exports", "drills"):
        (settings.data / place / f"{hers.id}-1").mkdir(parents=True)
        (settings.data / place / f"{hers.id}-1" / "file").write_text(canary)
    deposit = snapshot_store(settings, Keyring.open(settings.data), NamedSecrets())
    local, remote = (Repository(target=target, owner=hers.id) for target in (LOCAL, REMOTE))
    await deposit.ready(local)
    await deposit.ready(remote)
    folders = {"/persistence": Path(units.persistence("alice"))}
    saved = await deposit.save(local, folders, name="alice", at=AT)
    await deposit.copy(local, remote, saved.id)
    return hers


async def purged(house: House) -> dict[str, Any]:
    """Its receipt, when nothing is pending any more."""
    _, operation = await house.inn.control.delete("alice", purge=True, actor=ADMIN)
    ended = await house.inn.control.wait(operation.id, timeout_s=60)
    assert ended.status is Status.DONE, ended
    async with asyncio.timeout(60):
        while (receipt := await house.inn.receipts.receipt(ended.detail["result"]["receipt"])).pending:
            await asyncio.sleep(0.05)
    return receipt.document()


async def test_nothing_is_left_and_a_copy_made_before_cant_be_read(tmp_path: Path) -> None:
    canary = f"canary{secrets.token_hex(8)}"
    settings, copy, export = settings_of(tmp_path), tmp_path / "copy", tmp_path / "keyring.export"
    async with running(settings) as house:
        hers = await planted(house, settings, canary)
        assert len(everywhere(settings.data, canary)) > 5
        await asyncio.to_thread(shutil.copytree, settings.data / "backups", copy)
        export_keyring(settings, export, None)
        receipt = await purged(house)
        assert everywhere(settings.data, canary) == []  # while it runs, too: the log of the database is empty
    assert everywhere(settings.data, canary) == []
    assert not any((settings.data / "backups").iterdir())
    assert not any((tmp_path / "second").iterdir())

    says = receipt["statement"]
    assert [each["erased"] for each in says["erased"]["snapshots"]] == [True, True]
    assert len(says["erased"]["snapshots"][0]["snapshots"]) == 1
    assert {place: each["files"] for place, each in says["erased"]["places"].items()} == {"drills": 1, "exports": 1}
    assert says["erased"]["unit"]["files"] >= 2
    assert says["key_held_in"][0]["file"] == str(export)
    assert check_receipt(settings, json.loads(json.dumps(receipt)), public_key=None)["ok"]

    keyring = Keyring.open(settings.data)
    with pytest.raises(KeyDestroyed):
        keyring.repository_password(hers.id)
    elsewhere = settings.model_copy(update={"backup_local": copy})
    local = Repository(target=LOCAL, owner=hers.id)
    with pytest.raises(KeyDestroyed):
        await snapshot_store(elsewhere, keyring, NamedSecrets()).listing(local)
    # Nor does the export bring it back here. Where nobody knows of the erasure it does: that is why it is named.
    restore(settings.data, export, None)
    with pytest.raises(KeyDestroyed):
        Keyring.open(settings.data).repository_password(hers.id)
    restore(tmp_path / "empty", export, None)
    opened = snapshot_store(elsewhere, Keyring.open(tmp_path / "empty"), NamedSecrets())
    assert len(await opened.listing(local)) == 1


async def test_a_target_that_is_away_is_gone_after_once_it_is_back(tmp_path: Path) -> None:
    canary = f"canary{secrets.token_hex(8)}"
    settings = settings_of(tmp_path)
    async with running(settings) as house:
        await planted(house, settings, canary)
        (tmp_path / "second").rename(tmp_path / "second.away")
        (tmp_path / "second").write_text("no folder")
        _, operation = await house.inn.control.delete("alice", purge=True, actor=ADMIN)
        ended = await house.inn.control.wait(operation.id, timeout_s=60)
        assert ended.status is Status.DONE, ended
        receipt_id = ended.detail["result"]["receipt"]
        receipt = await house.inn.receipts.receipt(receipt_id)
        assert "snapshots:remote" in receipt.pending
        assert everywhere(settings.data / "tenants", canary) == []
        (tmp_path / "second").unlink()
        (tmp_path / "second.away").rename(tmp_path / "second")
    async with running(settings) as house, asyncio.timeout(60):  # and by another process
        while (receipt := await house.inn.receipts.receipt(receipt_id)).pending:
            await house.inn.receipts.catch_up()
            await asyncio.sleep(0.1)
        assert len(receipt.supplements) == 1
        assert check_receipt(settings, json.loads(json.dumps(receipt.document())), public_key=None)["ok"]
    assert not any((tmp_path / "second").iterdir())


async def test_data_is_exported_then_all_is_erased_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = f"canary{secrets.token_hex(8)}"
    settings = settings_of(tmp_path)
    tar, receipt = tmp_path / "data.tar", tmp_path / "receipt.json"
    async with running(settings) as house, serving(create_app(house.inn)) as url:
        monkeypatch.setenv("INNKEEPER_API", url.removeprefix("http://"))
        monkeypatch.setenv("INNKEEPER_DATA", str(settings.data))
        await planted(house, settings, canary)
        said = ["tenant", "export-data", "alice", "--output", str(tar), "--json"]
        assert await asyncio.to_thread(outcome, said) == 0, capsys.readouterr()
        with tarfile.open(tar) as opened:
            names = opened.getnames()
        assert "alice/README.txt" in names
        assert f"alice/files/.nanobot/{canary}.json" in names
        said = ["tenant", "delete", "alice", "--purge", "--yes", "--receipt", str(receipt)]
        assert await asyncio.to_thread(outcome, said) == 0, capsys.readouterr()
    assert await asyncio.to_thread(outcome, ["receipt", "verify", str(receipt)]) == 0
    assert everywhere(settings.data, canary) == []
