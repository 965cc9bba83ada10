"""The tenants' folders as snapshots are taken of them: the core's `Stills` on a local file system."""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import TypeVar

from innkeeper.core.manifest import FILE, FOLDER, PACKS, UNIT
from innkeeper.core.ports.stills import Mark, Shadow, Taken
from innkeeper.core.tenant import check_name
from innkeeper.units import databases, marks, memory, shadows
from innkeeper.units.erase import erase
from innkeeper.units.faults import translated
from innkeeper.units.layout import COMPOSE, ENV, READ_LIMIT_BYTES
from innkeeper.units.layout import PERSISTENCE as DATA
from innkeeper.units.marks import FolderMark
from innkeeper.units.safe_tree import Owner, folder, read_file, replace_file
from innkeeper.units.shadows import Copies, TakenFolder

ENTRIES_MAX = 200_000
"""A folder with more than so many files and folders isn't shadowed: that would take some hundred megabytes."""
COPIES = "copies"
BESIDE = (COMPOSE, ENV, PACKS)
"""What of the unit's own files goes into a snapshot."""
_ID = re.compile(r"[a-z]{1,8}_[0-9a-zA-Z_-]{1,64}|control")
_WALKERS = 4
Found = TypeVar("Found")


class FolderStills:
    """Marks and shadows of the folders below `tenants`; what is staged lies in `staging`, ours alone, and what isn't
    much in `in_memory`, a folder of a tmpfs: to make a file there takes a hundredth of what it takes on a busy disk."""

    def __init__(
        self,
        tenants: Path,
        *,
        staging: Path,
        kept: Path,
        in_memory: Path | None = None,
        entries_max: int = ENTRIES_MAX,
        walkers: int = _WALKERS,
    ) -> None:
        self._tenants = tenants
        self._staging = staging
        self._memory = in_memory
        self._in_memory: set[str] = set()
        self._kept = kept
        self._entries_max = entries_max
        # Threads of their own: a tenant is frozen while one of them works.
        self._walkers = ThreadPoolExecutor(walkers, thread_name_prefix="stills")
        self._busy: dict[str, list[Future[object]]] = {}
        self._ours = Owner(uid=os.geteuid(), gid=os.getegid())

    def close(self) -> None:
        """No more of it; what is under way comes to its end."""
        self._walkers.shutdown(wait=True)
        if self._memory is not None:
            with suppress(OSError):  # it holds something, or isn't there
                self._memory.rmdir()

    def folder(self, tenant: str) -> Path:
        """Where its data lies."""
        return self._tenants / check_name(tenant) / DATA

    # --- marks and copies -------------------------------------------------------------------------------------------

    async def mark(self, tenant: str, *, leave_out: Sequence[str], since: Mark | None = None) -> Mark:
        """Mark it as it is."""
        return await self._at_work("", lambda stop: self._mark(tenant, leave_out, _folder_mark(since)))

    async def written(self, since: Mark, now: Mark) -> tuple[int, int]:
        """How many files, and how many bytes."""
        return await self._at_work("", lambda stop: _sure(since).written_since(_sure(now)))

    async def digest(self, mark: Mark) -> str:
        """Of all that is known of it."""
        return await self._at_work("", lambda stop: _sure(mark).digest)

    async def prepare(self, operation: str, *, since: Mark, bytes_max: int) -> None:
        """In memory where there is plenty of it."""
        in_memory = await self._at_work("", lambda stop: self._has_room(_sure(since), bytes_max))
        (self._in_memory.add if in_memory else self._in_memory.discard)(operation)
        await self._fresh(operation, COPIES, laid=True)
        await self._fresh(operation, DATA, laid=True)

    def _has_room(self, since: FolderMark, bytes_max: int) -> bool:
        if self._memory is None or any(each.attributes for each in since.entries.values()):
            return False  # not every tmpfs has attributes
        return memory.has_room(self._memory, bytes_max + len(since.entries) * memory.ENTRY_BYTES)

    async def take(
        self, tenant: str, operation: str, *, since: Mark, leave_out: Sequence[str], bytes_max: int
    ) -> Taken:
        """Mark it, and copy what was written since."""
        at = self._laid(operation) / COPIES

        def take(stop: threading.Event) -> TakenFolder:
            with translated(at), _opened(at) as there:
                copies = Copies(folder=there, bytes_max=bytes_max, stop=stop)
                found = self._mark(tenant, leave_out, _sure(since), copies.take)
                return TakenFolder(mark=found, numbers=copies.numbers, size=copies.size)

        return await self._at_work(operation, take)

    def _mark(
        self,
        tenant: str,
        leave_out: Sequence[str],
        since: FolderMark | None,
        on_written: marks.OnWritten | None = None,
    ) -> FolderMark:
        with translated(self._tenants / tenant), _opened(self._tenants) as root, folder(root, [tenant, DATA]) as top:
            return marks.mark(
                top,
                began_ns=time.time_ns(),
                since=since,
                leave_out=leave_out,
                entries_max=self._entries_max,
                on_written=on_written,
            )

    # --- what a snapshot is taken of ----------------------------------------------------------------------------------

    async def lay_out(self, operation: str, taken: Taken, *, since: Mark) -> Shadow:
        """A tree of copies and placeholders."""
        at, copies = self._laid(operation) / DATA, self._laid(operation) / COPIES
        if not isinstance(taken, TakenFolder):
            raise TypeError(type(taken).__name__)

        def lay_out(stop: threading.Event) -> Shadow:
            with translated(at), _opened(at) as top, _opened(copies) as numbered:
                placeholders, found = shadows.lay_out(top, numbered, taken, _sure(since))
            return Shadow(
                folder=at,
                placeholders=placeholders,
                copies=taken.copies,
                databases=sorted(set(found)),
                mark=taken.mark,
            )  # fmt: skip

        return await self._at_work(operation, lay_out)

    async def unit_files(self, tenant: str) -> Mapping[str, bytes]:
        """Compose file, environment, and what is known of packs."""
        return await self._at_work("", lambda stop: self._read_beside(tenant))

    async def beside(self, operation: str, *, unit: Mapping[str, bytes], manifest: bytes) -> Mapping[str, Path]:
        """Two folders in its staging."""
        its, ours = await self._fresh(operation, "unit"), await self._fresh(operation, "innkeeper")

        def write(stop: threading.Event) -> None:
            with translated(ours), _opened(ours) as there:
                replace_file(there, FILE, manifest, self._ours)
            with translated(its), _opened(its) as there:
                for name, content in unit.items():
                    replace_file(there, name, content, self._ours)

        await self._at_work(operation, write)
        return {UNIT: its, FOLDER: ours}

    def _read_beside(self, tenant: str) -> Mapping[str, bytes]:
        try:
            with _opened(self._tenants) as root, folder(root, [check_name(tenant)]) as unit:
                found = {name: read_file(unit, name, limit=READ_LIMIT_BYTES) for name in BESIDE}
        except FileNotFoundError:
            return {}
        return {name: content for name, content in found.items() if content is not None}

    # --- databases ----------------------------------------------------------------------------------------------------

    def databases_in(self, mark: Mark, *, since: Mark | None) -> Sequence[str]:
        """By their names."""
        now, then = _sure(mark), _folder_mark(since)
        there = dict.fromkeys(now.entries)
        return [
            path
            for path, entry in now.entries.items()
            if S_ISREG(entry.mode)
            and databases.is_named_like_one(path, there)
            and (then is None or not then.is_unwritten(path, entry))
        ]

    def with_journals(self, mark: Mark, databases_: Sequence[str]) -> Sequence[str]:
        """Each with its own."""
        return databases.with_journals(databases_, dict.fromkeys(_sure(mark).entries))

    async def unsound(self, folder_: Path, paths: Sequence[str]) -> Mapping[str, str]:
        """By SQLite's own check."""
        return await self._at_work("", lambda stop: databases.unsound(folder_, paths))

    async def unsound_living(self, tenant: str, operation: str, paths: Sequence[str]) -> Mapping[str, str]:
        """By the same, on copies."""
        room = await self._fresh(operation, "living")

        def copy(stop: threading.Event) -> list[str]:
            with translated(room), _opened(self._tenants) as root, folder(root, [check_name(tenant), DATA]) as top:
                return [path for path in paths if databases.copied_still(top, path, room / path)]

        return await self.unsound(room, await self._at_work(operation, copy))

    # --- what is kept, and what isn't ---------------------------------------------------------------------------------

    async def room(self, operation: str, name: str) -> Path:
        """An empty folder."""
        return await self._fresh(operation, name)

    async def keep(self, owner: str, snapshot: str, mark: Mark) -> None:
        """Beside what was kept of others; it can be lost without harm."""

        def keep(stop: threading.Event) -> None:
            with translated(self._kept):
                self._kept.mkdir(mode=0o700, parents=True, exist_ok=True)
                with _opened(self._kept) as there:
                    content = snapshot.encode() + b"\n" + _sure(mark).dumped()
                    replace_file(there, _checked(owner), content, self._ours)

        await self._at_work("", keep)

    async def kept(self, owner: str, snapshot: str) -> Mark | None:
        """None also where it can't be read."""

        def read(stop: threading.Event) -> FolderMark | None:
            with suppress(OSError, ValueError):
                its, _, content = (self._kept / _checked(owner)).read_bytes().partition(b"\n")
                return FolderMark.read(content) if its.decode() == snapshot else None
            return None

        return await self._at_work("", read)

    async def drop(self, owner: str) -> None:
        """Its file."""
        await self._at_work("", lambda stop: (self._kept / _checked(owner)).unlink(missing_ok=True))

    async def clear(self, operation: str) -> None:
        """Its whole staging, when whoever still works in it has stopped."""
        for each in self._busy.pop(operation, []):
            with suppress(Exception):
                await asyncio.wrap_future(each)

        def remove(stop: threading.Event) -> None:
            for place in self._stages:
                with translated(place), suppress(FileNotFoundError), _opened(place) as there:
                    erase(there, _checked(operation))
            self._in_memory.discard(operation)

        await self._at_work("", remove)

    async def staged(self) -> Sequence[str]:
        """Whose staging there is."""

        def names(stop: threading.Event) -> list[str]:
            found: set[str] = set()
            for place in self._stages:
                with suppress(FileNotFoundError):
                    found |= {path.name for path in place.iterdir() if _ID.fullmatch(path.name)}
            return sorted(found)

        return await self._at_work("", names)

    @property
    def _stages(self) -> Sequence[Path]:
        return [self._staging] if self._memory is None else [self._staging, self._memory]

    def _laid(self, operation: str) -> Path:
        """Where copies and the shadow lie."""
        in_memory = self._memory is not None and operation in self._in_memory
        return (self._memory if self._memory is not None and in_memory else self._staging) / _checked(operation)

    async def _fresh(self, operation: str, name: str, *, laid: bool = False) -> Path:
        at = (self._laid(operation) if laid else self._staging / _checked(operation)) / name

        def make(stop: threading.Event) -> Path:
            with translated(at):
                at.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with _opened(at.parent) as there:
                    erase(there, name)
                    os.mkdir(name, 0o700, dir_fd=there)
            return at

        return await self._at_work(operation, make)

    async def _at_work(self, operation: str, work: Callable[[threading.Event], Found]) -> Found:
        """Have it done by a thread, which is told to stop when nobody waits for it any more."""
        stop = threading.Event()
        doing = self._walkers.submit(work, stop)
        if operation:
            self._busy.setdefault(operation, []).append(doing)  # type: ignore[arg-type]  # nobody asks what it gives
        try:
            return await asyncio.wrap_future(doing)
        finally:
            stop.set()
            if operation and doing.done():
                self._busy.get(operation, []).remove(doing)  # type: ignore[arg-type]


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _folder_mark(mark: Mark | None) -> FolderMark | None:
    return None if mark is None else _sure(mark)


def _sure(mark: Mark) -> FolderMark:
    if not isinstance(mark, FolderMark):
        raise TypeError(type(mark).__name__)
    return mark


def _checked(name: str) -> str:
    if not _ID.fullmatch(name):
        raise ValueError(name)
    return name
