"""Packs for tests: made of a few texts, kept in a temporary folder, delivered into real ones."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from innkeeper.core.access import SYSTEM
from innkeeper.core.hydration import Hydration, packs_of
from innkeeper.core.pack_releases import PackReleases, PerAgent
from innkeeper.core.packs import PackRelease
from innkeeper.core.plans import Plans
from innkeeper.runtimes.memory_folders import MemoryFolders
from innkeeper.units.pack_library import FolderLibrary
from innkeeper.units.workspaces import FolderWorkspaces
from tests.support.house import House

OWNER = (1000, 1000) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
LIMIT = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Packs:
    """All that keeps and delivers packs."""

    library: FolderLibrary
    images: MemoryFolders
    workspaces: FolderWorkspaces
    releases: PackReleases
    hydration: Hydration

    async def add(self, version: str, files: Mapping[str, str], *, name: str = "core", **said: str) -> PackRelease:
        """A version of a pack."""
        return await self.releases.add(chunks(tarball(version, files, name=name, said=said)), actor=SYSTEM)


def packs_for(
    house: House,
    data: Path,
    *,
    plans: Plans | None = None,
    per_agent: PerAgent | None = None,
    auto: bool = True,
    limit: int = LIMIT,
) -> Packs:
    """Put together on a house's store."""
    library = FolderLibrary(data / "packs", limit_bytes=limit)
    images = MemoryFolders()
    workspaces = FolderWorkspaces(data / "tenants", library, owner_uid=OWNER[0], owner_gid=OWNER[1])
    of = packs_of(plans or {}, per_agent or {})
    return Packs(
        library=library,
        images=images,
        workspaces=workspaces,
        releases=PackReleases(
            store=house.store, library=library, clock=house.clock, of=of, plans=plans or {}, per_agent=per_agent or {}
        ),
        hydration=Hydration(
            store=house.store,
            library=library,
            images=images,
            workspaces=workspaces,
            agents={"plain": house.agent},
            of=of,
            bus=house.bus,
            clock=house.clock,
            auto=auto,
        ),
    )


def tarball(
    version: str,
    files: Mapping[str, str],
    *,
    name: str = "core",
    packed: bool = True,
    top: str = "",
    said: Mapping[str, str] | None = None,
) -> bytes:
    """A pack as it is uploaded; `#!` at a file's beginning makes it executable."""
    manifest = {"name": name, "version": version, **(said or {})}
    texts = {"pack.toml": "".join(f'{key} = "{value}"\n' for key, value in manifest.items()), **files}
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz" if packed else "w") as tar:
        for path, text in texts.items():
            member = tarfile.TarInfo(top + path)
            member.size = len(text.encode())
            member.mode = 0o755 if text.startswith("#!") else 0o644
            tar.addfile(member, io.BytesIO(text.encode()))
    return written.getvalue()


async def chunks(content: bytes, *, size: int = 1000) -> AsyncIterator[bytes]:
    """As they come from a client."""
    for at in range(0, len(content), size):
        yield content[at : at + size]


def unit(data: Path, tenant: str = "alice") -> Path:
    """An empty persistence folder, the tenant's own."""
    persistence = data / "tenants" / tenant / "persistence"
    persistence.mkdir(parents=True)
    os.chown(persistence, *OWNER)
    return persistence


def texts(folder: Path) -> dict[str, str]:
    """Every plain file below, with what is in it."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
