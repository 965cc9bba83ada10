"""The tenants' folders, as DESIGN.md lays them out: the core's `Units` on a local file system."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

from innkeeper.core.errors import UnitFault
from innkeeper.core.ports import ConfigFile, Extent
from innkeeper.core.tenant import NAME, check_name
from innkeeper.units.compose import as_env_file, keep_settings
from innkeeper.units.erase import erase
from innkeeper.units.faults import translated
from innkeeper.units.safe_tree import Owner, folder, made_folder, read_file, replace_file
from innkeeper.units.size import disk_bytes, extent

PERSISTENCE = "persistence"
COMPOSE = "compose.yaml"
ENV = ".env"
VARIABLES = "agent.env"
"""The spec's own environment, for compose files that don't quote it."""
READ_LIMIT_BYTES = 1 << 20
COUNTED_MAX = 2_000_000
"""So many files and folders are counted before an erasure: some ten seconds."""


class FolderUnits:
    """One folder a tenant below `root`: ours, but for `persistence/`, which is the tenant's own."""

    def __init__(self, root: Path, *, owner_uid: int = 1000, owner_gid: int = 1000) -> None:
        self._root = root
        self._tenants = Owner(uid=owner_uid, gid=owner_gid)
        self._ours = Owner(uid=os.geteuid(), gid=os.getegid())

    def persistence(self, tenant: str) -> str:
        """The folder that is mounted into the instance."""
        return str(self._path(tenant) / PERSISTENCE)

    async def exists(self, tenant: str) -> bool:
        """Whether there is a folder of that name."""
        return await asyncio.to_thread(_is_folder, self._path(tenant))

    async def names(self) -> Sequence[str]:
        """The folders that there are."""
        return await asyncio.to_thread(self._names)

    async def read(self, tenant: str, paths: Sequence[str]) -> Mapping[str, bytes]:
        """Those of the files below persistence that are there, are no links and aren't too large."""
        return await asyncio.to_thread(self._read, self._path(tenant), paths)

    async def write(
        self,
        tenant: str,
        files: Sequence[ConfigFile],
        *,
        compose: str,
        env: str,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Make the folder whole; what an operator has set in `.env` stays."""
        await asyncio.to_thread(self._write, self._path(tenant), files, compose, env, variables)

    async def erase(self, tenant: str) -> None:
        """Remove the folder and everything in it."""
        await asyncio.to_thread(self._erase, self._path(tenant))

    async def extent(self, tenant: str) -> Extent | None:
        """How much is in the folder; None where there is none, or too much of it to be counted."""
        return await asyncio.to_thread(self._extent, self._path(tenant))

    async def disk_bytes(self, tenant: str) -> int | None:
        """What the folder occupies on the disk; None where there is none, or too much in it to look through."""
        return await asyncio.to_thread(self._disk_bytes, self._path(tenant))

    def _path(self, tenant: str) -> Path:
        return self._root / check_name(tenant)

    def _names(self) -> list[str]:
        with translated(self._root):
            try:
                entries = sorted(os.scandir(self._root), key=lambda entry: entry.name)
            except FileNotFoundError:
                return []
        return [e.name for e in entries if NAME.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]

    def _read(self, unit: Path, paths: Sequence[str]) -> dict[str, bytes]:
        found = {}
        for path in paths:
            *folders, name = inside(path)
            try:
                with self._open_root() as root, folder(root, [unit.name, PERSISTENCE, *folders]) as parent:
                    content = read_file(parent, name, limit=READ_LIMIT_BYTES)
            except OSError:
                continue
            if content is not None:
                found[path] = content
        return found

    def _write(
        self, unit: Path, files: Sequence[ConfigFile], compose: str, env: str, variables: Mapping[str, str]
    ) -> None:
        self._check_ids(unit)
        with translated(self._root):
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with translated(unit), self._open_root() as root, made_folder(root, [unit.name], self._ours) as ours:
            os.fchmod(ours, 0o700)
            with translated(unit / PERSISTENCE), made_folder(ours, [PERSISTENCE], self._tenants) as persistence:
                os.fchmod(persistence, 0o700)
                for file in files:
                    self._write_config(unit, persistence, file)
            kept = read_file(ours, ENV, limit=READ_LIMIT_BYTES) or b""
            replace_file(ours, ENV, keep_settings(env, kept.decode(errors="replace")).encode(), self._ours)
            replace_file(ours, COMPOSE, compose.encode(), self._ours)
            if variables:
                replace_file(ours, VARIABLES, as_env_file(variables).encode(), self._ours)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(VARIABLES, dir_fd=ours)

    def _write_config(self, unit: Path, persistence: int, file: ConfigFile) -> None:
        *folders, name = inside(file.path)
        with (
            translated(unit / PERSISTENCE / file.path),
            made_folder(persistence, folders, self._tenants) as parent,
        ):
            replace_file(parent, name, file.content, self._tenants)

    def _erase(self, unit: Path) -> None:
        with translated(unit):
            try:
                with self._open_root() as root:
                    erase(root, unit.name)
            except FileNotFoundError:
                return

    def _extent(self, unit: Path) -> Extent | None:
        try:
            with self._open_root() as root:
                return extent(root, unit.name, entries=COUNTED_MAX)
        except OSError:
            return None

    def _disk_bytes(self, unit: Path) -> int | None:
        try:
            with self._open_root() as root:
                return disk_bytes(root, unit.name)
        except OSError:
            return None

    @contextmanager
    def _open_root(self) -> Iterator[int]:
        # The one folder where links are followed: where it lies is the operator's choice.
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _check_ids(self, unit: Path) -> None:
        if self._ours.uid != 0 and self._tenants != self._ours:
            raise UnitFault(
                f"{unit} can't be given to uid {self._tenants.uid}: that takes root, and this is uid {self._ours.uid}.",
                hint="Run the control plane as root.",
            )


def _is_folder(path: Path) -> bool:
    with translated(path):
        try:
            return stat.S_ISDIR(path.lstat().st_mode)
        except FileNotFoundError:
            return False


def inside(path: str) -> list[str]:
    parts = path.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise UnitFault(f"{path!r} isn't a path within a tenant's data.")
    return parts
