"""Repositories at the other end of SFTP, by the client that restic reaches them with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from innkeeper.core.snapshot_errors import BackupFailed
from innkeeper.restic import said
from innkeeper.restic.run import PATIENCE_S, running
from innkeeper.restic.sandbox import Sandbox
from innkeeper.restic.shelves import ASIDE
from innkeeper.restic.targets import Target, access, sftp_place, ssh_words

_CONTENT = "content"
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
        """All but the data, which without an index is nothing."""
        top = f"{self._path}/{owner}"
        lines = [f"-ls -1 {_quoted(f'{top}/config')}", *(f"-ls -1 {_quoted(f'{top}/{kind}')}" for kind in _FLAT)]
        code, printed, complaints = await self._batch(lines)
        if code:
            said.fail("Listing a repository", complaints, code)
        return [line.removeprefix(f"{top}/") for line in printed if line.startswith(f"{top}/")]

    async def put(self, owner: str, name: str, content: bytes) -> None:
        """By way of another name, so that it is whole or not there."""
        top = f"{self._path}/{owner}"
        lines = [f"-mkdir {_quoted(each)}" for each in (top, *(f"{top}/{kind}" for kind in (*_FLAT, "data")))]
        lines += [f"put {_CONTENT} {_quoted(f'{top}/.{_CONTENT}')}"]
        lines += [f"rename {_quoted(f'{top}/.{_CONTENT}')} {_quoted(f'{top}/{name}')}"]
        code, _, complaints = await self._batch(lines, content)
        if code:
            said.fail("Making a repository", complaints, code)

    async def get(self, owner: str, name: str) -> bytes:
        """It can't: sftp puts nothing but into files, of which the sandbox has none to write."""
        raise BackupFailed(
            f"{name} of {owner} can't be read over SFTP.",
            hint="Move the repository's folder aside at the target; the next backup begins a new one.",
        )

    async def aside(self, owner: str, name: str) -> None:
        """Renamed. What lies there already by that name was just as damaged, and stays as it is, too."""
        top, beside = f"{self._path}/{owner}", f"{self._path}/{ASIDE}{owner}"
        folders = [beside, *(f"{beside}/{kind}" for kind in (*_FLAT, "data"))]
        folders += [f"{beside}/{PurePosixPath(name).parent}"] if "/" in name else []
        lines = [f"-mkdir {_quoted(each)}" for each in folders]
        lines += [f"-rename {_quoted(f'{top}/{name}')} {_quoted(f'{beside}/{name}{end}')}" for end in ("", ".1", ".2")]
        code, _, complaints = await self._batch(lines)
        if code:
            said.fail("Putting a file aside", complaints, code)

    async def clear(self, owner: str, under: str = "") -> Sequence[str]:
        """Every file and folder that restic makes; what is left."""
        top = f"{self._path}/{owner}"
        kinds = [*_FLAT, *(f"data/{number:02x}" for number in range(256))]
        lines = [] if under else [f"-rm {_quoted(f'{top}/{each}')}" for each in ("config", f".{_CONTENT}")]
        for kind in kinds:
            if f"{kind}/".startswith(under):
                lines += [f"-rm {_quoted(f'{top}/{kind}')}/*", f"-rmdir {_quoted(f'{top}/{kind}')}"]
        lines += [] if under else [f"-rmdir {_quoted(f'{top}/data')}", f"-rmdir {_quoted(top)}"]
        lines += [f"-ls -1 {_quoted(f'{top}/{under}')}"]
        code, printed, complaints = await self._batch(lines)
        if code:
            said.fail("Removing a repository", complaints, code)
        return [line.removeprefix(f"{top}/") for line in printed if line.startswith(f"{top}/")]

    async def _batch(
        self, lines: Sequence[str], content: bytes | None = None
    ) -> tuple[int, Sequence[str], Sequence[str]]:
        """Run these commands; a line that begins with a dash may fail. Code, stdout, stderr."""
        given = await asyncio.to_thread(access, self._target, {})
        files = dict(given.files)
        if content is not None:
            files[_CONTENT] = content
        sandbox = Sandbox(files=files, network=True, ssh=True)
        files["batch"] = "\n".join([f"lcd {sandbox.hidden}", *lines, ""]).encode()
        words = ["-b", sandbox.file("batch"), *ssh_words(self._target, sandbox.file)]
        words += ["-P", self._port] if self._port is not None else []
        async with running("sftp", [*words, "--", self._login], sandbox, patience_s=PATIENCE_S) as run:
            printed = [line.decode(errors="replace").rstrip() async for line in run.lines()]
            return await run.ended(), printed, run.said


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
