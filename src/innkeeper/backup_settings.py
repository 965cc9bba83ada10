"""The options of backups: where snapshots lie, and what they may take."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from innkeeper.core.backup_targets import PREFIXES, check_url, is_secret
from innkeeper.core.errors import Invalid
from innkeeper.core.integration_reading import REFERENCE

_VALUE_NAMED = "name it: `${secret:NAME}` of the platform's vault or `${env:NAME}`"


class BackupSettings(BaseSettings):
    """The settings' group "Backups"."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, hide_input_in_errors=True)

    backup_local: Path | Literal["off"] | None = None
    """The folder with the first copy of the snapshots, a restic repository for each tenant. On a disk of its own it
    outlives the data directory's. Unset: `backups` in the data folder. `off`: none, snapshots go to `backup_remote`
    straight, and a tenant is frozen as long as that takes."""

    backup_remote: str | None = None
    """Where a second copy goes, as restic takes it: `s3:https://HOST/BUCKET/PREFIX`, `gs:BUCKET:/PREFIX`,
    `azure:CONTAINER:/PREFIX`, `sftp:USER@HOST:/PATH`, `rest:https://HOST/`, `b2:BUCKET:PREFIX`, or the path of a folder
    on another disk. Without user and password: those are in `backup_credentials`. Unset: there is none."""

    backup_credentials: dict[str, str] = {}
    """The variables that restic reads for `backup_remote`: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`,
    `AZURE_ACCOUNT_NAME` and `AZURE_ACCOUNT_KEY`, `GOOGLE_APPLICATION_CREDENTIALS` (here the key file's content),
    `B2_ACCOUNT_ID` and `B2_ACCOUNT_KEY`, `RESTIC_REST_USERNAME` and `RESTIC_REST_PASSWORD` … What their names say is
    secret is a reference: `${secret:NAME}` of the platform's vault or `${env:NAME}`; the rest may be written out. In
    TOML: `[backup_credentials]`."""

    backup_ssh_key: Path | None = None
    """The private key, without a passphrase, for `sftp:`. It is read at each run, by Innkeeper."""

    backup_ssh_known_hosts: Path | None = None
    """The known_hosts file with the key of the host of `sftp:`, which is never taken on trust."""

    backup_upload_kb_per_s: int | None = Field(default=None, ge=1)
    """The most that one run sends to a far target, in KiB a second, so that tenants' traffic has room. Unset: as much
    as goes."""

    backup_download_kb_per_s: int | None = Field(default=None, ge=1)
    """The most that one run takes from a far target, in KiB a second. Unset: as much as goes."""

    backup_cpus: int | None = Field(default=None, ge=1, le=512)
    """How many cores one run of restic may use at once. Unset: all; it is I/O that it mostly waits for."""

    backup_patience_s: float = Field(default=60.0, ge=5, le=3600)
    """How long a far target may make no progress, in seconds, before a run is given up as unreachable. It is tried
    again later; longer than a slow object store takes to answer."""

    @field_validator("backup_local")
    @classmethod
    def _absolute(cls, folder: Path | Literal["off"] | None) -> Path | Literal["off"] | None:
        if isinstance(folder, Path):
            folder = folder.expanduser()
            if not folder.is_absolute():
                raise ValueError("must be an absolute path, or `off`")
        return folder

    @field_validator("backup_remote")
    @classmethod
    def _known_kind(cls, url: str | None) -> str | None:
        try:
            return url if url is None or url.startswith("/") else check_url(url)
        except Invalid as problem:
            raise ValueError(f"{problem.message} {problem.hint}".strip()) from None

    @field_validator("backup_credentials")
    @classmethod
    def _named_secrets(cls, said: dict[str, str]) -> dict[str, str]:
        for name, value in said.items():
            if not name.startswith(PREFIXES):
                raise ValueError(f"{name[:60]} is nothing that restic reads: names begin with {', '.join(PREFIXES)}")
            if is_secret(name) and not REFERENCE.fullmatch(value):
                raise ValueError(f"{name[:60]} is written out; {_VALUE_NAMED}")
            if "\n" in value or "\0" in value:
                raise ValueError(f"{name[:60]} has a line break")
        return said

    @model_validator(mode="after")
    def _sftp_hosts(self) -> BackupSettings:
        if (self.backup_remote or "").startswith("sftp:") and self.backup_ssh_known_hosts is None:
            raise ValueError("`sftp:` wants backup_ssh_known_hosts: `ssh-keyscan HOST` prints what belongs there")
        return self
