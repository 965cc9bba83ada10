"""What the core needs of a store of snapshots: encrypted, deduplicated, verifiable, in more than one place."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Protocol

LOCAL, REMOTE = "local", "remote"
"""The targets' names."""
CONTROL = "control"
"""The owner whose repository holds the control plane's own database."""

Tell = Callable[[int, int], None]
"""Told how many bytes are done, and of how many, as far as that is known; once a second at most, never awaited."""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """One owner's snapshots at one target, under a key of the owner's own."""

    target: str
    """`local` or `remote`."""
    owner: str
    """A tenant's id, or CONTROL."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A snapshot that was taken, and what it took."""

    id: str
    """All 64 digits of it."""
    files_new: int
    files_changed: int
    files_unmodified: int
    """So many weren't read again."""
    dirs_new: int
    dirs_changed: int
    dirs_unmodified: int
    bytes_added: int
    """What the repository grew by, before compression."""
    bytes_read: int
    """The size of all that the snapshot holds: what was unmodified counts, though it wasn't read."""
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A snapshot as it is listed."""

    id: str
    at: datetime
    name: str
    """The tenant's name at that time."""
    tags: frozenset[str]
    folders: tuple[str, ...]
    """The paths that it was taken of, as they are in it."""
    original: str | None
    """For a copy the id of what it was copied from."""


@dataclass(frozen=True, kw_only=True)
class Mended:
    """What was done to mend a repository."""

    aside: Sequence[str] = ()
    """The files that weren't what was written, by their names in it; they lie beside it now."""
    anew: bool = False
    """Whether nothing of it could be read, so that the whole was put aside and a fresh one made."""


class EntryKind(StrEnum):
    """What an entry of a snapshot is."""

    FILE = "file"
    FOLDER = "dir"
    LINK = "symlink"
    OTHER = "other"
    """A FIFO or device. Sockets aren't kept."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A path in a snapshot."""

    path: PurePosixPath
    kind: EntryKind
    size: int
    mtime: datetime
    uid: int
    mode: int
    """Permissions, with set-user-id, set-group-id and sticky as `stat` has them."""


class SnapshotStore(Protocol):
    """Takes snapshots of folders and gives them back.

    Every call names the repository that it works on. It raises TargetUnknown for a target that isn't set,
    TargetUnreachable, TargetFull, TargetRefused, RepositoryLocked, SnapshotDamaged, BackupToolMissing or BackupFailed;
    KeyDestroyed where the owner's key is no more. Nothing that is raised or logged quotes a credential.

    One call at a time for one repository, save for reading ones (`exists`, `listing`, `entries`, `read`, `restore`,
    `copy` from it), which may overlap with each other and with `save`. Different repositories don't know each other.

    A call that is cancelled, or whose process dies, leaves no snapshot and none half: what it had written lies
    unreferenced in the repository until `prune`. The locks that it leaves stand in the way of `forget` and `prune`
    until `unlock`. Every call may be made again.
    """

    @property
    def targets(self) -> Sequence[str]:
        """Which there are: LOCAL first where it is set."""
        ...

    def is_far(self, target: str) -> bool:
        """Whether it is reached over the network; where it isn't, a local one on another disk is meant."""
        ...

    async def ready(self, repository: Repository) -> None:
        """Make it where it is missing; repeatable, and two at once are fine. One made at the second target takes the
        first one's chunker parameters, where there is one, so that copies share what is alike."""
        ...

    async def exists(self, repository: Repository) -> bool:
        """Whether it was made. Raises TargetUnreachable, never guesses."""
        ...

    async def lies(self, repository: Repository) -> bool:
        """Whether anything of it is there, were it only what is left of it, or was put aside. TargetUnreachable."""
        ...

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
    ) -> Saved:
        """Take a snapshot of `folders`: absolute path inside it -> folder here, which must be no link.

        Files are compared with those of `parent`, and read where something differs; without one, all are read unless
        the repository has an earlier snapshot of the same name and folders. With `by_time_and_size` a file counts as
        unmodified by its mtime and size alone, whatever its inode and ctime. `excludes` are patterns of paths inside
        the snapshot (`*` within a name, `**` across). Links are kept as links and never followed, sockets are left out,
        other file systems aren't entered.

        A file that vanishes meanwhile is left out; where one can't be read the snapshot is dropped again, and it raises
        BackupFailed. Only what this has returned counts: a snapshot that is merely listed may be one that lacks files.
        """
        ...

    async def copy(self, source: Repository, target: Repository, snapshot: str, *, tell: Tell | None = None) -> str:
        """Copy a snapshot of one owner to another target; the id that it has there. One that was copied before isn't
        copied again. SnapshotMissing."""
        ...

    async def listing(self, repository: Repository) -> Sequence[Kept]:
        """All its snapshots by time; empty also where the repository wasn't made."""
        ...

    def entries(self, repository: Repository, snapshot: str, under: str = "/") -> AsyncGenerator[Entry, None]:
        """What the snapshot holds at and below `under`, one after the other, never all in memory. SnapshotMissing.
        Close it (`aclosing`) where it isn't read to its end."""
        ...

    async def read(self, repository: Repository, snapshot: str, path: str, *, limit: int) -> bytes:
        """The content of one file; SnapshotMissing, or BackupFailed where it is larger than `limit` bytes."""
        ...

    async def restore(
        self,
        repository: Repository,
        snapshot: str,
        into: Path,
        *,
        paths: Sequence[str] = (),
        tell: Tell | None = None,
    ) -> None:
        """Put the snapshot, or these paths of it, into the folder `into`, which must be empty: `/persistence` becomes
        `into/persistence`. Owner, mode, mtime, extended attributes, hard and symbolic links come back as they were;
        device nodes don't. Nothing outside of `into` can be written, whatever the snapshot holds.

        Raises SnapshotMissing; DiskFull where the disk under `into` is full. Unless it returns, what lies in `into` is
        a part at best and is to be thrown away.
        """
        ...

    async def check(
        self, repository: Repository, *, share: tuple[int, int] | None = None, despite: Collection[str] = ()
    ) -> None:
        """Whether all that snapshots refer to is there; with `share` (3, 30) also whether the third of thirty parts of
        the data is what was written, so that thirty calls read all of it. What the snapshots in `despite` lack is known
        already, and doesn't count. Raises SnapshotDamaged, naming what."""
        ...

    async def lacking(self, repository: Repository) -> Mapping[str, str]:
        """The snapshots of which something isn't there any more, with what that is; none where it wasn't made. What is
        there, but isn't what was written, isn't found by this. Raises SnapshotDamaged where it can't be told."""
        ...

    async def mend(self, repository: Repository, *, tell: Callable[[str], None] | None = None) -> Mended:
        """Make it one again that can be written to and checked; the caller holds the lease, for locks are removed.

        All of it is read. Files that aren't what was written are put aside, beside it, and a lost index or config is
        made anew. Afterwards snapshots may lack something: see `lacking`. What they lack and is still in the folder is
        there again after the next `save`. Where no key of it is left, so that nobody can read it, the whole is put
        aside and a fresh one made. Nothing is removed. Fine where there is nothing at all; repeatable at any point.

        TargetRefused where it is whole, but of another key. BackupFailed where the target has no way to put something
        aside.
        """
        ...

    async def forget(self, repository: Repository, snapshots: Sequence[str]) -> None:
        """Drop these; fine for those that are gone. Their data goes at the next `prune`."""
        ...

    async def prune(self, repository: Repository) -> None:
        """Remove what no snapshot refers to."""
        ...

    async def unlock(self, repository: Repository) -> None:
        """Remove every lock. Only for who knows that nobody works on it: the holder of the tenant's work lease."""
        ...

    async def destroy(self, repository: Repository) -> Sequence[str]:
        """Remove it and all in it, without its key; repeatable, and fine where there is none. What couldn't be removed,
        by name: empty where all is gone. Raises TargetUnreachable and TargetRefused."""
        ...

    async def owners(self, target: str, among: Sequence[str] = ()) -> Sequence[str]:
        """Whose repositories lie at the target. Where it can't be listed, those of `among` who have one there."""
        ...
