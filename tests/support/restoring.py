"""A house whose tenants have real folders and real snapshots, by restic, and can be restored; only the runtime is in
memory. An agent is ready as long as no file `sick` lies in its data."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from innkeeper.core.access import SYSTEM
from innkeeper.core.closing import Closing
from innkeeper.core.events import Bus
from innkeeper.core.manifest import SealedSecret, manifest_of
from innkeeper.core.operations import Operation
from innkeeper.core.ports import LEASE_FOR, Clock, Lease, Probe, Store
from innkeeper.core.ports.snapshots import LOCAL, REMOTE, Repository
from innkeeper.core.proving import Proving
from innkeeper.core.restore_anew import RestoreAnew
from innkeeper.core.restore_asked import Mode
from innkeeper.core.restore_in_place import Ahead, RestoreInPlace, Safety
from innkeeper.core.restore_paths import RestorePaths
from innkeeper.core.restored_spec import RestoredSpecs
from innkeeper.core.restores import Restores
from innkeeper.core.restoring import LeftStages, Restoring
from innkeeper.core.safety import RecordedSnapshots
from innkeeper.core.shelf import Shelf
from innkeeper.core.staging import Staging
from innkeeper.core.tenant import Tenant
from innkeeper.core.works import Tell, Works
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.works import WorkLoops
from innkeeper.restic import Calls, ResticStore, Target
from innkeeper.units.erase import erase
from innkeeper.units.layout import FolderUnits
from innkeeper.units.stages import FolderStages
from tests.support.house import House, MemoryProber
from tests.support.people import PlainSeals
from tests.units.folders import OWNER


class RepositoryKeys:
    """What opens repositories; of whom there are keys."""

    def __init__(self) -> None:
        self.made: set[str] = set()

    def repository_password(self, owner: str) -> str:
        return f"password of {owner}"

    async def ready(self, owner: str) -> None:
        self.made.add(owner)

    def owners(self) -> Sequence[str]:
        return sorted(self.made)


class FolderProber(MemoryProber):
    """Answers for agents by what lies in their folders."""

    def __init__(self, tenants: Path) -> None:
        super().__init__()
        self._tenants = tenants
        self.sick_at: set[str] = set()

    async def ask(self, address: str, probe: Probe) -> tuple[int, bytes] | None:
        sick = [path for path in self._tenants.glob("*/persistence/sick") if path.exists()]
        return (503, b"") if sick else await super().ask(address, probe)


class Died(BaseException):
    """The process is no more."""


class MortalTell(Tell):
    """Dies when it is to keep something for the n-th time: just before that is written down, or just after."""

    def __init__(
        self, operation: Operation, *, lease: Lease, store: Store, bus: Bus, clock: Clock, lives: list[int], after: bool
    ) -> None:
        super().__init__(operation, lease=lease, store=store, bus=bus, clock=clock)
        self._lives = lives
        self._after = after

    async def keep(self, **facts: Any) -> None:
        self._lives[0] -= 1
        if self._lives[0] == 0 and not self._after:
            raise Died
        await super().keep(**facts)
        if self._lives[0] == 0 and self._after:
            raise Died


class RestoringHouse(House):
    """The house, with its disk below `root`."""

    def __init__(self, root: Path, targets: Sequence[str] = (LOCAL,)) -> None:
        self.root = root
        self.safeties: list[str] = []
        self.adopted: list[tuple[str, str]] = []
        self.safety_fails: Exception | None = None
        self.safety_by: Safety | None = None
        """Who takes them instead …"""
        self.ahead_by: Ahead | None = None
        """… and ahead, while the tenant lives."""
        keys = RepositoryKeys()
        self.repository_keys = keys
        places = [Target(name=name, folder=_made(root / f"{name}-repositories")) for name in targets]
        calls = Calls(places, keys, root / "cache")
        self.repositories = ResticStore(calls, erase=erase)
        units = FolderUnits(root / "tenants", owner_uid=OWNER[0], owner_gid=OWNER[1])
        super().__init__(units=cast("Any", units), prober=FolderProber(root / "tenants"))
        self.agent.start_timeout_s = 1
        self.agent.stop_grace_s = 0

    def start(self, holder: str = "one") -> None:
        super().start(holder)
        root = self.root
        self.stages = FolderStages(root / "restores", root / "tenants", owner_uid=OWNER[0], owner_gid=OWNER[1])
        self.shelf = Shelf(self.repositories, self.repository_keys, recorded=RecordedSnapshots(self.store).of)
        agents = {"plain": self.agent}
        specs = RestoredSpecs(store=self.store, runtime=self.runtime, agents=agents)
        staging = Staging(shelf=self.shelf, stages=self.stages, specs=specs)
        proving = Proving(store=self.store, runtime=self.runtime, agents=agents, margin_s=2)
        seals = PlainSeals()
        self.works = Works(store=self.store, bus=self.bus, clock=self.clock)
        self.closing = Closing(store=self.store, runtime=self.runtime, bus=self.bus)
        self.restores = Restores(
            store=self.store,
            shelf=self.shelf,
            specs=specs,
            units=self.units,
            works=self.works,
            bus=self.bus,
            clock=self.clock,
            domain="localhost",
        )
        self.left = LeftStages(store=self.store, stages=self.stages)
        self.restoring = Restoring(
            {
                Mode.IN_PLACE: RestoreInPlace(
                    store=self.store,
                    staging=staging,
                    stages=self.stages,
                    specs=specs,
                    seals=seals,
                    closing=self.closing,
                    proving=proving,
                    safety=self._safety,
                    ahead=self._ahead,
                    bus=self.bus,
                    clock=self.clock,
                ),
                Mode.ANEW: RestoreAnew(
                    store=self.store,
                    staging=staging,
                    stages=self.stages,
                    seals=seals,
                    keys=self.data_keys,
                    proving=proving,
                    adopt=self._adopt,
                    bus=self.bus,
                    clock=self.clock,
                ),
                Mode.PATHS: RestorePaths(store=self.store, staging=staging, stages=self.stages),
            }
        )

    async def _safety(self, tenant: Tenant, operation: Operation, tell: Tell) -> str | None:
        assert tenant.closed == operation.id
        assert not (await self.runtime.get(tenant.name)).exists, "nothing of it runs while it is snapshotted"
        if self.safety_fails is not None:
            raise self.safety_fails
        if self.safety_by is not None:
            return await self.safety_by(tenant, operation, tell)
        saved = await self.save(tenant.name)
        self.safeties.append(saved)
        return saved

    async def _ahead(self, tenant: Tenant, operation: Operation, tell: Tell) -> None:
        if self.ahead_by is not None:
            await self.ahead_by(tenant, operation, tell)

    async def _adopt(self, tenant_id: str, name: str) -> None:
        self.adopted.append((tenant_id, name))

    # --- for tests ----------------------------------------------------------------------------------------------------

    def data(self, name: str = "alice") -> Path:
        """The tenant's own data."""
        return self.root / "tenants" / name / "persistence"

    def remember(self, what: str, name: str = "alice") -> None:
        """Have the tenant's agent write it down, in a database that it uses and a file beside."""
        with sqlite3.connect(self.data(name) / "memory.db") as database:
            database.execute("CREATE TABLE IF NOT EXISTS said (what)")
            database.execute("INSERT INTO said VALUES (?)", (what,))
        database.close()
        (self.data(name) / "last.txt").write_text(what)
        for path in self.data(name).iterdir():
            os.chown(path, *OWNER)

    def remembered(self, name: str = "alice") -> list[str]:
        """What its agent finds there."""
        with sqlite3.connect(self.data(name) / "memory.db") as database:
            found = [str(row[0]) for row in database.execute("SELECT what FROM said")]
        database.close()
        return found

    async def save(self, name: str = "alice", *, at: datetime | None = None, target: str = LOCAL) -> str:
        """Take a snapshot of the tenant as it lies there; its id."""
        async with self.store.look() as tx:
            tenant = await tx.tenant(name)
            assert tenant is not None
            versions = await tx.secrets.versions(tenant.id)
            secrets = [SealedSecret(version=each, sealed=await tx.secrets.sealed(each) or b"") for each in versions]
        taken_at = at or self.clock.now()
        manifest = manifest_of(tenant, snapshot="snap_x", taken_at=taken_at, consented=None, packs={}, secrets=secrets)
        unit = self.root / "tenants" / name
        repository = Repository(target=target, owner=tenant.id)
        await self.repositories.ready(repository)
        with tempfile.TemporaryDirectory() as folder:
            own, kept = _made(Path(folder) / "own"), _made(Path(folder) / "unit")
            (own / "manifest.json").write_bytes(manifest.dumped())
            for each in ("compose.yaml", ".env"):
                (kept / each).write_bytes((unit / each).read_bytes())
            folders = {"/persistence": unit / "persistence", "/unit": kept, "/innkeeper": own}
            saved = await self.repositories.save(repository, folders, name=name, at=taken_at)
        return saved.id

    async def born(self, name: str = "alice") -> Tenant:
        """A tenant that runs and remembers its first day."""
        operation = await self.create(name)
        assert (await self.control.wait(operation.id, timeout_s=20)).error is None
        self.remember("first day", name)
        return await self.tenant(name)

    async def ended(self, operation: Operation, *, within_s: float = 60) -> Operation:
        """The operation at its end."""
        ended = await self.control.wait(operation.id, timeout_s=within_s)
        assert ended.status.ended, ended
        return ended

    async def restored(self, name: str = "alice", **asked: Any) -> Operation:
        """A restore in place, to its end."""
        return await self.ended(await self.restores.in_place(name, actor=SYSTEM, **asked))

    @asynccontextmanager
    async def running(self, *, works: bool = True) -> AsyncIterator[None]:
        """A control plane while the block runs."""
        supervisor = Supervisor()
        await self.directory.load()
        self.loops(tick_s=30, workers=2).start(supervisor)
        loops = WorkLoops(
            [self.restoring] if works else [], store=self.store, bus=self.bus, clock=self.clock, holder="one"
        )
        loops.start(supervisor)
        async with supervisor.running():
            yield

    async def dies_at(self, operation: Operation, keep: int, *, after: bool) -> bool:
        """Carry the work out until it dies at that write of its journal; whether it came so far."""
        lease = await self.store.claim_work(operation.tenant, holder="dead", for_s=LEASE_FOR.total_seconds())
        assert lease is not None
        async with self.store.look() as tx:
            current = await tx.operation(operation.id)
        assert current is not None
        lives = [keep]
        tell = MortalTell(
            current, lease=lease, store=self.store, bus=self.bus, clock=self.clock, lives=lives, after=after
        )
        try:
            await self.restoring.carry_out(current, tell)
        except Died:
            return True
        except Exception:  # noqa: S110 - it ends so, and the next one to carry it out tells
            pass
        finally:
            await self.store.release(lease)
        return False


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float = 20) -> None:
    """Wait until that is so."""
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.05)


def _made(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


__all__ = ["LOCAL", "REMOTE", "Died", "RestoringHouse", "until"]
