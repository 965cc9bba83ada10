"""Where repositories lie: what restic is told, and what it must be given to get there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from innkeeper.core.backup_targets import SFTP
from innkeeper.core.errors import Invalid

GOOGLE = "GOOGLE_APPLICATION_CREDENTIALS"
_AWS_KEYS = {
    "AWS_ACCESS_KEY_ID": "aws_access_key_id",
    "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
    "AWS_SESSION_TOKEN": "aws_session_token",
}
_REST_USER, _REST_PASSWORD = "RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD"


async def _none() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A place that holds a repository for each owner, at `PLACE/OWNER`."""

    name: str
    folder: Path | None = None
    """Where it is on this host's disks."""
    url: str = ""
    """Else as restic takes it: `s3:https://HOST/BUCKET/PREFIX`, `sftp:USER@HOST:/PATH`, `rest:https://HOST/` …"""
    credentials: Callable[[], Awaitable[Mapping[str, str]]] = field(default=_none, repr=False)
    """The variables that restic reads for it; asked for at each run, so that a new one counts at once."""
    ssh_key: Path | None = None
    ssh_known_hosts: Path | None = None

    @property
    def kind(self) -> str:
        """`local`, `s3`, `sftp` …"""
        return "local" if self.folder is not None else self.url.partition(":")[0]


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a run has to get at a far repository."""

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Values; those of `named` are the names of files, whose paths are to stand there."""
    named: Mapping[str, str] = field(default_factory=dict)


def located(target: Target, owner: str, credentials: Mapping[str, str]) -> str:
    """The owner's repository, as restic is told: with the password of a rest-server, so never in a command line."""
    url = target.url.rstrip("/") if target.kind != "gs" and target.kind != "azure" else _with_path(target.url)
    if target.kind == "rest" and _REST_USER in credentials:
        login = f"{quote(credentials[_REST_USER], safe='')}:{quote(credentials.get(_REST_PASSWORD, ''), safe='')}"
        url = url.replace("://", f"://{login}@", 1)
    return f"{url}/{owner}/" if target.kind == "rest" else f"{url}/{owner}"


def _with_path(url: str) -> str:
    # `gs:BUCKET:/PREFIX`: a bucket alone has no path to add an owner to.
    url = url.rstrip("/")
    return url if url.count(":") > 1 else f"{url}:"


def access(target: Target, credentials: Mapping[str, str]) -> Access:
    """What of the credentials goes into files, and what can only go into the environment.

    A file in the sandbox's own memory is what nothing else can read; the environment, /proc shows to root. AWS and
    Google have a file for it; Azure, B2 and Swift are read from variables alone.
    """
    files: dict[str, bytes] = {}
    named: dict[str, str] = {}
    environment = {key: value for key, value in credentials.items() if not key.startswith("RESTIC_REST_")}
    if "AWS_ACCESS_KEY_ID" in environment:
        keys = {ini: environment.pop(key) for key, ini in _AWS_KEYS.items() if key in environment}
        lines = ["[default]", *(f"{key} = {value}" for key, value in keys.items())]
        files["aws"] = "\n".join([*lines, ""]).encode()
        named["AWS_SHARED_CREDENTIALS_FILE"] = "aws"
    if GOOGLE in environment:
        files["google.json"] = environment.pop(GOOGLE).encode()
        named[GOOGLE] = "google.json"
    if target.kind == "sftp":
        if target.ssh_key is not None:
            files["ssh-key"] = target.ssh_key.read_bytes()
        if target.ssh_known_hosts is not None:
            files["known-hosts"] = target.ssh_known_hosts.read_bytes()
    return Access(files=files, environment=environment, named=named)


def ssh_words(target: Target, place: Callable[[str], str]) -> list[str]:
    """The options of ssh and sftp; `place` tells where a file lies in the sandbox."""
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=20", "ServerAliveInterval=15"]
    options += [f"UserKnownHostsFile={place('known-hosts')}"]
    words = [each for option in options for each in ("-o", option)]
    return [*words, "-i", place("ssh-key")] if target.ssh_key is not None else words


def sftp_place(url: str) -> tuple[str, str | None, str]:
    """Login, port and path of an SFTP target."""
    found = SFTP.fullmatch(url)
    if found is None:
        raise Invalid("That is no SFTP target.")
    return found["login"], found["port"], found["path"]
