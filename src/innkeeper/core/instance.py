"""An instance: what a runtime says is there now for one tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """The states of DESIGN.md. A runtime reports all but `starting` and `failed`, which the core adds."""

    ABSENT = "absent"
    STARTING = "starting"  # running, not ready yet
    RUNNING = "running"
    PAUSED = "paused"
    SAVED = "saved"
    STOPPED = "stopped"
    FAILED = "failed"  # crashed too often, or can't be run at all


@dataclass(frozen=True, kw_only=True)
class Instance:
    """What there is of a tenant in a runtime; `state` is absent, running, paused, saved or stopped."""

    tenant: str
    state: State
    id: str | None = None
    """The runtime's own id; actions are pinned to it."""
    tenant_id: str | None = None
    revision: int = 0
    """The revision of the spec that it was made from."""
    restarts: int = 0
    """How often the runtime restarted it since `start`, because it ended by itself."""
    exit_code: int | None = None
    out_of_memory: bool = False
    started_at: datetime | None = None
    stuck: bool = False
    """Waiting between two restarts: it has just crashed."""
    cpus: float | None = None
    """The processor time it may use now; more than its spec says while it is helped to start. None: can't be told."""

    @property
    def exists(self) -> bool:
        """Whether there is something to act on."""
        return self.state is not State.ABSENT


def absent(tenant: str) -> Instance:
    """The instance of a tenant that has none."""
    return Instance(tenant=tenant, state=State.ABSENT)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What an instance uses, read from the kernel: bytes and seconds since it started."""

    memory_bytes: int
    """Charged to its cgroup, page cache included."""
    rss_bytes: int
    """Anonymous memory that is resident now."""
    swap_bytes: int
    cpu_s: float
    pids: int
    major_faults: int = 0
    """How often it had to wait for a page to be read back, from swap or from a file."""


@dataclass(frozen=True, kw_only=True)
class PagedOut:
    """What a page-out did, measured on the instance's cgroup."""

    before_bytes: int
    """Charged to it, page cache included."""
    after_bytes: int
    swapped_bytes: int
    """What of it lies in swap now, uncompressed."""
    seconds: float
    skipped: str | None = None
    """Why nothing was done; None: it was."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a program ended that was run inside an instance."""

    exit_code: int
    output: bytes


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line that an instance wrote."""

    at: datetime
    stream: str  # "stdout" or "stderr"
    text: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a slot lies on the tenants' network."""

    network: str
    address: str
    gateway: str
    """The host's address on that network: the edge connects from it and the broker listens on it."""


@dataclass(frozen=True, kw_only=True)
class RuntimeEvent:
    """A hint that something happened to a tenant's instance; the tenant is looked at again, nothing else."""

    tenant: str
    action: str
