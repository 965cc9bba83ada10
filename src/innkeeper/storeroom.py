"""The part of the composition root that keeps packs and delivers them into workspaces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from innkeeper.agents import AGENTS
from innkeeper.core.events import Bus
from innkeeper.core.hydration import Hydration, packs_of
from innkeeper.core.pack_releases import PackReleases
from innkeeper.core.plans import plans_from
from innkeeper.core.ports import Clock, Store
from innkeeper.runtimes.docker_folders import DockerFolders
from innkeeper.runtimes.memory_folders import MemoryFolders
from innkeeper.settings import Settings
from innkeeper.units.pack_library import FolderLibrary
from innkeeper.units.workspaces import FolderWorkspaces

MB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Storeroom:
    """The packs that there are, and who brings them to tenants."""

    releases: PackReleases
    hydration: Hydration
    upload_bytes: int
    """The largest upload that may be a pack."""


@asynccontextmanager
async def storeroom(settings: Settings, *, store: Store, bus: Bus, clock: Clock) -> AsyncIterator[Storeroom]:
    """Put it together; what a crash has left half taken in is removed."""
    library = FolderLibrary(settings.data / "packs", limit_bytes=settings.pack_mb * MB)
    await asyncio.to_thread(library.sweep)
    images = _images(settings)
    plans = plans_from(settings.plans)
    of = packs_of(plans, settings.packs)
    hydration = Hydration(
        store=store,
        library=library,
        images=images,
        workspaces=FolderWorkspaces(settings.data / "tenants", library),
        agents=AGENTS,
        of=of,
        bus=bus,
        clock=clock,
        auto=settings.hydrate == "auto",
    )
    releases = PackReleases(store=store, library=library, clock=clock, of=of, plans=plans, per_agent=settings.packs)
    try:
        yield Storeroom(releases=releases, hydration=hydration, upload_bytes=library.upload_bytes)
    finally:
        await images.close()


def _images(settings: Settings) -> DockerFolders | MemoryFolders:
    if settings.runtime == "memory":
        return MemoryFolders()
    return DockerFolders(socket=settings.docker_socket, namespace=settings.namespace)
