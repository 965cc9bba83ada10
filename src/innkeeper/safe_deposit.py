"""The part of the composition root that keeps snapshots: a store of them for each target that the settings name."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from innkeeper import telemetry
from innkeeper.core.integration_reading import REFERENCE
from innkeeper.core.ports.secrets import Secrets
from innkeeper.core.ports.snapshots import CONTROL, LOCAL, REMOTE
from innkeeper.core.secret_errors import SecretMissing
from innkeeper.core.secrets import PLATFORM
from innkeeper.keyring import Keyring
from innkeeper.restic import Calls, Limits, ResticStore, Target
from innkeeper.settings import Settings
from innkeeper.units.erase import erase


def snapshot_store(settings: Settings, keyring: Keyring, secrets: Secrets) -> ResticStore:
    """Ready for use; without a target where `backup_local` is off and there is no `backup_remote`."""
    calls = Calls(
        targets(settings, credentials(settings, secrets)),
        _Keys(keyring),
        settings.data / "cache" / "restic",
        limits=Limits(
            upload_kb_per_s=settings.backup_upload_kb_per_s,
            download_kb_per_s=settings.backup_download_kb_per_s,
            cpus=settings.backup_cpus,
            patience_s=settings.backup_patience_s,
        ),
    )
    return ResticStore(calls, erase=erase)


def targets(settings: Settings, given: Callable[[], Awaitable[Mapping[str, str]]]) -> list[Target]:
    """The local one first."""
    found = []
    if settings.backup_local != "off":
        found.append(Target(name=LOCAL, folder=settings.backup_local or settings.data / "backups"))
    if (remote := settings.backup_remote) is not None and remote.startswith("/"):
        found.append(Target(name=REMOTE, folder=Path(remote)))
    elif remote is not None:
        found.append(
            Target(
                name=REMOTE,
                url=remote,
                credentials=given,
                ssh_key=settings.backup_ssh_key,
                ssh_known_hosts=settings.backup_ssh_known_hosts,
            )
        )
    return found


def credentials(settings: Settings, secrets: Secrets) -> Callable[[], Awaitable[Mapping[str, str]]]:
    """Finds the values of `backup_credentials`, anew at each call; SecretMissing and the vault's other errors."""

    async def found() -> Mapping[str, str]:
        return {name: await _value(value, secrets) for name, value in settings.backup_credentials.items()}

    return found


async def _value(said: str, secrets: Secrets) -> str:
    named = REFERENCE.fullmatch(said)
    if named is None:
        return said
    kind, name = named.groups()
    if kind == "secret":
        return await secrets.reveal(name, None)
    if (value := os.environ.get(name)) is None:
        raise SecretMissing(f"There is no {name} in the environment.", hint="Start Innkeeper with it.")
    telemetry.hide(value)
    return value


class _Keys:
    """The keyring, as repositories are opened by it: the control plane's own under the platform's data key."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def repository_password(self, owner: str) -> str:
        return self._keyring.repository_password(_key_of(owner))

    async def ready(self, owner: str) -> None:
        await self._keyring.ready(_key_of(owner))


def _key_of(owner: str) -> str:
    return PLATFORM if owner == CONTROL else owner
