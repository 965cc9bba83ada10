"""What the settings say of backups, and the store that comes of it, on a real keyring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from innkeeper.core.ports.snapshots import CONTROL, Repository
from innkeeper.core.secret_errors import SecretMissing
from innkeeper.core.tenant import Tenant
from innkeeper.keyring import KeyDestroyed, Keyring
from innkeeper.safe_deposit import credentials, snapshot_store
from innkeeper.settings import Settings
from tests.restic.deposits import AT, LOCAL, OWNER, REMOTE, content, names


class MadeUpVault:
    """One that knows a secret of the platform's."""

    async def reveal(self, name: str, tenant: Tenant | None) -> str:
        assert tenant is None
        if name != "BUCKET":
            raise SecretMissing(f"The platform has no secret {name!r}.")
        return "from-the-vault"


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"backup_local": "backups"}, "absolute path"),
        ({"backup_remote": "ftp://host/path"}, "neither an absolute path"),
        ({"backup_remote": "s3:"}, "neither an absolute path"),
        ({"backup_remote": "rest:https://inn:hunter2hunter2@host/"}, "holds a user or a password"),
        ({"backup_remote": "s3:https://key:hunter2hunter2@host/bucket"}, "holds a user or a password"),
        ({"backup_remote": "sftp:inn@host:/snapshots"}, "backup_ssh_known_hosts"),
        ({"backup_remote": "sftp:-oProxyCommand=sh@host:/x", "backup_ssh_known_hosts": "/x"}, "An SFTP target is"),
        ({"backup_credentials": {"LD_PRELOAD": "/x.so"}}, "nothing that restic reads"),
        ({"backup_credentials": {"RESTIC_PASSWORD": "x"}}, "nothing that restic reads"),
        ({"backup_credentials": {"AWS_SECRET_ACCESS_KEY": "hunter2hunter2"}}, "is written out"),
        ({"backup_credentials": {"AZURE_ACCOUNT_KEY": "x ${env:KEY}"}}, "is written out"),
        ({"backup_credentials": {"AWS_DEFAULT_REGION": "eu\nx"}}, "line break"),
        ({"backup_patience_s": 1}, "greater than or equal"),
    ],
)
def test_what_can_not_be_is_refused_and_no_password_quoted(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why) as raised:
        Settings(**said)
    assert "hunter2" not in str(raised.value)


async def test_credentials_come_from_the_vault_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        backup_credentials={
            "AWS_ACCESS_KEY_ID": "AKIDOFTESTS",
            "AWS_SECRET_ACCESS_KEY": "${secret:BUCKET}",
            "AWS_SESSION_TOKEN": "${env:SESSION_OF_TESTS}",
        }
    )
    found = credentials(settings, MadeUpVault())
    with pytest.raises(SecretMissing, match="SESSION_OF_TESTS"):
        await found()
    monkeypatch.setenv("SESSION_OF_TESTS", "from-the-environment")
    assert await found() == {
        "AWS_ACCESS_KEY_ID": "AKIDOFTESTS",
        "AWS_SECRET_ACCESS_KEY": "from-the-vault",
        "AWS_SESSION_TOKEN": "from-the-environment",
    }


@pytest.mark.parametrize(
    ("said", "targets", "far"),
    [
        ({}, ["local"], []),
        ({"backup_local": "off"}, [], []),
        ({"backup_remote": "/mnt/other"}, ["local", "remote"], []),
        ({"backup_remote": "s3:https://host/bucket"}, ["local", "remote"], ["remote"]),
        ({"backup_local": "off", "backup_remote": "b2:bucket:prefix"}, ["remote"], ["remote"]),
    ],
)
def test_there_are_the_targets_that_are_set(
    tmp_path: Path, said: dict[str, Any], targets: list[str], far: list[str]
) -> None:
    store = snapshot_store(Settings(data=tmp_path, **said), Keyring.open(tmp_path), MadeUpVault())
    assert store.targets == targets
    assert [target for target in store.targets if store.is_far(target)] == far


# --- with a keyring ---------------------------------------------------------------------------------------------------


async def test_it_restores_on_another_host_with_the_same_keyring(tmp_path: Path, tree: Path, into: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for data in (here, there):
        data.mkdir()
    settings = Settings(data=here, backup_remote=str(tmp_path / "usb"))
    store = snapshot_store(settings, Keyring.open(here), MadeUpVault())
    await store.ready(LOCAL)
    saved = await store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT)
    await store.ready(REMOTE)
    copied = await store.copy(LOCAL, REMOTE, saved.id)
    (here / "keyring").rename(there / "keyring")
    (here / "keys").rename(there / "keys")
    other = snapshot_store(
        Settings(data=there, backup_remote=str(tmp_path / "usb")), Keyring.open(there), MadeUpVault()
    )
    await other.restore(REMOTE, copied, into)
    assert content(into / "persistence") == content(tree)


async def test_with_its_key_destroyed_no_copy_of_it_is_read_or_added_to(tmp_path: Path, tree: Path, into: Path) -> None:
    keyring = Keyring.open(tmp_path)
    store = snapshot_store(Settings(data=tmp_path), keyring, MadeUpVault())
    await store.ready(LOCAL)
    saved = await store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT)
    await keyring.destroy(OWNER)
    for call in (
        store.restore(LOCAL, saved.id, into),
        store.listing(LOCAL),
        store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT),
    ):
        with pytest.raises(KeyDestroyed):
            await call
    assert names(into) == []
    assert list(await store.destroy(LOCAL)) == []  # that takes no key
    with pytest.raises(KeyDestroyed):
        await store.ready(LOCAL)


async def test_the_control_planes_own_hangs_on_the_platforms_key(tmp_path: Path, tree: Path) -> None:
    keyring = Keyring.open(tmp_path)
    store = snapshot_store(Settings(data=tmp_path), keyring, MadeUpVault())
    control = Repository(target="local", owner=CONTROL)
    await store.ready(control)
    await store.save(control, {"/database": tree}, name=CONTROL, at=AT)
    assert keyring.has("platform")
    assert not keyring.has(CONTROL)
    assert names(tmp_path / "backups") == [CONTROL]
    assert (tmp_path / "backups").stat().st_mode & 0o77 == 0
