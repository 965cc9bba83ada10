"""What the handlers need of the house, handed in as one value so that they know no adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Protocol

from fastapi import Depends, Request

from innkeeper.api.measured import Measured
from innkeeper.core.asked_for import AskedFor
from innkeeper.core.backups import Backups
from innkeeper.core.control import Control
from innkeeper.core.data_exports import DataExports
from innkeeper.core.denials import Denials
from innkeeper.core.directory import Directory
from innkeeper.core.door import Door
from innkeeper.core.drills import Drills
from innkeeper.core.events import Bus
from innkeeper.core.exports import Exports
from innkeeper.core.fleet import Fleet
from innkeeper.core.hosting import Hosting
from innkeeper.core.hosts import Premises
from innkeeper.core.hydration import Hydration
from innkeeper.core.importing import Importing
from innkeeper.core.inbox import Inbox
from innkeeper.core.integrations import Integrations
from innkeeper.core.keys import Keys
from innkeeper.core.ledger import Ledger
from innkeeper.core.locksmith import Locksmith
from innkeeper.core.names import Names
from innkeeper.core.pack_releases import PackReleases
from innkeeper.core.ports import Clock, Entrance, HostMemory, Runtime, SignIn, Store
from innkeeper.core.prices import PriceTable
from innkeeper.core.proofs import Proofs
from innkeeper.core.receipt_book import ReceiptBook
from innkeeper.core.reception import Reception
from innkeeper.core.records import Records
from innkeeper.core.releases import Releases
from innkeeper.core.restored_files import RestoredFiles
from innkeeper.core.restores import Restores
from innkeeper.core.tenant import Tenant
from innkeeper.core.tools import Tools
from innkeeper.core.vault import Vault
from innkeeper.core.works import Works
from innkeeper.loops.dormitory import Dormitory


class Finding(Protocol):
    """One line of the doctor's."""

    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def says(self) -> str: ...
    @property
    def fix(self) -> str: ...


class BuiltImage(Protocol):
    """An image as its builder describes it."""

    @property
    def agent(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def size_mb(self) -> int: ...


class BuildImage(Protocol):
    """Makes the image of an agent's version, or finds it; `source` is `auto`, `registry` or `packages`."""

    async def __call__(
        self, agent: str, *, version: str | None, source: str, progress: Callable[[str], None]
    ) -> BuiltImage: ...


class Footprint(Protocol):
    """What a container costs beside its own memory."""

    @property
    def keeper_mb(self) -> float: ...
    @property
    def keeper_tasks(self) -> int: ...
    @property
    def inotify(self) -> int: ...


class Survey(Protocol):
    """Looks at the host for whoever asks how many tenants it can hold; each look takes a bounded time."""

    async def premises(self) -> Premises:
        """The host as it is now."""
        ...

    async def units_mb(self, tenants: Sequence[str]) -> Sequence[float]:
        """What those of the tenants' folders take that aren't too large to be looked through."""
        ...

    async def footprints(self, instance_ids: Collection[str]) -> Mapping[str, Footprint]:
        """Of those of the instances that can be looked at."""
        ...


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the system that the control plane relies on: Docker, Caddy, the broker."""

    name: str
    up: bool
    version: str | None = None
    says: str | None = None
    """Why it isn't up."""


@dataclass(frozen=True, kw_only=True)
class Inn:
    """The house: everything behind the API."""

    control: Control
    keys: Keys
    backups: Backups
    exports: Exports
    data_exports: DataExports
    fleet: Fleet
    integrations: Integrations
    people: Reception
    provider: SignIn | None
    """Where people can sign in beside the console itself."""
    inbox: Inbox
    importing: Importing
    vault: Vault
    locksmith: Locksmith
    ledger: Ledger
    prices: PriceTable
    drills: Drills
    proofs: Proofs
    asked_for: AskedFor
    egress_in_force: Callable[[str], bool]
    """Whether the host does what a tenant's `uses.egress` says now."""
    records: Records
    receipts: ReceiptBook
    denials: Denials
    releases: Releases
    packs: PackReleases
    hydration: Hydration
    works: Works
    restores: Restores
    restored_files: RestoredFiles
    store: Store
    runtime: Runtime
    door: Door
    directory: Directory
    entrance: Callable[[Tenant], Entrance]
    """How to get in to a tenant's agent, with its own credential: `Seating.entrance`."""
    hosting: Hosting
    names: Names
    tools: Tools
    bus: Bus
    dormitory: Dormitory
    memory: HostMemory
    clock: Clock
    data: Path
    body_limit: int
    """The largest body taken, in bytes …"""
    pack_limit: int
    """… and the largest pack."""
    build_image: BuildImage
    survey: Survey
    doctor: Callable[[], Awaitable[Sequence[Finding]]]
    parts: Callable[[], Awaitable[Sequence[Part]]]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set as soon as the server is told to stop: open streams and waiting requests end at once."""
    measured: Measured = field(default_factory=Measured)


def _inn(request: Request) -> Inn:
    inn: Inn = request.app.state.inn
    return inn


TheInn = Annotated[Inn, Depends(_inn)]
"""The house, as a handler's parameter."""
