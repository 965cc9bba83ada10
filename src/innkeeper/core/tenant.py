"""A tenant: one customer's agent, how it should be, and what was last seen of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from innkeeper.core.errors import InvalidName
from innkeeper.core.instance import State
from innkeeper.core.ladder import Rung, SleepPolicy
from innkeeper.core.openings import InboxPath, Openings
from innkeeper.core.past import NOTHING, Past
from innkeeper.core.uses import NO_USES, Uses

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
"""The pattern of DESIGN.md, and of OpenClaw's own fleet; a DNS label and a file name at once."""


class Wanted(StrEnum):
    """What the operator wants of a tenant in the long run."""

    AUTO = "auto"  # sleeps when idle, wakes at the first request
    AWAKE = "awake"  # never sleeps
    ASLEEP = "asleep"  # stays down until told otherwise; requests don't wake it
    GONE = "gone"  # is being removed


class Mode(StrEnum):
    """How a tenant is housed."""

    DEDICATED = "dedicated"


class Access(StrEnum):
    """Who may pass the gate to a tenant."""

    GUARDED = "guarded"  # a signed-in member, or a tenant key or a token as bearer
    KEY = "key"  # a key or a token as bearer, and no browser's session
    OPEN = "open"  # everybody; the agent's own login is the only one


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an instance may use at most, and what it has first claim to where there isn't enough for all."""

    memory_mb: int
    cpus: float
    pids: int = 512
    memory_reserve_mb: int | None = None
    """So much of its memory is taken back last, when the host runs short of it."""
    cpus_reserve: float | None = None
    """Its weight beside others when the processors are busy, in parts of one; None: as everybody without one has."""


@dataclass(frozen=True, kw_only=True)
class CustomAgent:
    """What the `custom` agent has to be told, since no adapter knows it."""

    image: str
    port: int
    health_path: str = "/"
    command: tuple[str, ...] = ()
    mount: str = "/data"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """How a tenant should be; a change makes a new revision."""

    agent: str
    release: str
    image: str
    """Image ID or repository@digest: never a tag, so that what runs is what was recorded."""
    limits: Limits
    mode: Mode = Mode.DEDICATED
    sleep: SleepPolicy = field(default_factory=SleepPolicy)
    env: Mapping[str, str] = field(default_factory=dict)
    hostnames: tuple[str, ...] = ()
    access: Access = Access.GUARDED
    custom: CustomAgent | None = None
    public_paths: tuple[str, ...] = ()
    """Paths that anybody may reach without a key: `/hooks/verify`, or `/static/*` for all that lies below."""
    inbox: tuple[InboxPath, ...] = ()
    """Paths whose webhooks are kept and delivered in order."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """A JSON merge patch over the agent's own config; `${secret:NAME}` stands where a secret has to be inside."""
    uses: Uses = NO_USES
    """What the agent may use, and how much of it."""
    packs: tuple[str, ...] = ()
    """Core content of its own, beside its agent's and its plan's: core/packs.py."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the reconciler last saw of a tenant's instance; a cache of the runtime's truth, and of its crashes."""

    state: State = State.ABSENT
    ready: bool = False
    error: str | None = None
    instance_id: str | None = None
    restarts: int = 0
    """How many of `instance_id`'s restarts have been counted into `crashes`."""
    crashes: tuple[datetime, ...] = ()
    started_at: datetime | None = None
    next_wake: datetime | None = None
    """When the agent has work to do by itself (a cron run), told by it before it went to sleep."""
    missed_since: datetime | None = None
    """Since when runs of its own were missed; which those are isn't known yet."""
    owed_runs: tuple[tuple[str, int], ...] = ()
    """By its own jobs, how many missed runs it is still to make up for."""
    suspension: str | None = None
    """The name under which the agent has stopped taking work, for as long as it isn't told to go on."""
    webhooks: tuple[InboxPath, ...] = ()
    """Where the agent takes webhooks by its own config; inbox paths, too, but for what the spec says of them."""


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """One customer's agent and all that belongs to it."""

    id: str
    """Never used twice, unlike the name: tokens are derived from it and labels carry it."""
    name: str
    spec: Spec
    slot: int
    """Its place on the tenants' network: decides bridge and address; the lowest free one, kept for life."""
    created_at: datetime
    revision: int = 1
    remade_at: int = 1
    """The revision that last asked for a new instance; one that was made from it or a later one is current."""
    wanted: Wanted = Wanted.AUTO
    rung: Rung = Rung.RUNNING
    """Where on the ladder it should be now."""
    purge: bool = False
    """When `wanted` is gone: the data goes too."""
    token_epoch: int = 1
    """Raised to make every derived token of the tenant a new one."""
    last_activity: datetime | None = None
    seen: Seen = field(default_factory=Seen)
    past: Past = NOTHING
    """What was measured of it, as it was written down last; core/past.py."""
    closed: str | None = None
    """The operation that has its folder to itself: until that lets go, nothing of it runs."""
    fenced: bool = False
    """Its agent's channels are off, until somebody says that no other instance of it serves them any more."""
    born_as: str | None = None
    """What the tenant was called that its data were taken from; None: they are its own."""

    @property
    def hostname(self) -> str:
        """That of its instances. OpenClaw doesn't start for minutes where the last owner of its data had another."""
        return self.born_as or self.name

    @cached_property
    def openings(self) -> Openings | None:
        """What anybody may reach of it without a key; None, as for most: nothing."""
        public, inbox = self.spec.public_paths, (*self.spec.inbox, *self.seen.webhooks)
        return Openings(public, inbox) if public or inbox else None

    @property
    def target(self) -> State:
        """The state that the reconciler steers to."""
        match self.wanted:
            case Wanted.GONE:
                return State.ABSENT
            case Wanted.AWAKE:
                return State.RUNNING
            case Wanted.ASLEEP:
                return State.STOPPED
            case Wanted.AUTO:
                return self.rung.state


def check_name(name: str) -> str:
    """The name itself, or InvalidName."""
    if not NAME.fullmatch(name):
        shown = repr(name) if len(name) <= 60 else repr(name[:60]) + "…"
        raise InvalidName(f"{shown} can't be a tenant's name.", field="name")
    return name
