"""Repositories at the other end of SFTP, by the client that restic reaches them with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from innkeeper.core.snapshot_errors import BackupFailed
from innkeeper.restic import said
from innkeeper.restic.run import PATIENCE_S, running
from innkeeper.restic.sandbox import Sandbox
from innkeeper.restic.targets import Target, access, sftp_place, ssh_words

_FLAT = ("snapshots", "index", "locks", "keys")


class SftpShelf:
    """One host with a folder for all."""

    def __init__(self, target: Target, credentials: Mapping[str, str]) -> None:
        self._target = target
        self._login, self._port, self._path = sftp_place(target.url)

    async def owners(self, among: Sequence[str]) -> Sequence[str]:
        """By a listing."""
        code, printed, complaints = await self._batch(["-ls -1 " + _quoted(self._path)])
        if code:
            said.fail("Listing the target", complaints, code)
        names = [PurePosixPath(line).name for line in printed if not line.startswith("sftp>")]
        return sorted(name for name in names if name and not name.startswith("."))

    async def has(self, owner: str) -> bool:
        """By the config's name."""
        code, printed, complaints = await self._batch(["-ls -1 " + _quoted(f"{self._path}/{owner}/config")])
        if code:
            said.fail("Looking for a repository", complaints, code)
        return any(line.endswith("/config") for line in printed if not line.startswith("sftp>"))

    async def names(self, owner: str) -> Sequence[str]:
        """Left to restic."""
        raise BackupFailed("Files aren't listed there one by one.")

    async def put(self, owner: str, name: str, content: bytes) -> None:
        """Left to restic."""
        raise BackupFailed("Files aren't put there one by one.")

    async def clear(self, owner: str, under: str = "") -> Sequence[str]:
        """Every file and folder that restic makes; what is left."""
        top = f"{self._path}/{owner}"
        lines = [f"-rm {_quoted(f'{top}/config')}"]
        for number in range(256):
            lines += [f"-rm {_quoted(f'{top}/data/{number:02x}')}/*", f"-rmdir {_quoted(f'{top}/data/{number:02x}')}"]
        for kind in _FLAT:
            lines += [f"-rm {_quoted(f'{top}/{kind}')}/*", f"-rmdir {_quoted(f'{top}/{kind}')}"]
        lines += [f"-rmdir {_quoted(f'{top}/data')}", f"-rmdir {_quoted(top)}", f"-ls -1 {_quoted(top)}"]
        code, printed, complaints = await self._batch(lines)
        if code:
            said.fail("Removing a repository", complaints, code)
        return [line.removeprefix(f"{top}/") for line in printed if line.startswith(f"{top}/")]

    async def _batch(self, lines: Sequence[str]) -> tuple[int, Sequence[str], Sequence[str]]:
        """Run these commands; a line that begins with a dash may fail. Code, stdout, stderr."""
        given = await asyncio.to_thread(access, self._target, {})
        sandbox = Sandbox(files={**given.files, "batch": "\n".join([*lines, ""]).encode()}, network=True, ssh=True)
        words = ["-b", sandbox.file("batch"), "-q", *ssh_words(self._target, sandbox.file)]
        words += ["-P", self._port] if self._port is not None else []
        async with running("sftp", [*words, "--", self._login], sandbox, patience_s=PATIENCE_S) as run:
            printed = [line.decode(errors="replace").rstrip() async for line in run.lines()]
            return await run.ended(), printed, run.said


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
