"""What the core needs to back up the control plane's own database."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class ControlCopies(Protocol):
    """Copies the database as it is at one moment, while it is in use."""

    async def copy(self, into: Path) -> None:
        """Put the copy, and what says what it is, into an empty folder. StoreUnavailable, DiskFull."""
        ...
