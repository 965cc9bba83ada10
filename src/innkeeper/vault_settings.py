"""The options of the vault: where its master keys come from."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class VaultSettings(BaseSettings):
    """The settings' group "The vault"."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    master_key_file: Path | None = None
    """The keyring with the master keys, where it is to lie elsewhere than in the data directory: on a mount that goes
    with no backup, say. Unset: `keyring` in the data folder. Made at the first start; 0600."""

    master_key: SecretStr | None = None
    """The keyring itself, as the JSON of `innkeeper keyring new`, for secrets that an orchestrator puts into the
    environment. It is written nowhere; a rotation's new key is added to it by hand."""

    master_key_command: list[str] = Field(default=[], max_length=100)
    """A program and its arguments, run without a shell at each start, that prints the keyring's JSON within 10 seconds:
    a secret manager's client, or one that has a KMS open it. Empty: none. In the environment it is JSON:
    `["op", "read", "op://vault/innkeeper"]`."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [self.master_key_file, self.master_key, self.master_key_command or None]
        if sum(each is not None for each in given) > 1:
            raise ValueError("only one of master_key_file, master_key and master_key_command can be set")
        return self
