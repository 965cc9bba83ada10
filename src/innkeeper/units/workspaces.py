"""Delivering packs into the tenants' folders: the core's `Workspaces` on a local file system."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from innkeeper.core.delivery import Delivery, Dispute, delivery_of, dumped
from innkeeper.core.goods import Goods
from innkeeper.core.merging import WRITES, Act, Item, concerned, plan
from innkeeper.core.pack_errors import HydrationUnreadable
from innkeeper.core.packs import FILE_MAX_BYTES
from innkeeper.core.ports.packs import Delivered
from innkeeper.core.tenant import check_name
from innkeeper.units.erase import erase
from innkeeper.units.faults import translated
from innkeeper.units.layout import PERSISTENCE
from innkeeper.units.looking import exists, look
from innkeeper.units.pack_library import FolderLibrary
from innkeeper.units.placing import Placing
from innkeeper.units.safe_tree import Owner, folder, read_file, replace_file

STATE = "hydration.json"
STAGING = "hydrating"
STATE_LIMIT_BYTES = 64 << 20
_OURS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class FolderWorkspaces:
    """The data of the tenants whose folders lie below `root`, and beside it what each was delivered."""

    def __init__(self, root: Path, library: FolderLibrary, *, owner_uid: int = 1000, owner_gid: int = 1000) -> None:
        self._root = root
        self._library = library
        self._tenants = Owner(uid=owner_uid, gid=owner_gid)
        self._ours = Owner(uid=os.geteuid(), gid=os.getegid())

    async def delivery(self, tenant: str) -> Delivery:
        """What it was last delivered, with the conflicts that are open still."""
        return await asyncio.to_thread(self._delivery, self._path(tenant))

    async def is_blank(self, tenant: str, workspace: str) -> bool:
        """Whether nothing was ever delivered, and nothing lies there."""
        return await asyncio.to_thread(self._is_blank, self._path(tenant), workspace)

    async def plan(self, tenant: str, goods: Goods, *, force: bool = False) -> Sequence[Item]:
        """What a delivery would do."""
        return await asyncio.to_thread(self._plan, self._path(tenant), goods, force)

    async def deliver(self, tenant: str, goods: Goods, *, at: datetime, force: bool = False) -> Delivered:
        """Do it."""
        delivering = asyncio.create_task(asyncio.to_thread(self._deliver, self._path(tenant), goods, at, force))
        try:
            return await asyncio.shield(delivering)
        except asyncio.CancelledError:
            # A thread can't be stopped; whoever cancels may be about to erase the folder.
            await asyncio.wait([delivering])
            raise

    def _path(self, tenant: str) -> Path:
        return self._root / check_name(tenant)

    def _delivery(self, unit: Path) -> Delivery:
        with translated(unit):
            try:
                with self._opened(unit) as (ours, data):
                    return _still_open(data, _read(ours))
            except FileNotFoundError:
                return Delivery()

    def _is_blank(self, unit: Path, workspace: str) -> bool:
        with translated(unit), self._opened(unit) as (ours, data):
            if exists(ours, STATE):
                return False
            try:
                with folder(data, workspace.split("/")) as found, os.scandir(found) as entries:
                    return next(entries, None) is None
            except FileNotFoundError:
                return True
            except NotADirectoryError:
                return False

    def _plan(self, unit: Path, goods: Goods, force: bool) -> Sequence[Item]:
        with translated(unit), self._opened(unit) as (ours, data):
            return _planned(data, _read(ours), goods, force)

    def _deliver(self, unit: Path, goods: Goods, at: datetime, force: bool) -> Delivered:
        with translated(unit), self._opened(unit) as (ours, data):
            fcntl.flock(ours, fcntl.LOCK_EX)
            delivery = _still_open(data, _read(ours))
            items = _planned(data, delivery, goods, force)
            with self._staged(ours, items, goods) as (staging, staged):
                if any(item.act is Act.REMOVE for item in items):
                    self._write(ours, delivery.leaving(items))
                placing = Placing(data, staging, staged, self._tenants)
                done = [placing.done(item, delivery.conflicts) for item in items]
                placing.settle()
            delivered = Delivered(items=done, besides=placing.besides, saved=placing.saved)
            after = delivery.after(done, goods.received(at, delivery.packs), placing.besides, at)
            self._write(ours, after)
            for path, dispute in delivery.conflicts.items():
                if path not in after.conflicts:
                    placing.clear(dispute)
            return delivered

    @contextmanager
    def _staged(self, ours: int, items: Sequence[Item], goods: Goods) -> Iterator[tuple[int, Mapping[str, str]]]:
        """All that is going to be written, whole and on the disk, in a folder that no tenant sees."""
        erase(ours, STAGING)  # what a crash has left
        needed = [item for item in items if item.act in WRITES]
        os.mkdir(STAGING, 0o700, dir_fd=ours)
        try:
            with folder(ours, [STAGING]) as staging:
                staged = {}
                for number, item in enumerate(needed):
                    self._stage(staging, str(number), item, goods)
                    staged[item.path] = str(number)
                yield staging, staged
        finally:
            with suppress(OSError):
                erase(ours, STAGING)

    def _stage(self, staging: int, name: str, item: Item, goods: Goods) -> None:
        pack, source = goods.of(item.path)
        mode = 0o755 if item.new and item.new.executable else 0o644
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=staging)
        with os.fdopen(descriptor, "wb") as file:
            self._library.copy(pack, source, file)
            file.flush()
            os.fchown(descriptor, self._tenants.uid, self._tenants.gid)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)

    def _write(self, ours: int, delivery: Delivery) -> None:
        replace_file(ours, STATE, dumped(delivery), self._ours)

    @contextmanager
    def _opened(self, unit: Path) -> Iterator[tuple[int, int]]:
        """The unit's folder, which is ours, and the data in it, which isn't."""
        ours = os.open(unit, _OURS | os.O_NOFOLLOW)
        try:
            with folder(ours, [PERSISTENCE]) as data:
                yield ours, data
        finally:
            os.close(ours)


def _read(ours: int) -> Delivery:
    kept = read_file(ours, STATE, limit=STATE_LIMIT_BYTES)
    if kept is not None:
        return delivery_of(kept)
    if exists(ours, STATE):
        raise HydrationUnreadable(f"{STATE} can't be read, or is too large.")
    return Delivery()


def _planned(data: int, delivery: Delivery, goods: Goods, force: bool) -> list[Item]:
    paths = concerned(delivery.files, goods.wanted, of=goods.names)
    here = {path: look(data, path, largest=FILE_MAX_BYTES) for path in paths}
    return plan(delivery.files, here, goods.wanted, of=goods.names, force=force)


def _still_open(data: int, delivery: Delivery) -> Delivery:
    conflicts = {path: each for path, each in delivery.conflicts.items() if _is_open(data, path, each)}
    return replace(delivery, conflicts=conflicts)


def _is_open(data: int, path: str, dispute: Dispute) -> bool:
    """Until the tenant has taken the new version, or has put it away, or has deleted their own."""
    if dispute.beside is not None and not exists(data, dispute.beside):
        return False
    here = look(data, path, largest=FILE_MAX_BYTES)
    return here.is_there and here.content != dispute.content
