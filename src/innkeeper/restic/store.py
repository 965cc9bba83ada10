"""Snapshots by restic: the core's `SnapshotStore`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from innkeeper.core.errors import UnitFault
from innkeeper.core.ports.snapshots import Entry, Kept, Mended, Repository, Saved, Tell
from innkeeper.core.snapshot_errors import BackupFailed, SnapshotDamaged, SnapshotMissing
from innkeeper.restic import said
from innkeeper.restic.calls import Call, Calls
from innkeeper.restic.documents import entry_of, kept_of, only_parts_lost, saved_of, unread
from innkeeper.restic.files import FarFiles, Files, NearFiles
from innkeeper.restic.making import make
from innkeeper.restic.mending import Mending
from innkeeper.restic.removal import remove_folder
from innkeeper.restic.run import telling
from innkeeper.restic.sandbox import INTO, REPOSITORY
from innkeeper.restic.shelves import ASIDE

_SOME_UNREAD = 3
"""restic's exit code for a snapshot that lacks files."""
_CHUNK = 1 << 16
_WITH_A_SHELF = ("s3", "gs", "azure", "rest", "sftp")


class ResticStore:
    """One repository per owner, at `TARGET/OWNER`, in restic's format 2 at its newest (compressed)."""

    def __init__(self, calls: Calls, *, erase: Callable[[int, str], None]) -> None:
        """`erase` removes the folder of that name in the open folder, however hostile what is in it."""
        self._calls = calls
        self._erase = erase

    @property
    def targets(self) -> Sequence[str]:
        """Which there are."""
        return list(self._calls.targets)

    def is_far(self, target: str) -> bool:
        """Whether it is reached over the network."""
        return self._calls.target(target).folder is None

    # --- the repository ---------------------------------------------------------------------------------------------

    async def ready(self, repository: Repository) -> None:
        """Make it where it is missing."""
        if await self.exists(repository):
            return
        await self._calls.keys.ready(repository.owner)
        await make(self._calls, repository, await self._like(repository))

    async def _like(self, repository: Repository) -> Repository | None:
        first = replace(repository, target=next(iter(self._calls.targets)))
        return first if first != repository and await self.exists(first) else None

    async def exists(self, repository: Repository) -> bool:
        """Whether it was made."""
        folder = self._calls.folder(repository)
        if folder is not None:
            return await asyncio.to_thread((folder / "config").is_file)
        if self._calls.target(repository.target).kind in _WITH_A_SHELF:
            return await (await self._calls.shelf(repository.target)).has(repository.owner)
        call = Call(arguments=["cat", "config"], doing="Looking for a repository")
        async with self._calls.running(repository, call) as run:
            async for _ in run.lines():
                pass
            code = await run.ended()
            if code and said.no_repository(run.said):
                return False
            self._calls.check(call, run, code)
        return True

    async def lies(self, repository: Repository) -> bool:
        """Whether there is anything."""
        folder = self._calls.folder(repository)
        if folder is not None:
            beside = folder.with_name(f"{ASIDE}{folder.name}")
            return await asyncio.to_thread(lambda: any(_has_something(each) for each in (folder, beside)))
        if self._calls.target(repository.target).kind in _WITH_A_SHELF:
            shelf = await self._calls.shelf(repository.target)
            owners = (repository.owner, f"{ASIDE}{repository.owner}")
            return any([bool(await shelf.names(each)) for each in owners])
        return await self.exists(repository)

    async def reach(self, target: str) -> None:
        """Try whether a far target answers and lets us in, without a repository; raises why not."""
        if self._calls.target(target).kind in _WITH_A_SHELF:
            await (await self._calls.shelf(target)).has("doctor")

    # --- snapshots ----------------------------------------------------------------------------------------------------

    async def save(
        self,
        repository: Repository,
        folders: Mapping[str, Path],
        *,
        name: str,
        tags: Sequence[str] = (),
        at: datetime,
        parent: str | None = None,
        excludes: Sequence[str] = (),
        by_time_and_size: bool = False,
        tell: Tell | None = None,
        compared: bool = True,
    ) -> Saved:
        """Take a snapshot; unless `compared` every file is read."""
        await asyncio.to_thread(_check_folders, folders)
        arguments = ["backup", "--json", "--one-file-system", "--host", name]
        arguments += ["--time", at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")]
        arguments += [each for tag in tags for each in ("--tag", tag)]
        arguments += [each for pattern in excludes for each in ("--exclude", pattern)]
        arguments += ["--parent", parent] if parent is not None and compared else []
        arguments += [] if compared else ["--force"]
        arguments += ["--ignore-ctime", "--ignore-inode"] if by_time_and_size else []
        call = Call(
            arguments=[*arguments, "--", *folders], doing=f"The snapshot of {name}", changes=True, reads=folders
        )
        summary: dict[str, Any] | None = None
        async with self._calls.running(repository, call) as run:
            async for line in run.lines():
                told = json.loads(line)
                if told.get("message_type") == "summary":
                    summary = told
                elif tell is not None and "total_bytes" in told:
                    tell(told.get("bytes_done", 0), told["total_bytes"])
            code = await run.ended()
            missed = unread(run.said)
            if code != _SOME_UNREAD or summary is None:
                self._calls.check(call, run, code)
        if summary is None:
            raise BackupFailed(f"{call.doing} failed: restic told no summary.")
        snapshot = await self._whole_id(repository, summary["snapshot_id"])
        if missed:
            await self.forget(repository, [snapshot])
            if compared and only_parts_lost(missed):
                if by_time_and_size:
                    raise SnapshotMissing(f"{call.doing} failed: parts of its parent aren't there any more.")
                return await self.save(
                    repository, folders, name=name, tags=tags, at=at, excludes=excludes, tell=tell, compared=False
                )
            raise BackupFailed(f"{call.doing} lacks {len(missed)} files: {missed[0][:200]}")
        return saved_of(summary, snapshot)

    async def _whole_id(self, repository: Repository, short: str) -> str:
        folder = self._calls.folder(repository)
        if folder is not None:
            found = await asyncio.to_thread(lambda: [path.name for path in (folder / "snapshots").glob(f"{short}*")])
        else:
            found = [each.id for each in await self.listing(repository) if each.id.startswith(short)]
        if len(found) != 1:
            raise SnapshotDamaged(f"The snapshot {short} was written, and isn't there.")
        return found[0]

    async def listing(self, repository: Repository) -> Sequence[Kept]:
        """All of them."""
        call = Call(arguments=["snapshots", "--json"], doing="Listing the snapshots")
        if not await self.exists(repository):
            return []
        async with self._calls.running(repository, call) as run:
            printed = b"".join([line async for line in run.lines()])
            self._calls.check(call, run, await run.ended())
            if damaged := [line for line in run.said if "could not load snapshot" in line]:
                said.fail(call.doing, damaged, 0)
        return sorted((kept_of(each) for each in json.loads(printed) or []), key=lambda each: (each.at, each.id))

    async def entries(self, repository: Repository, snapshot: str, under: str = "/") -> AsyncGenerator[Entry, None]:
        """What it holds."""
        arguments = ["ls", "--json", "--long", "--recursive", snapshot, *([under] if under != "/" else [])]
        call = Call(arguments=arguments, doing=f"Listing the snapshot {snapshot[:8]}")
        async with self._calls.running(repository, call) as run:
            async for line in run.lines():
                told = json.loads(line)
                if told.get("struct_type") == "node":
                    yield entry_of(told)
            code = await run.ended()
            if code or run.said:
                said.fail(call.doing, run.said, code)

    async def read(self, repository: Repository, snapshot: str, path: str, *, limit: int) -> bytes:
        """One file."""
        call = Call(arguments=["dump", snapshot, path], doing=f"Reading {path} of the snapshot {snapshot[:8]}")
        content = b""
        async with self._calls.running(repository, call) as run:
            while more := await run.read(_CHUNK):
                content += more
                if len(content) > limit:
                    raise BackupFailed(f"{path} of the snapshot {snapshot[:8]} is larger than {limit} bytes.")
            self._calls.check(call, run, await run.ended())
        return content

    async def restore(
        self,
        repository: Repository,
        snapshot: str,
        into: Path,
        *,
        paths: Sequence[str] = (),
        tell: Tell | None = None,
    ) -> None:
        """Put it into the folder."""
        if await asyncio.to_thread(lambda: into.is_symlink() or any(into.iterdir())):
            raise UnitFault(f"{into} isn't empty.", hint="Restore into a fresh folder.")
        included = [each for path in paths for each in ("--include", _literally(path))]
        call = Call(
            arguments=["restore", snapshot, "--target", INTO, *included],
            doing=f"Restoring the snapshot {snapshot[:8]}",
            writes={INTO: into},
            restores=True,
        )
        async with self._calls.running(repository, call) as run, telling(run, tell):
            async for _ in run.lines():
                pass
            code = await run.ended()
            if code and not said.only_devices(run.said):
                self._calls.check(call, run, code)

    # --- keeping it ---------------------------------------------------------------------------------------------------

    async def copy(self, source: Repository, target: Repository, snapshot: str, *, tell: Tell | None = None) -> str:
        """Copy it."""
        call = Call(
            arguments=["copy", "--no-lock", snapshot],
            doing=f"Copying the snapshot {snapshot[:8]}",
            changes=True,
            source=source,
        )
        async with self._calls.running(target, call) as run, telling(run, tell):
            async for _ in run.lines():
                pass
            self._calls.check(call, run, await run.ended())
        listed = await self.listing(target)
        copies = [each for each in listed if snapshot in (each.original, each.id)]
        if not copies:  # what is a copy itself goes by its original's id
            its = {each.original for each in await self.listing(source) if each.id == snapshot} - {None}
            copies = [each for each in listed if each.original in its or each.id in its]
        if not copies:
            raise SnapshotMissing(f"There is no snapshot {snapshot[:8]} to copy.")
        return copies[-1].id

    async def check(
        self, repository: Repository, *, share: tuple[int, int] | None = None, despite: Collection[str] = ()
    ) -> None:
        """Whether all is there."""
        part = [] if share is None else [f"--read-data-subset={share[0]}/{share[1]}"]
        call = Call(arguments=["check", *part], doing="Checking the repository")
        async with self._calls.running(repository, call) as run:
            async for _ in run.lines():
                pass
            code = await run.ended()
            if not (code and despite and not run.gone_silent and said.only_lacks(run.said)):
                self._calls.check(call, run, code)
                return
        if lacking := [each for each in await self._lacking(repository) if each not in despite]:
            raise SnapshotDamaged(f"{call.doing} failed: the snapshot {lacking[0][:8]} lacks data.")

    async def lacking(self, repository: Repository) -> Mapping[str, str]:
        """Which snapshots lack something."""
        if not await self.exists(repository):
            return {}
        try:
            await self.check(repository)
        except SnapshotDamaged:
            return await self._lacking(repository)
        return {}

    async def _lacking(self, repository: Repository) -> Mapping[str, str]:
        found = {}
        for snapshot in [each.id for each in await self.listing(repository)]:
            arguments = ["stats", "--json", "--mode", "raw-data", snapshot]
            call = Call(arguments=arguments, doing=f"Looking through the snapshot {snapshot[:8]}")
            try:
                await self._calls.lines(repository, call)
            except SnapshotDamaged as problem:
                found[snapshot] = problem.message
        return found

    async def mend(self, repository: Repository, *, tell: Callable[[str], None] | None = None) -> Mended:
        """Put what is damaged aside."""
        folder = self._calls.folder(repository)
        files: Files
        if folder is not None:
            files = NearFiles(folder)
        elif self._calls.target(repository.target).kind in _WITH_A_SHELF:
            files = FarFiles(await self._calls.shelf(repository.target), repository.owner)
        else:
            raise BackupFailed("A repository of that kind can't be mended from here.", hint="See `restic repair`.")
        if not await self.lies(repository):
            return Mended()
        others = [replace(repository, target=each) for each in self._calls.targets if each != repository.target]
        like = next(iter(others), None)
        said_nothing: Callable[[str], None] = lambda step: None  # noqa: E731
        mending = Mending(calls=self._calls, repository=repository, files=files, like=like, tell=tell or said_nothing)
        await asyncio.to_thread(shutil.rmtree, self._calls.cache(repository), ignore_errors=True)
        try:
            mended = await mending.all()
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise BackupFailed(f"The repository at {repository.target} couldn't be mended: {why}.") from error
        if mended.anew:
            await self.ready(repository)
        return mended

    async def forget(self, repository: Repository, snapshots: Sequence[str]) -> None:
        """Drop them."""
        if snapshots:
            call = Call(arguments=["forget", "--", *snapshots], doing="Dropping snapshots", changes=True)
            await self._calls.lines(repository, call)

    async def prune(self, repository: Repository) -> None:
        """Remove what is unreferenced."""
        await self._calls.lines(repository, Call(arguments=["prune"], doing="Pruning the repository", changes=True))

    async def unlock(self, repository: Repository) -> None:
        """Remove every lock."""
        call = Call(arguments=["unlock", "--remove-all"], doing="Unlocking the repository", changes=True)
        await self._calls.lines(repository, call)

    async def destroy(self, repository: Repository) -> Sequence[str]:
        """Remove it."""
        await asyncio.to_thread(shutil.rmtree, self._calls.cache(repository), ignore_errors=True)
        folder = self._calls.folder(repository)
        if folder is not None:
            await asyncio.to_thread(remove_folder, folder, self._erase)
            return []
        if self._calls.target(repository.target).kind in _WITH_A_SHELF:
            shelf = await self._calls.shelf(repository.target)
            left = await shelf.clear(f"{ASIDE}{repository.owner}")
            return [*left, *await shelf.clear(repository.owner)]
        return await self._emptied(repository)

    async def _emptied(self, repository: Repository) -> Sequence[str]:
        """All that restic can remove where nobody else can: what is left holds nothing but settings and a key."""
        if not await self.exists(repository):
            return []
        await self.unlock(repository)
        await self.forget(repository, [each.id for each in await self.listing(repository)])
        await self.prune(repository)
        return ["config", "keys"]

    async def owners(self, target: str, among: Sequence[str] = ()) -> Sequence[str]:
        """Whose repositories there are."""
        it = self._calls.target(target)
        if it.folder is not None:
            return await asyncio.to_thread(_owners_in, it.folder)
        if it.kind in _WITH_A_SHELF:
            return await (await self._calls.shelf(target)).owners(among)
        return [each for each in among if await self.exists(Repository(target=target, owner=each))]


def _literally(path: str) -> str:
    """A path as a pattern that fits nothing else: restic's are Go's, of `filepath.Match`."""
    return re.sub(r"[*?\[\]\\]", r"\\\g<0>", path)


def _owners_in(folder: Path) -> Sequence[str]:
    return sorted(path.parent.name for path in folder.glob("[!.]*/config"))


def _has_something(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _check_folders(folders: Mapping[str, Path]) -> None:
    for inside, folder in folders.items():
        if not inside.startswith("/") or os.path.normpath(inside) != inside or inside == REPOSITORY:
            raise UnitFault(f"{inside!r} is no path in a snapshot.")
        if folder.is_symlink() or not folder.is_dir():
            raise UnitFault(f"{folder} is no folder.")
