"""What the checks look at, handed in so that tests can give them a machine of paper."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import httpx2

from innkeeper.core.certificates import Certificates
from innkeeper.core.errors import RuntimeUnavailable
from innkeeper.core.keyring_facts import KeyringFacts
from innkeeper.core.ladder import Rung
from innkeeper.host.sever import Ways

Engine = Callable[[str], Awaitable[Any]]
"""GETs a path of the Engine's API: the parsed answer, None for a 404, RuntimeUnavailable when it doesn't answer."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port that Innkeeper needs, and what for."""

    number: int
    purpose: str
    setting: str


@dataclass(frozen=True, kw_only=True)
class TenantFacts:
    """What the doctor must know of a tenant."""

    name: str
    agent: str
    release: str
    image: str
    memory_mb: int


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """What the probe inside a tenant found; both lists are empty when all is well."""

    tenant: str
    leaks: tuple[str, ...] = ()
    """What it reached though it must not: `the host at 10.64.0.1:22`."""
    missing: tuple[str, ...] = ()
    """What it must reach and could not: `the broker at 10.64.0.1:8701`."""


class IsolationProbe(Protocol):
    """Looks at the network from inside a running tenant; None when no tenant runs."""

    async def __call__(self) -> Isolation | None: ...


@dataclass(frozen=True, kw_only=True)
class EgressFacts:
    """How it stands with tenants whose way out is watched."""

    watched: int
    behind: tuple[str, ...] = ()
    """Those for whom mode and list don't hold as they are now."""
    past_us: bool = False
    """The Engine may look names up from the host itself, where nothing of ours sees it."""


@dataclass(frozen=True, kw_only=True)
class Trail:
    """How the audit trail stands."""

    fault: str | None
    """What is wrong with it, as far as is known."""
    checked: datetime | None = None
    """When it was last checked whole, in UTC; None: not by this process."""


@dataclass(frozen=True, kw_only=True)
class LeftOver:
    """What is kept of tenants that were deleted."""

    folders: Sequence[str]
    """By name."""
    keys: int


@dataclass(frozen=True, kw_only=True)
class BackupFacts:
    """Where snapshots go, and what takes them."""

    programs: Mapping[str, Path | None]
    """`restic` and `bubblewrap`; None: isn't there."""
    folders: Sequence[Path] = ()
    """Of this host's disks."""
    far: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """By name, each with a try to reach it, which raises why not."""
    elsewhere: bool = False
    """Whether there is a place beside the local one."""
    unseen: bool = False
    """Whether it can't be tried from here, because no control plane runs."""


@dataclass(frozen=True, kw_only=True)
class BackupAges:
    """How everybody's backups stand."""

    failing: Mapping[str, str] = field(default_factory=dict)
    """By name, why."""
    late: tuple[str, ...] = ()
    oldest_h: float | None = None
    """The age of the oldest of the newest good ones, in hours."""
    never: int = 0
    """How many have none."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """One machine, as the checks see it."""

    data: Path
    engine: Engine
    ports: tuple[Port, ...] = ()
    tenants: tuple[TenantFacts, ...] | None = None
    """None: the store could not be read."""
    isolation: IsolationProbe | None = None
    egress: Callable[[], EgressFacts] | None = None
    """None: no control plane runs."""
    missing_rungs: Mapping[Rung, str] | None = None
    """What of the ladder can't be had here, each with the reason; None: nobody has tried."""
    trail: Callable[[], Awaitable[Trail]] | None = None
    """None: no control plane runs."""
    keyring: Callable[[], KeyringFacts] | None = None
    """Looks at the keyring, and raises what is wrong with it; None: nothing was ever made with one."""
    keyless: Callable[[], Sequence[str]] | None = None
    """Finds tenants whose data key isn't there any more; None: no control plane runs."""
    left_over: Callable[[], LeftOver] | None = None
    """Finds what deleted tenants have left; None: no control plane runs."""
    backups: BackupFacts | None = None
    """None: there is no target."""
    backup_ages: Callable[[], Awaitable[BackupAges | None]] | None = None
    """None: no control plane runs; and where it gives None, backups are off."""
    caddy: Path | None = None
    """Caddy's binary; None: `serve` isn't meant to run one."""
    caddy_admin: Path | None = None
    ways_to_sever: Callable[[], Ways] | None = None
    """Tries to end a connection as it would be done to one of Caddy's; None: `serve` isn't meant to run one."""
    certificates: Callable[[], Certificates] | None = None
    """Reads what there is of certificates; None: there is no TLS."""
    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    statvfs: Callable[[Path], os.statvfs_result] = os.statvfs
    now_s: Callable[[], float] = time.time
    ntp_synchronised: Callable[[], bool | None] = lambda: None
    """Whether the kernel's clock is disciplined; None: can't be told."""

    def free_mb(self, folder: Path) -> int:
        """What is free under the folder, or under the nearest above it that there is."""
        while not folder.exists():
            folder = folder.parent
        seen = self.statvfs(folder)
        return seen.f_bavail * seen.f_frsize // 2**20

    def read(self, path: Path) -> str | None:
        """A small file of the kernel's; None when it isn't there."""
        try:
            return path.read_text()
        except OSError:
            return None


def engine_at(socket: str) -> Engine:
    """The Engine behind a unix socket, for whoever assembles a Host."""

    async def get(path: str) -> Any:
        transport = httpx2.AsyncHTTPTransport(uds=socket)
        try:
            async with httpx2.AsyncClient(transport=transport, base_url="http://engine", timeout=5) as client:
                answer = await client.get(path)
        except httpx2.HTTPError as error:
            raise RuntimeUnavailable(
                f"the Docker Engine doesn't answer at {socket}: {error}",
                hint="Start it: `systemctl start docker`, or `dockerd` by hand where no service manager runs.",
            ) from error
        if answer.status_code == 404:
            return None
        if answer.is_error:
            raise RuntimeUnavailable(f"the Docker Engine answered {answer.status_code} to GET {path}")
        return json.loads(answer.content)

    return get
