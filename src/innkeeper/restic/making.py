"""Making a repository, whole or not at all."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from innkeeper.core.ports.snapshots import Repository
from innkeeper.core.snapshot_errors import BackupFailed, SnapshotDamaged
from innkeeper.restic.blank import lay_out, random_polynomial
from innkeeper.restic.calls import Call, Calls
from innkeeper.restic.files import was_one
from innkeeper.restic.removal import NEW

_PUTS = ("s3", "gs", "azure", "rest", "sftp")
"""Where the two files of a fresh repository can be put by ourselves."""


async def make(calls: Calls, repository: Repository, like: Repository | None) -> None:
    """Make it, with the chunker parameters of `like`; fine where somebody else is quicker."""
    target, folder = calls.target(repository.target), calls.folder(repository)
    if folder is None and target.kind not in _PUTS:
        shared = [] if like is None else ["--copy-chunker-params"]
        call = Call(arguments=["init", *shared], doing="Making a repository", changes=True, source=like)
        await calls.lines(repository, call)
        return
    # Beside its place, and moved there when it is whole: a key without its config would be in the way for ever.
    fresh = await asyncio.to_thread(_fresh_beside, folder if folder is not None else calls.cache(repository))
    try:
        await _lay_out(calls, repository, fresh, like)
        if folder is None:
            await _publish(calls, repository, fresh)
            return
        with suppress(OSError):
            await asyncio.to_thread(os.rename, fresh, folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
    if not await asyncio.to_thread((folder / "config").is_file):
        if await asyncio.to_thread(was_one, folder):
            raise SnapshotDamaged(f"{folder} has no config, and isn't empty.")
        raise BackupFailed(f"{folder} is in the way, and no repository.")


async def _lay_out(calls: Calls, repository: Repository, fresh: Path, like: Repository | None) -> None:
    password = await asyncio.to_thread(calls.keys.repository_password, repository.owner)
    polynomial = random_polynomial() if like is None else await polynomial_of(calls, like)
    await asyncio.to_thread(lay_out, fresh, password, polynomial)
    # By restic itself: what it can't open must never be where snapshots go.
    await calls.lines(repository, _cat_config("Trying a fresh repository", fresh))


async def polynomial_of(calls: Calls, like: Repository) -> str:
    """By which that one's files are cut."""
    config = json.loads(b"".join(await calls.lines(like, _cat_config("Reading a repository's config", None))))
    return str(config["chunker_polynomial"])


async def _publish(calls: Calls, repository: Repository, fresh: Path) -> None:
    """Put it to its far place, its config last."""
    shelf, owner = await calls.shelf(repository.target), repository.owner
    there = await shelf.names(owner)
    if "config" in there:  # somebody else was quicker
        return
    if others := [name for name in there if not name.startswith("keys/")]:
        raise SnapshotDamaged(f"At the target {owner} has {others[0]}, but no config.")
    await shelf.clear(owner, "keys/")  # of one that was made by half
    (key,) = await asyncio.to_thread(lambda: list((fresh / "keys").iterdir()))
    for file, name in ((key, f"keys/{key.name}"), (fresh / "config", "config")):
        await shelf.put(owner, name, await asyncio.to_thread(file.read_bytes))


def _cat_config(doing: str, at: Path | None) -> Call:
    return Call(arguments=["cat", "config"], doing=doing, at=at)


def _fresh_beside(folder: Path) -> Path:
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{NEW}{folder.name}-", dir=folder.parent))
