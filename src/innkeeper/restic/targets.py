"""Where repositories lie: what restic is told, and what it must be given to get there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


async def _none() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A place that holds a repository for each owner, at `PLACE/OWNER`."""

    name: str
    folder: Path | None = None
    """Where it is on this host's disks."""
    url: str = ""
    """Else as restic takes it: `s3:https://HOST/BUCKET/PREFIX`, `sftp:USER@HOST:/PATH`, `rest:https://HOST/` …"""
    credentials: Callable[[], Awaitable[Mapping[str, str]]] = field(default=_none, repr=False)
    """The variables that restic reads for it; asked for at each run, so that a new one counts at once."""

    def at(self, owner: str) -> str:
        """The owner's repository, as restic is told outside of a sandbox."""
        base = str(self.folder) if self.folder is not None else self.url
        return f"{base.rstrip('/')}/{owner}"
