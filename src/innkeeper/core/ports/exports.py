"""What the core needs to take a unit elsewhere: a crate that it is copied into and packed from, and images as files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What a pass over a unit's data did."""

    files: int
    bytes: int
    copied_files: int
    copied_bytes: int
    left_out: Mapping[str, str] = field(default_factory=dict)
    """By path, what holds no data or can't be read; the first thousand."""
    changed: Sequence[str] = ()
    """Files that changed while they were copied."""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """Who can open a crate; nobody in particular: everybody."""

    recipients: tuple[str, ...] = ()
    """age's: `age1…`, or `ssh-ed25519 …`."""
    passphrase: str | None = field(default=None, repr=False)

    @property
    def locked(self) -> bool:
        """Whether it takes something to open it."""
        return bool(self.recipients) or self.passphrase is not None


@dataclass(frozen=True, kw_only=True)
class PackingList:
    """What is packed beside the data."""

    compose: str = ""
    env: str = ""
    """As it is made anew; what an operator has set in the unit's own stays."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What `innkeeper.json` says."""
    documents: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """By path, in place of these three; the data lies below `files` then. Folders aren't deeper than one."""
    data_alone: bool = False
    """Whether nothing but the data is packed, and the member that proves that it is whole."""
    called: str = ""
    """What the file's name says beside the tenant's."""
    conceal: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By value, what stands in its place in the config files, and in those beside them that begin with their names."""
    config_paths: Sequence[str] = ()
    secret_settings: bool = True
    """Whether credentials in `.env` stay."""
    lock: Lock = Lock()


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A crate that is ready."""

    name: str
    """Of the file, without its folder."""
    bytes: int
    sha256: str


class Crates(Protocol):
    """Where units are packed, each in a crate that goes by its operation's id. UnitFault, DiskFull."""

    def check(self, lock: Lock) -> None:
        """Raise Invalid for recipients that are none."""
        ...

    async def empty(self, crate: str) -> None:
        """Make it, with nothing inside."""
        ...

    async def copy(self, crate: str, tenant: str, *, leave_out: Sequence[str]) -> Copied:
        """Bring the unit's data into it; a second time, what changed since. Cancelled it stops soon, by itself."""
        ...

    async def fill(self, crate: str, folder: Path) -> Copied:
        """The same with a folder in which nobody writes."""
        ...

    async def put_image(self, crate: str, pieces: AsyncIterator[bytes]) -> int:
        """Put a saved image in; its bytes."""
        ...

    async def pack(
        self, crate: str, tenant: str, packing: PackingList, *, at: datetime, on_bytes: Callable[[int], object]
    ) -> Packed:
        """Make the one file of it, and drop what it was made from. It is there when it is whole, or not at all."""
        ...

    async def file(self, crate: str) -> Path | None:
        """The file, if it is there."""
        ...

    async def discard(self, crate: str) -> None:
        """Away with it; one that isn't there is fine."""
        ...

    async def all(self) -> Sequence[str]:
        """Every crate that there is."""
        ...


class SavedImages(Protocol):
    """Images as files, as `docker save` writes them."""

    async def names(self, image: str) -> Sequence[str]:
        """The tags that stand for this image here."""
        ...

    def saved(self, name: str) -> AsyncIterator[bytes]:
        """The image by that name in one file, with the name; ImageMissing, RuntimeUnavailable."""
        ...
