"""What the core needs of the place where a folder is made ready before it becomes a tenant's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One operation's own place, on the file system of the tenants' folders."""

    tenant_id: str
    """Whose data lies there: an erasure finds it by that."""
    operation_id: str

    @property
    def name(self) -> str:
        """The folder's."""
        return f"{self.tenant_id}-{self.operation_id}"


class Stages(Protocol):
    """Has a snapshot become a tenant's folder, and take the place of the one that was there.

    All of it may be the process's last act and is simply called again. Nothing here follows a link, and only the four
    calls that name a tenant touch its folder. UnitFault and DiskFull.
    """

    def folder(self, stage: Stage) -> Path:
        """Where it lies, for whoever has to look there by hand."""
        ...

    def restored(self, stage: Stage) -> Path:
        """The data that came out of the repository, for whoever only copies it: nothing in it is to be trusted."""
        ...

    async def room_bytes(self) -> int:
        """What is free on the disk for it."""
        ...

    async def begin(self, stage: Stage) -> Path:
        """An empty folder to restore into; whatever an earlier attempt has put there is thrown away."""
        ...

    async def assemble(self, stage: Stage) -> Sequence[str]:
        """Make a whole unit of what was restored: all of it the tenant's own, nothing with a set-user-id bit. The
        databases (SQLite) in it that don't hold, by path. UnitFault where it holds no data at all.

        Once it has returned, `read`, `swap` and `place` find the unit there.
        """
        ...

    async def read(self, stage: Stage, paths: Sequence[str]) -> dict[str, bytes]:
        """Those of the files below the restored persistence that are there, as `Units.read` has them."""
        ...

    async def swap(self, stage: Stage, tenant: str) -> None:
        """Put the unit in the tenant's place, and keep the folder that was there, if there was one."""
        ...

    async def swap_back(self, stage: Stage, tenant: str) -> None:
        """Undo `swap`, whether or not it was done, or to its end."""
        ...

    async def place(self, stage: Stage, tenant: str) -> None:
        """Make the unit the folder of a tenant that has none; UnitExists where another's lies there."""
        ...

    async def deliver(self, stage: Stage, tenant: str, into: str) -> None:
        """Put what was restored of single paths into the tenant's own data, as a new folder `into` of it, all at once;
        UnitExists where there is something of that name."""
        ...

    async def note(self, stage: Stage, name: str, content: bytes) -> None:
        """Keep something beside it, on the disk when this returns."""
        ...

    async def noted(self, stage: Stage, name: str, *, limit: int = 1 << 20) -> bytes | None:
        """What was kept by that name, up to `limit` bytes of it."""
        ...

    async def drop(self, stage: Stage, tenant: str | None = None) -> None:
        """Erase all that lies there; with `tenant`, what its folder was marked with as well."""
        ...

    async def names(self) -> Sequence[str]:
        """The stages that there are, by folder."""
        ...

    async def drop_by_name(self, name: str) -> None:
        """Erase one that belongs to nobody any more."""
        ...
