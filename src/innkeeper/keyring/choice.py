"""Which source of master keys the settings name."""

from __future__ import annotations

from pathlib import Path

from innkeeper.keyring.sources import KeyringCommand, KeyringFile, KeyringText, MasterSource
from innkeeper.vault_settings import VaultSettings


def master_source(settings: VaultSettings, data: Path) -> MasterSource:
    """The environment's, a command's, or a file: that of the data directory where no other is named."""
    if settings.master_key is not None:
        return KeyringText(settings.master_key.get_secret_value(), where="INNKEEPER_MASTER_KEY")
    if settings.master_key_command:
        return KeyringCommand(settings.master_key_command)
    return KeyringFile(settings.master_key_file or data / "keyring")
