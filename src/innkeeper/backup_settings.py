"""The options of backups: where snapshots lie, and what they may take."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from innkeeper.core.backup_plans import BackupPlan, plan_from
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
    straight."""

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

    backup_at: str = "03:00"
    """When tenants are backed up, in UTC. The control plane's own database is, too. A plan may say otherwise
    (`plans.NAME.backup`), as it may with the next four."""

    backup_every_h: float = 24.0
    """How often, in hours, counted from `backup_at`. 0: never by itself. What was missed is caught up."""

    backup_spread_h: float = 2.0
    """Over how many hours after `backup_at` they begin, each tenant always at the same moment: a thousand at once would
    stand in line for the disk."""

    backup_keep_local: dict[str, int] = {"daily": 7}
    """Of how many days, weeks and months the last snapshot is kept at `backup_local`: `daily`, `weekly`, `monthly`. The
    newest good one is always kept, and the newest that a restore has proven."""

    backup_keep_remote: dict[str, int] = {"daily": 30}
    """The same at `backup_remote`."""

    backup_consent_wait_s: float = Field(default=120.0, ge=0, le=550)
    """How long a backup waits for the consent of an agent that is at work, in seconds. After that it is frozen in the
    middle of it for as long as it takes; its files are as after a power cut then, which databases survive."""

    backup_repair: bool = True
    """Whether a backup that finds a damaged repository mends it by itself, once a day at the most: all of it is read,
    what isn't as it was written is put aside, and what was lost is told by the alert `backup.mended`. `false`: backups
    fail until `innkeeper backup repair`."""

    @property
    def backup_plan(self) -> BackupPlan:
        """When whoever's plan says nothing else is backed up."""
        said = {
            "at": self.backup_at,
            "every_h": self.backup_every_h,
            "spread_h": self.backup_spread_h,
            "keep_local": self.backup_keep_local,
            "keep_remote": self.backup_keep_remote,
        }
        return plan_from(said)

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
    def _schedule_holds(self) -> BackupSettings:
        try:
            _ = self.backup_plan
        except Invalid as problem:
            where = (problem.field or "").replace(".", "_", 1)
            raise ValueError(f"{where}: {problem.message} {problem.hint}".strip()) from None
        return self

    @model_validator(mode="after")
    def _sftp_hosts(self) -> BackupSettings:
        if (self.backup_remote or "").startswith("sftp:") and self.backup_ssh_known_hosts is None:
            raise ValueError("`sftp:` wants backup_ssh_known_hosts: `ssh-keyscan HOST` prints what belongs there")
        return self
