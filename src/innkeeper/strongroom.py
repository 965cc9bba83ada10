"""The part of the composition root that keeps secrets: the keyring, opened or refused, and the vault on it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from innkeeper import telemetry
from innkeeper.core.events import Bus
from innkeeper.core.locksmith import Locksmith
from innkeeper.core.ports import Clock, Store
from innkeeper.core.vault import Vault
from innkeeper.keyring import Keyring, KeyringFault, admin_token
from innkeeper.keyring.choice import master_source
from innkeeper.keyring.masters import Masters, new_master
from innkeeper.keyring.restore import restore
from innkeeper.settings import Settings
from innkeeper.store.sql import SqlStore

_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class StrongRoom:
    """What keeps secrets, and who looks after the keys."""

    vault: Vault
    locksmith: Locksmith


async def open_keyring(settings: Settings) -> Keyring:
    """The keyring that the settings name; KeyringFault, with nothing changed, where it isn't the right one, or is
    missing though there is a database."""
    source = master_source(settings, settings.data)
    missing = source.writable and await asyncio.to_thread(source.read) is None
    blank = missing and await SqlStore.is_blank(settings.store_url)
    return await asyncio.to_thread(partial(Keyring.open, settings.data, source, is_new=blank))


async def strong_room(*, store: Store, keyring: Keyring, bus: Bus, clock: Clock) -> StrongRoom:
    """Put it together; KeyringFault where the keys of kept secrets are gone. To be called before tenants are loaded."""
    async with store.look() as tx:
        owners = await tx.secrets.owners()
    if lost := await asyncio.to_thread(keyring.missing, sorted(owners)):
        raise KeyringFault(
            f"The data keys of {len(lost)} owners of secrets are missing: "
            f"{', '.join(lost[:_NAMED])}{' …' if len(lost) > _NAMED else ''}.",
            hint="Restore the data directory's folder `keys` from a backup or an export (`innkeeper keyring import "
            "FILE`). Nothing was changed.",
        )
    locksmith = Locksmith(store=store, lockbox=keyring, clock=clock)
    for tenant in await locksmith.renew_who_has_no_key():
        await keyring.ready(tenant.id)
    hide = partial(telemetry.hide, for_s=telemetry.HIDDEN_FOR_S)
    hide_chosen = partial(hide, chosen=True)
    vault = Vault(store=store, seals=keyring, keys=keyring, bus=bus, clock=clock, hide=hide, hide_chosen=hide_chosen)
    return StrongRoom(vault=vault, locksmith=locksmith)


def first_admin_token(settings: Settings) -> str | None:
    """The admin token where this very call has made it; None where there was one."""
    there = (settings.data / "admin-token").exists()
    token = admin_token(settings.data)
    return None if there else token


# --- for the command line, on this host -------------------------------------------------------------------------------


def new_keyring() -> dict[str, Any]:
    """A fresh keyring, for the environment or a secret manager."""
    fresh: dict[str, Any] = json.loads(Masters((new_master(),)).dumped())
    return fresh


def export_keyring(settings: Settings, file: Path, passphrase: str | None) -> int:
    """Write an offline copy; how many data keys it holds."""
    source = master_source(settings, settings.data)
    return Keyring.open(settings.data, source, make=False).export(file, passphrase)


def import_keyring(settings: Settings, file: Path, passphrase: str | None) -> dict[str, Any]:
    """Put back what is missing of such a copy."""
    source = master_source(settings, settings.data)
    return vars(restore(settings.data, file, passphrase, source=source))
