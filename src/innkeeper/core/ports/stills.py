"""What the core needs of a tenant's folder to take a snapshot of it that shows one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class TooMuch(Exception):
    """There is more in the folder, or more was written, than this way is made for."""


class Mark(Protocol):
    """What is in a folder as of one moment, told without reading any file."""

    @property
    def files(self) -> int: ...

    @property
    def size(self) -> int:
        """Of all files together, in bytes."""
        ...


class Taken(Protocol):
    """A folder's mark as of one moment, with copies of all files that were written since an earlier mark."""

    @property
    def mark(self) -> Mark: ...

    @property
    def copies(self) -> int:
        """How many files were copied."""
        ...

    @property
    def size(self) -> int:
        """How large those are together, in bytes."""
        ...


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """A tree that is in its place for one snapshot: what was written since the parent is there, what wasn't has a
    placeholder of the same size and mtime, without its content."""

    folder: Path
    placeholders: int
    """So many files have to be told as unmodified …"""
    copies: int
    """… and so many as new or changed; else a placeholder was read."""
    databases: Sequence[str]
    """Those of the copies that are SQLite files: paths below the folder."""
    mark: Mark
    """That of the snapshot, to be kept for the next one."""


class Stills(Protocol):
    """Marks folders of tenants, copies what was written, and lays out what a snapshot is taken of.

    All is walked without following a link, also while the tenant's own code moves things about. UnitFault, DiskFull.
    What lies in the staging of an operation is gone after `clear`, whatever became of the calls before.
    """

    def folder(self, tenant: str) -> Path:
        """Where its data lies: what `/persistence` is in a snapshot."""
        ...

    async def mark(self, tenant: str, *, leave_out: Sequence[str], since: Mark | None = None) -> Mark:
        """Mark it as it is. TooMuch."""
        ...

    async def written(self, since: Mark, now: Mark) -> tuple[int, int]:
        """How many files of `now` were written since, and how many bytes those have."""
        ...

    async def digest(self, mark: Mark) -> str:
        """The same for a folder that nobody has touched since."""
        ...

    async def prepare(self, operation: str, *, since: Mark, bytes_max: int) -> None:
        """Make room for what `take` and `lay_out` put there, so that nobody has to wait for the disk meanwhile."""
        ...

    async def take(
        self, tenant: str, operation: str, *, since: Mark, leave_out: Sequence[str], bytes_max: int
    ) -> Taken:
        """The same, with copies of what was written since, where it was prepared for; nothing must write
        meanwhile. TooMuch, also where more than `bytes_max` would have to be copied."""
        ...

    async def lay_out(self, operation: str, taken: Taken, *, since: Mark) -> Shadow:
        """The tree to take the snapshot of; its parent has to be the one that `since` was marked for."""
        ...

    async def unit_files(self, tenant: str) -> Mapping[str, bytes]:
        """The unit's own files that belong into a snapshot, by name; none where there is no folder."""
        ...

    async def beside(self, operation: str, *, unit: Mapping[str, bytes], manifest: bytes) -> Mapping[str, Path]:
        """The other two folders of a snapshot, with just these files."""
        ...

    async def room(self, operation: str, name: str) -> Path:
        """An empty folder of the operation's own, for what it restores to look at."""
        ...

    def databases_in(self, mark: Mark, *, since: Mark | None) -> Sequence[str]:
        """The files that are SQLite's by their names and were written since that mark: paths below the folder."""
        ...

    def with_journals(self, mark: Mark, databases: Sequence[str]) -> Sequence[str]:
        """These databases, and the journals without which they aren't whole."""
        ...

    async def unsound(self, folder: Path, paths: Sequence[str]) -> Mapping[str, str]:
        """Those of the SQLite files restored there that aren't whole, with what is wrong. The folder is of no use
        afterwards."""
        ...

    async def unsound_living(self, tenant: str, operation: str, paths: Sequence[str]) -> Mapping[str, str]:
        """Those of the SQLite files at these paths that aren't whole as they lie in the tenant's own folder now, with
        what is wrong; one that is being written to counts as whole."""
        ...

    async def keep(self, owner: str, snapshot: str, mark: Mark) -> None:
        """Remember the mark that a snapshot was taken with."""
        ...

    async def kept(self, owner: str, snapshot: str) -> Mark | None:
        """The mark that was kept for that very snapshot, if it is still there."""
        ...

    async def drop(self, owner: str) -> None:
        """Forget what was kept of an owner."""
        ...

    async def clear(self, operation: str) -> None:
        """Remove the operation's staging; fine where there is none."""
        ...

    async def staged(self) -> Sequence[str]:
        """The operations that have left something there."""
        ...
