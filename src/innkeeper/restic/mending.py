"""Mending a repository: what isn't as it was written is put aside, and what is left is made one that restic works with.

Each step may be the last, and all of it may be done again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from innkeeper.core.errors import Problem
from innkeeper.core.ports.snapshots import Mended, Repository
from innkeeper.core.snapshot_errors import SnapshotDamaged, SnapshotMissing, TargetRefused
from innkeeper.restic.blank import random_polynomial
from innkeeper.restic.calls import Call, Calls
from innkeeper.restic.config import Master, config_anew, master_in
from innkeeper.restic.files import Files, NearFiles, as_named
from innkeeper.restic.making import polynomial_of

ROUNDS = 3
"""So often a far one is read: what is put aside may have hidden something else."""
_PACK = re.compile(r"(?:want|[Pp]ack) ([0-9a-f]{64})\b")


@dataclass(kw_only=True)
class Mending:
    """One repository's."""

    calls: Calls
    repository: Repository
    files: Files
    like: Repository | None
    """One that it shares its chunker parameters with, where that is known and whole."""
    tell: Callable[[str], None]
    put_aside: list[str] = field(default_factory=list)

    async def all(self) -> Mended:
        """Mend it; TargetRefused where it is whole and of another key."""
        if isinstance(self.files, NearFiles):
            self.tell("reading all of it")
            for name in await self.files.damaged():
                await self._aside(name)
        if not await self._opens() and not await self._with_a_config():
            await self.files.all_aside()
            return Mended(aside=self.put_aside, anew=True)
        await self._lines("unlock", "--remove-all", changes=True)
        if not isinstance(self.files, NearFiles):
            await self._snapshots_aside()
            await self._packs_aside()
        self.tell("writing its index anew")
        await self._lines("rebuild-index", changes=True)
        return Mended(aside=self.put_aside, anew=False)

    async def _aside(self, name: str) -> None:
        await self.files.aside(name)
        self.put_aside.append(name)

    # --- config and keys ----------------------------------------------------------------------------------------------

    async def _opens(self) -> bool:
        try:
            await self._lines("cat", "config")
        except (SnapshotDamaged, SnapshotMissing):
            return False
        except TargetRefused:
            if await self._keys():  # a key that is whole, and isn't ours; or the target lets nobody in
                raise
            return False
        return True

    async def _with_a_config(self) -> bool:
        """Write its config anew; False: there is no key to do it with, and nothing can be read."""
        masters = await self._keys()
        if not masters:
            return False
        master = masters[0]
        if master is None:
            raise TargetRefused(f"The repository of {self.repository.owner} isn't of this keyring.")
        self.tell("writing its config anew")
        if "config" in await self.files.names():
            await self._aside("config")
        polynomial = random_polynomial()
        if self.like is not None:
            with suppress(Problem):  # it may be no better there
                polynomial = await polynomial_of(self.calls, self.like)
        await self.files.put("config", config_anew(master, polynomial))
        await self._lines("cat", "config")
        return True

    async def _keys(self) -> Sequence[Master | None]:
        """What each key that is as it was written holds; None: another password opens it. Ours first."""
        found: list[Master | None] = []
        password = self.calls.keys.repository_password(self.repository.owner)
        for name in await self.files.names():
            if name.startswith("keys/"):
                content = await self.files.read(name)
                if as_named(name, content):
                    found.append(master_in(content, password))
        return sorted(found, key=lambda each: each is None)

    # --- far ones, which can't be read but by restic ------------------------------------------------------------------

    async def _snapshots_aside(self) -> None:
        try:
            await self._listed()
        except SnapshotDamaged:
            for snapshot in await self._lines("list", "snapshots"):
                try:
                    await self._lines("cat", "snapshot", snapshot.decode().strip())
                except SnapshotDamaged:
                    await self._aside(f"snapshots/{snapshot.decode().strip()}")

    async def _listed(self) -> None:
        call = Call(arguments=["snapshots", "--json"], doing="Listing the snapshots")
        async with self.calls.running(self.repository, call) as run:
            async for _ in run.lines():
                pass
            self.calls.check(call, run, await run.ended())
            if any("could not load snapshot" in line for line in run.said):
                raise SnapshotDamaged("A snapshot's file is damaged.")

    async def _packs_aside(self) -> None:
        for _ in range(ROUNDS):
            await self._lines("rebuild-index", changes=True)
            self.tell("reading all of it")
            call = Call(arguments=["check", "--read-data"], doing="Reading the repository")
            async with self.calls.running(self.repository, call) as run:
                printed = [line.decode(errors="replace") async for line in run.lines()]
                await run.ended()
                if run.gone_silent:
                    self.calls.check(call, run, 1)
                # Also one of which the index knows nothing: it was written anew just now, so that can't be read.
                packs = {pack for line in (*printed, *run.said) for pack in _PACK.findall(line)}
            if not packs:
                return  # what still lacks something, is told by whoever looks at the snapshots
            for pack in sorted(packs):
                await self._aside(f"data/{pack[:2]}/{pack}")

    async def _lines(self, *arguments: str, changes: bool = False) -> Sequence[bytes]:
        return await self.calls.lines(
            self.repository, Call(arguments=arguments, doing="Mending the repository", changes=changes)
        )
