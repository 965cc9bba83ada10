"""Where a snapshot becomes a tenant's folder: the core's `Stages` on a local file system.

    restores/TENANT_ID-OPERATION_ID/
      staged/    what comes out of the repository
      unit/      the same as a whole unit, until it takes its place
      before/    the folder whose place it took, until the new one has proved itself

A unit that came out of a snapshot is marked by a file of ours, so that whoever comes after a crash sees which of two
folders is which.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from innkeeper.core.errors import UnitExists, UnitFault
from innkeeper.core.ports.stages import Stage
from innkeeper.core.tenant import check_name
from innkeeper.units.databases import unsound
from innkeeper.units.erase import erase
from innkeeper.units.exchange import exchange
from innkeeper.units.faults import translated
from innkeeper.units.layout import PERSISTENCE, READ_LIMIT_BYTES, inside
from innkeeper.units.restored import Found, look_through
from innkeeper.units.safe_tree import Owner, folder, made_folder, read_file, replace_file

STAGED, UNIT, BEFORE, ASIDE = "staged", "unit", "before", "aside"
MARK = ".restored"
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class FolderStages:
    """One folder an operation below `root`, beside the tenants' own."""

    def __init__(self, root: Path, tenants: Path, *, owner_uid: int = 1000, owner_gid: int = 1000) -> None:
        self._root = root
        self._tenants_root = tenants
        self._owner = Owner(uid=owner_uid, gid=owner_gid)
        self._ours = Owner(uid=os.geteuid(), gid=os.getegid())

    def folder(self, stage: Stage) -> Path:
        """Where it lies."""
        return self._root / stage.name

    def restored(self, stage: Stage) -> Path:
        """The data in `staged`."""
        return self.folder(stage) / STAGED / PERSISTENCE

    async def room_bytes(self) -> int:
        """What is free there for those who aren't the super-user."""
        return await asyncio.to_thread(self._room)

    async def begin(self, stage: Stage) -> Path:
        """An empty `staged`."""
        return await asyncio.to_thread(self._begin, stage)

    async def assemble(self, stage: Stage) -> Sequence[str]:
        """Make `unit` of `staged`; the databases that don't hold."""
        found = await asyncio.to_thread(self._assemble, stage)
        persistence = self.folder(stage) / UNIT / PERSISTENCE
        told = await asyncio.to_thread(unsound, persistence, found.databases)
        if found.databases:  # SQLite may have left a log of its own beside one
            await asyncio.to_thread(self._look_through, stage)
        return [f"{path}: {says}" for path, says in sorted(told.items())]

    async def read(self, stage: Stage, paths: Sequence[str]) -> dict[str, bytes]:
        """Those of the files that are there."""
        return await asyncio.to_thread(self._read, stage, paths)

    async def swap(self, stage: Stage, tenant: str) -> None:
        """`unit` takes the tenant's place, and what was there becomes `before`."""
        await asyncio.to_thread(self._swap, stage, check_name(tenant))

    async def swap_back(self, stage: Stage, tenant: str) -> None:
        """`before` takes its place again, and what had it becomes `unit`."""
        await asyncio.to_thread(self._swap_back, stage, check_name(tenant))

    async def place(self, stage: Stage, tenant: str) -> None:
        """`unit` becomes the folder of a tenant that has none."""
        await asyncio.to_thread(self._place, stage, check_name(tenant))

    async def deliver(self, stage: Stage, tenant: str, into: str) -> None:
        """`staged` becomes a new folder in the tenant's own data."""
        await asyncio.to_thread(self._deliver, stage, check_name(tenant), into)

    async def note(self, stage: Stage, name: str, content: bytes) -> None:
        """Keep a file beside them."""
        await asyncio.to_thread(self._note, stage, name, content)

    async def noted(self, stage: Stage, name: str, *, limit: int = READ_LIMIT_BYTES) -> bytes | None:
        """What it holds."""
        return await asyncio.to_thread(self._noted, stage, name, limit)

    async def drop(self, stage: Stage, tenant: str | None = None) -> None:
        """Erase it; and take the mark off the tenant's folder."""
        await asyncio.to_thread(self._drop, stage.name)
        if tenant is not None:
            await asyncio.to_thread(self._unmark, stage, check_name(tenant))

    async def names(self) -> Sequence[str]:
        """The stages that there are."""
        return await asyncio.to_thread(self._names)

    async def drop_by_name(self, name: str) -> None:
        """Erase one."""
        await asyncio.to_thread(self._drop, name)

    # --- making it ready ----------------------------------------------------------------------------------------------

    def _room(self) -> int:
        with translated(self._root):
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            there = os.statvfs(self._root)
        return there.f_bavail * there.f_frsize

    def _begin(self, stage: Stage) -> Path:
        path = self.folder(stage)
        with translated(path):
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._tenants_root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._root.stat().st_dev != self._tenants_root.stat().st_dev:
                raise UnitFault(
                    f"{self._root} and {self._tenants_root} lie on different file systems.",
                    hint="A restored folder takes its place by a rename: keep both on one.",
                )
            path.mkdir(mode=0o700, exist_ok=True)
            with self._opened(stage) as here:
                erase(here, STAGED)
                erase(here, UNIT)
                os.mkdir(STAGED, 0o700, dir_fd=here)
                os.fsync(here)
        return path / STAGED

    def _assemble(self, stage: Stage) -> Found:
        path = self.folder(stage)
        with translated(path), self._opened(stage) as here, folder(here, [STAGED]) as staged:
            if not _is_folder(staged, PERSISTENCE):
                if _is_folder(here, UNIT):  # a crash came in between
                    return self._look_through(stage)
                raise UnitFault("The snapshot holds no folder `persistence`.", hint="Restore another one.")
            with made_folder(here, [UNIT], self._ours) as unit:
                with suppress(OSError), folder(staged, ["unit"]) as kept:
                    for name in _files(kept):
                        if name != MARK and (content := read_file(kept, name, limit=READ_LIMIT_BYTES)) is not None:
                            replace_file(unit, name, content, self._ours)
                replace_file(unit, MARK, stage.operation_id.encode(), self._ours)
                os.rename(PERSISTENCE, PERSISTENCE, src_dir_fd=staged, dst_dir_fd=unit)
                os.fsync(unit)
        return self._look_through(stage)

    def _look_through(self, stage: Stage) -> Found:
        with (
            translated(self.folder(stage)),
            self._opened(stage) as here,
            folder(here, [UNIT, PERSISTENCE]) as persistence,
        ):
            return self._own(persistence)

    def _own(self, top: int) -> Found:
        os.fchmod(top, 0o700)
        os.fchown(top, self._owner.uid, self._owner.gid)
        return look_through(top, self._owner)

    def _read(self, stage: Stage, paths: Sequence[str]) -> dict[str, bytes]:
        found = {}
        for path in paths:
            *folders, name = inside(path)
            with (
                suppress(OSError),
                self._opened(stage) as here,
                folder(here, [UNIT, PERSISTENCE, *folders]) as parent,
            ):
                if (content := read_file(parent, name, limit=READ_LIMIT_BYTES)) is not None:
                    found[path] = content
        return found

    # --- taking a place -----------------------------------------------------------------------------------------------

    def _swap(self, stage: Stage, tenant: str) -> None:
        with translated(self._tenants_root / tenant), self._opened(stage) as here, self._tenants() as tenants:
            if not self._is_in_place(stage, tenants, tenant):
                if _is_folder(tenants, tenant) and not _is_folder(here, BEFORE):
                    if not exchange(UNIT, tenant, one_dir=here, other_dir=tenants):
                        os.rename(tenant, BEFORE, src_dir_fd=tenants, dst_dir_fd=here)
                        os.rename(UNIT, tenant, src_dir_fd=here, dst_dir_fd=tenants)
                else:
                    os.rename(UNIT, tenant, src_dir_fd=here, dst_dir_fd=tenants)
            if _is_folder(here, UNIT):  # by the exchange it is the former one
                os.rename(UNIT, BEFORE, src_dir_fd=here, dst_dir_fd=here)
            _synced(here, tenants)

    def _swap_back(self, stage: Stage, tenant: str) -> None:
        if not self.folder(stage).is_dir():
            return
        with translated(self._tenants_root / tenant), self._opened(stage) as here, self._tenants() as tenants:
            was_exchanged = not _is_folder(here, BEFORE) and self._is_in_place(stage, tenants, tenant)
            former = UNIT if was_exchanged else BEFORE
            has_former = _is_folder(here, former)
            if self._is_in_place(stage, tenants, tenant):
                if not has_former:  # there was none
                    os.rename(tenant, ASIDE, src_dir_fd=tenants, dst_dir_fd=here)
                elif not exchange(former, tenant, one_dir=here, other_dir=tenants):
                    os.rename(tenant, ASIDE, src_dir_fd=tenants, dst_dir_fd=here)
                    os.rename(former, tenant, src_dir_fd=here, dst_dir_fd=tenants)
            elif has_former and not _is_folder(tenants, tenant):
                os.rename(former, tenant, src_dir_fd=here, dst_dir_fd=tenants)
            _synced(here, tenants)

    def _place(self, stage: Stage, tenant: str) -> None:
        with translated(self._tenants_root / tenant), self._opened(stage) as here, self._tenants() as tenants:
            if self._is_in_place(stage, tenants, tenant):
                return
            if _exists(tenants, tenant):
                raise UnitExists(f"A folder of a former tenant {tenant} is still there.")
            os.rename(UNIT, tenant, src_dir_fd=here, dst_dir_fd=tenants)
            _synced(here, tenants)

    def _deliver(self, stage: Stage, tenant: str, into: str) -> None:
        *folders, name = inside(into)
        with (
            translated(self._tenants_root / tenant / PERSISTENCE / into),
            self._opened(stage) as here,
            folder(here, [STAGED]) as staged,
            self._tenants() as tenants,
        ):
            if not _is_folder(staged, PERSISTENCE):
                return  # delivered, before a crash
            with folder(staged, [PERSISTENCE]) as top:
                self._own(top)
            with (
                folder(tenants, [tenant, PERSISTENCE]) as persistence,
                made_folder(persistence, folders, self._owner) as parent,
            ):
                taken = UnitExists(
                    f"There is something in {tenant}'s data by the name of {into!r} already.",
                    field="into",
                    hint="Name another folder.",
                )
                if _exists(parent, name):
                    raise taken
                try:
                    os.rename(PERSISTENCE, name, src_dir_fd=staged, dst_dir_fd=parent)
                except OSError as error:  # its owner was quicker
                    if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                        raise taken from None
                    raise
                os.fsync(parent)

    # --- the rest -----------------------------------------------------------------------------------------------------

    def _note(self, stage: Stage, name: str, content: bytes) -> None:
        with translated(self.folder(stage)), self._opened(stage) as here:
            replace_file(here, name, content, self._ours)

    def _noted(self, stage: Stage, name: str, limit: int) -> bytes | None:
        try:
            with self._opened(stage) as here:
                return read_file(here, name, limit=limit)
        except FileNotFoundError:
            return None

    def _drop(self, name: str) -> None:
        with translated(self._root / name):
            try:
                root = os.open(self._root, _OPEN)
            except FileNotFoundError:
                return
            try:
                erase(root, name)
            finally:
                os.close(root)

    def _unmark(self, stage: Stage, tenant: str) -> None:
        with translated(self._tenants_root / tenant), suppress(FileNotFoundError), self._tenants() as tenants:
            if self._is_in_place(stage, tenants, tenant):
                with folder(tenants, [tenant]) as unit:
                    os.unlink(MARK, dir_fd=unit)

    def _names(self) -> list[str]:
        with translated(self._root), suppress(FileNotFoundError):
            return sorted(entry.name for entry in os.scandir(self._root) if entry.is_dir(follow_symlinks=False))
        return []

    def _is_in_place(self, stage: Stage, tenants: int, tenant: str) -> bool:
        with suppress(OSError), folder(tenants, [tenant]) as unit:
            return read_file(unit, MARK, limit=200) == stage.operation_id.encode()
        return False

    @contextmanager
    def _opened(self, stage: Stage) -> Iterator[int]:
        descriptor = os.open(self.folder(stage), _OPEN)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _tenants(self) -> Iterator[int]:
        # Where the tenants' folders lie is the operator's choice: the one folder, with ours, where links are followed.
        descriptor = os.open(self._tenants_root, _OPEN)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _files(parent: int) -> list[str]:
    with os.scandir(parent) as entries:
        return sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))


def _exists(parent: int, name: str) -> bool:
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=parent, follow_symlinks=False)
        return True
    return False


def _is_folder(parent: int, name: str) -> bool:
    with suppress(FileNotFoundError):
        return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    return False


def _synced(*folders: int) -> None:
    for each in folders:
        os.fsync(each)
