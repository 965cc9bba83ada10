"""Making a repository, whole or not at all."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from innkeeper.core.ports.snapshots import Repository
from innkeeper.core.snapshot_errors import BackupFailed
from innkeeper.restic.calls import Call, Calls
from innkeeper.restic.removal import NEW


async def make(calls: Calls, repository: Repository) -> None:
    """Make it; fine where somebody else is quicker."""
    folder = calls.folder(repository)
    if folder is None:
        await calls.lines(repository, _call(None))
        return
    # Beside its place, and moved there when it is whole: a key without its config would be in the way for ever.
    fresh = await asyncio.to_thread(_fresh_beside, folder)
    try:
        await calls.lines(repository, _call(fresh))
        with suppress(FileExistsError, OSError):
            await asyncio.to_thread(os.rename, fresh, folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
    if not await asyncio.to_thread((folder / "config").is_file):
        raise BackupFailed(f"{folder} is in the way, and no repository.")


def _call(at: Path | None) -> Call:
    return Call(arguments=["init"], doing="Making a repository", changes=True, at=at)


def _fresh_beside(folder: Path) -> Path:
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{NEW}{folder.name}-", dir=folder.parent))
