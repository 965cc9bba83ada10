"""The core's `Arrivals` on a local file system: everything goes by `imports/` in the data directory."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import AsyncIterable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from innkeeper.core.adoption import Adoption, Asked
from innkeeper.core.errors import DiskFull, UnitExists
from innkeeper.core.import_errors import ImportRefused, SourceMissing, StagedLost
from innkeeper.core.ports import Agent
from innkeeper.core.ports.arrivals import OnBytes, Staged
from innkeeper.core.tenant import check_name
from innkeeper.units.archive import Caps
from innkeeper.units.erase import erase
from innkeeper.units.faults import translated
from innkeeper.units.importers.finding import adoptions, sources
from innkeeper.units.layout import ENV, PERSISTENCE
from innkeeper.units.opening import tree_at
from innkeeper.units.pouring import Pouring, placed
from innkeeper.units.safe_tree import Owner, folder, made_folder, replace_file
from innkeeper.units.source_paths import Premises
from innkeeper.units.trees import Tree
from innkeeper.units.workspaces import STATE

IMPORTS, TENANTS = "imports", "tenants"
FREE_SHARE = 0.05
"""So much of the disk stays free, whatever is imported."""
_NAMED = 5
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_T = TypeVar("_T")


class FolderArrivals:
    """Reads sources, stages units and moves them into place."""

    def __init__(
        self,
        premises: Premises,
        agents: Mapping[str, Agent],
        caps: Caps,
        *,
        owner_uid: int = 1000,
        owner_gid: int = 1000,
    ) -> None:
        self._premises = premises
        self._agents = agents
        self._caps = caps
        self._tenants = Owner(uid=owner_uid, gid=owner_gid)
        self._ours = Owner(uid=os.geteuid(), gid=os.getegid())

    async def look(self, asked: Asked, upload: str | None) -> Sequence[Adoption]:
        """The units of the source."""
        return await _to_its_end(lambda stop: self._look(asked, upload))

    async def stage(self, operation_id: str, asked: Asked, key: str, upload: str | None, tell: OnBytes) -> Staged:
        """One of them, copied."""
        return await _to_its_end(lambda stop: self._stage(operation_id, asked, key, upload, tell, stop))

    async def settle(self, operation_id: str, staged: str, tenant: str) -> None:
        """Moved into place."""
        await asyncio.to_thread(self._settle, operation_id, staged, check_name(tenant))

    async def drop(self, operation_id: str, upload: str | None) -> None:
        """Removed."""
        await asyncio.to_thread(self._drop, [operation_id, *([upload] if upload else [])])

    async def tidy(self, kept: Collection[str]) -> None:
        """Removed, but for these."""
        await asyncio.to_thread(self._tidy, kept)

    async def receive(self, pieces: AsyncIterable[bytes]) -> str:
        """Written as it comes."""
        name = f"up_{secrets.token_hex(10)}"
        try:
            with translated(self._imports), self._opened_imports(name) as here:
                descriptor = os.open("source", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=here)
                with os.fdopen(descriptor, "wb") as file:
                    size = 0
                    async for piece in pieces:
                        size += len(piece)
                        _check_sent(size, self._caps)
                        _check_room(descriptor, size, more=len(piece))  # others need the disk, too
                        await asyncio.to_thread(file.write, piece)
                    await asyncio.to_thread(_synced, file.fileno(), file.flush)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(self._drop, [name]))
            raise
        return name

    # --- on a thread ------------------------------------------------------------------------------------------------

    @property
    def _imports(self) -> Path:
        return self._premises.data / IMPORTS

    def _look(self, asked: Asked, upload: str | None) -> list[Adoption]:
        with self._tree(asked, upload) as tree:
            return adoptions(sources(tree, asked, self._agents), asked.seed)

    def _stage(
        self, operation_id: str, asked: Asked, key: str, upload: str | None, tell: OnBytes, stop: threading.Event
    ) -> Staged:
        self._drop([operation_id])
        with self._tree(asked, upload) as tree:
            read = adoptions(sources(tree, asked, self._agents), asked.seed)
            adoption = next((each for each in read if each.key == key), None)
            if adoption is None:
                raise SourceMissing(f"{key[:60]!r} isn't in {asked.path or 'what was sent'} any more.")
            if adoption.refusals:
                raise ImportRefused(_told(adoption.refusals))
            size = sum(move.bytes for move in adoption.moves if move.target is not None)
            with translated(self._imports), self._opened_imports(operation_id) as here:
                _check_room(here, size)
                name = f"unit-{secrets.token_hex(4)}"
                return self._pour(here, name, tree, adoption, lambda done: tell(done, size), stop)

    def _pour(
        self, here: int, name: str, tree: Tree, adoption: Adoption, tell: Callable[[int], object], stop: threading.Event
    ) -> Staged:
        targets = adoption.targets
        with (
            made_folder(here, [name], self._ours) as unit,
            made_folder(unit, [PERSISTENCE], self._tenants) as persistence,
            Pouring(persistence, self._tenants) as pouring,
        ):

            def place(path: str) -> str | None:
                if stop.is_set():
                    raise asyncio.CancelledError
                tell(pouring.poured.bytes)
                return placed(path, targets)

            tree.pour(pouring, place)
            for path, content in adoption.written.items():
                pouring.put_file(path, content)
            if adoption.env:
                replace_file(unit, ENV, adoption.env.encode(), self._ours)
            if adoption.delivered:
                replace_file(unit, STATE, adoption.delivered, self._ours)
            pouring.finish()
        poured = pouring.poured
        return Staged(
            adoption=adoption, name=name, files=poured.files, bytes=poured.bytes, changed=tuple(poured.changed)
        )

    def _settle(self, operation_id: str, staged: str, tenant: str) -> None:
        data = self._premises.data
        with translated(data / TENANTS / tenant):
            if not (data / IMPORTS).is_dir():
                (data / TENANTS).stat()  # a disk that isn't there is none that has lost anything
            (data / TENANTS).mkdir(mode=0o700, exist_ok=True)
            top = os.open(data, _FOLDER)
            try:
                with folder(top, [TENANTS]) as tenants:
                    try:
                        with folder(top, [IMPORTS, operation_id]) as here:
                            _move(here, staged, tenants, tenant)
                            os.fsync(here)
                    except FileNotFoundError:
                        if not _is_there(tenants, tenant):  # nor was it moved before
                            raise _lost(operation_id, staged, tenant) from None
                    os.fsync(tenants)
            finally:
                os.close(top)

    def _drop(self, names: Sequence[str]) -> None:
        with translated(self._imports):
            try:
                here = os.open(self._imports, _FOLDER | os.O_NOFOLLOW)
            except FileNotFoundError:
                return
            try:
                for name in names:
                    erase(here, name)
            finally:
                os.close(here)

    def _tidy(self, kept: Collection[str]) -> None:
        try:
            found = [each.name for each in self._imports.iterdir()]
        except FileNotFoundError:
            return
        self._drop([name for name in found if name not in kept])

    @contextmanager
    def _tree(self, asked: Asked, upload: str | None) -> Iterator[Tree]:
        with translated(Path(asked.path or "what was sent")):
            sent = self._imports / upload / "source" if upload else None
            with tree_at(asked, self._premises, self._caps, upload=sent) as tree:
                yield tree

    @contextmanager
    def _opened_imports(self, name: str) -> Iterator[int]:
        self._imports.mkdir(mode=0o700, exist_ok=True)
        top = os.open(self._imports, _FOLDER | os.O_NOFOLLOW)
        try:
            with made_folder(top, [name], self._ours) as here:
                yield here
        finally:
            os.close(top)


def _move(here: int, staged: str, tenants: int, tenant: str) -> None:
    if not _is_there(tenants, tenant):
        os.rename(staged, tenant, src_dir_fd=here, dst_dir_fd=tenants)
    elif _is_there(here, staged):
        raise UnitExists(
            f"A folder {tenant} is there, and it isn't this one.", hint="Move it out of the data directory."
        )  # else it is this very unit


def _is_there(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _lost(operation_id: str, staged: str, tenant: str) -> StagedLost:
    return StagedLost(
        f"What was copied of {tenant} to {IMPORTS}/{operation_id}/{staged} in the data directory isn't there any more."
    )


def _check_room(here: int, size: int, *, more: int | None = None) -> None:
    """Whether `size` bytes fit, or, with `more`, so many of them that aren't on the disk yet."""
    disk = os.fstatvfs(here)
    free, all_of_it = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    if (size if more is None else more) > free - all_of_it * FREE_SHARE:
        raise DiskFull(
            f"It takes {size >> 20} MB{' or more' if more else ''}, and {free >> 20} MB are free; {FREE_SHARE:.0%} of "
            "the disk are kept so.",
            hint="Free some space, then import it again.",
        )


def _check_sent(size: int, caps: Caps) -> None:
    if size > caps.bytes:
        raise caps.too_much()


def _told(refusals: Sequence[str]) -> str:
    more = f" And {len(refusals) - _NAMED} more." if len(refusals) > _NAMED else ""
    return " ".join(refusals[:_NAMED]) + more


def _synced(descriptor: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(descriptor)


async def _to_its_end(act: Callable[[threading.Event], _T]) -> _T:
    """Done on a thread; who is cancelled leaves no thread behind that still writes."""
    stop = threading.Event()
    task = asyncio.ensure_future(asyncio.to_thread(act, stop))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([task])
        raise
