"""Taking a snapshot that shows one moment, of a tenant that is frozen for a fraction of that time.

What has changed little since the last snapshot is told by a mark of that one, and else by a first snapshot of the
living folder. Either is the parent. Then the tenant is held still, only for as long as it takes to mark the folder once
more and to copy what was written since the parent. It goes on; the snapshot is taken of a shadow: those copies, and
placeholders for all that is as the parent has it. The store has to tell exactly the placeholders as unmodified: where
it doesn't, or where there is too much for shadows, the snapshot is taken of the folder itself while it is held still.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from innkeeper.core.errors import TenantLeaving, UnknownTenant
from innkeeper.core.instance import State
from innkeeper.core.manifest import PACKS, PERSISTENCE, Manifest, SealedSecret, manifest_of
from innkeeper.core.operations import Operation
from innkeeper.core.ports import Clock, Store
from innkeeper.core.ports.snapshots import EntryKind, Repository, Saved, SnapshotStore
from innkeeper.core.ports.stills import Mark, Stills, TooMuch
from innkeeper.core.seating import Seating
from innkeeper.core.snapshot_errors import SnapshotMissing
from innkeeper.core.snapshots import DATABASES, BackupState, Origin, Snapshot, newest_good
from innkeeper.core.stillness import Still, Stillness
from innkeeper.core.tenant import Tenant, Wanted
from innkeeper.core.works import Tell

STILL, LIVE = "pass=still", "pass=live"
"""The tags that tell which pass a snapshot is of: only the first kind shows one moment."""
LITTLE_FILES, LITTLE_BYTES = 2000, 32 << 20
"""So much is copied in some tenths of a second: less isn't worth a snapshot of the living folder before."""
COPIED_AT_FIRST, COPIED_AT_MOST = 64 << 20, 256 << 20
PASSES = 3
"""While it lives; each one reads what was written during the one before."""
PATIENCE_S = 600.0
FROZEN_AT_MOST_S, PLAIN_AT_MOST_S = 10.0, 600.0
MS = 1000


class Way(StrEnum):
    """How a snapshot came about."""

    UNCHANGED = "unchanged"  # the last one is still just so
    SHADOW = "shadow"  # of copies and placeholders
    PLAIN = "plain"  # of the folder itself, held still


@dataclass(frozen=True, kw_only=True)
class Take:
    """A snapshot as it was taken, and what is to be looked at before it is relied on."""

    snapshot: Snapshot
    way: Way
    mark: Mark | None = None
    """To be kept with it."""
    databases: Sequence[str] = ()
    """Paths below `/persistence` of databases that were written since they were last looked through …"""
    journals: Sequence[str] = ()
    """… and of all that has to be restored for that."""
    carried: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with databases that the last one had broken already, and that weren't written since."""


class NotExact(Exception):
    """The store didn't tell exactly the placeholders as unmodified."""


@dataclass(frozen=True, kw_only=True)
class _Parent:
    id: str
    mark: Mark


class Taking:
    """Takes snapshots to the first target."""

    def __init__(
        self,
        *,
        store: Store,
        snapshots: SnapshotStore,
        stills: Stills,
        stillness: Stillness,
        seating: Seating,
        clock: Clock,
        consent_wait_s: float,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._stills = stills
        self._stillness = stillness
        self._seating = seating
        self._clock = clock
        self._consent_wait_s = consent_wait_s

    async def of(self, operation: Operation, snapshot_id: str, *, origin: Origin, tell: Tell, afresh: bool) -> Take:
        """The tenant's state of now, for the operation that works on it; `afresh` trusts no earlier snapshot.

        What it leaves in the staging is to be cleared by the caller.
        """
        one = _One(self, operation, snapshot_id, origin, tell)
        if not afresh and (unchanged := await one.unchanged()) is not None:
            return unchanged
        for again in (False, True):
            with suppress(TooMuch, NotExact):
                return await one.shadowed(from_the_living=again or afresh)
        return await one.plain()


class _One:
    """One snapshot of one tenant."""

    def __init__(self, taking: Taking, operation: Operation, snapshot_id: str, origin: Origin, tell: Tell) -> None:
        self._store = taking._store
        self._snapshots = taking._snapshots
        self._stills = taking._stills
        self._stillness = taking._stillness
        self._seating = taking._seating
        self._clock = taking._clock
        self._consent_wait_s = taking._consent_wait_s
        self._operation = operation
        self._id = snapshot_id
        self._origin = origin
        self._tell = tell
        self._first = Repository(target=self._snapshots.targets[0], owner=operation.tenant_id)
        self._before: tuple[Snapshot, Mark] | None = None
        """The last good snapshot at the first target, and the mark that it was taken with …"""
        self._found: Mark | None = None
        """… and that of the folder as it was found at first."""
        self._added = 0
        """What the snapshots of the living folder have added to the repository, in bytes."""
        self._count: tuple[int, int] | None = None
        """What was written between the two, once it was counted."""

    # --- the three ways -----------------------------------------------------------------------------------------------

    async def unchanged(self) -> Take | None:
        """The last good snapshot, where the folder and all that is said of the tenant are just as they were then."""
        now, tenant = self._clock.now(), await self._look()
        if self._before is None or self._found is None:
            return None
        (last, _), mark = self._before, self._found
        if await self._written() != (0, 0):  # most nights, so nothing dearer is asked before
            return None
        said, unit = await self._manifest(tenant, now, None), await self._unit()
        if last.mark != _fingerprint(await self._stills.digest(mark), said, unit):
            return None
        return Take(snapshot=replace(last, confirmed_at=max(now, last.confirmed_at)), way=Way.UNCHANGED)

    async def shadowed(self, *, from_the_living: bool) -> Take:
        """Raises TooMuch, NotExact."""
        tenant = await self._look()
        parent = None if from_the_living else await self._little_changed()
        parent = parent or await self._of_the_living(tenant)
        self._tell.step("waiting until it may be held still", 1, 4)
        bytes_max = COPIED_AT_MOST if from_the_living else COPIED_AT_FIRST
        await self._stills.prepare(self._operation.id, since=parent.mark, bytes_max=bytes_max)
        async with self._still(tenant, FROZEN_AT_MOST_S) as still:
            at = self._clock.now()
            taken = await self._stills.take(
                tenant.name,
                self._operation.id,
                since=parent.mark,
                leave_out=self._leave_out(tenant),
                bytes_max=bytes_max,
            )
        self._tell.step("saving what was written", 2, 4)
        shadow = await self._stills.lay_out(self._operation.id, taken, since=parent.mark)
        tenant, unit = await self._tenant(), await self._unit()
        manifest = await self._manifest(tenant, at, _consent(still))
        beside = await self._stills.beside(self._operation.id, unit=unit, manifest=manifest.dumped())
        digesting = asyncio.create_task(self._stills.digest(shadow.mark), name=f"digest:{tenant.name}")
        try:
            saved = await self._save(
                {PERSISTENCE: shadow.folder, **beside}, STILL, at=at, parent=parent.id, by_time_and_size=True
            )
        finally:
            digest = await digesting  # restic takes longer by far
        written = shadow.copies + len(unit) + 1
        if (saved.files_unmodified, saved.files_new + saved.files_changed) != (shadow.placeholders, written):
            await self._snapshots.forget(self._first, [saved.id])
            raise NotExact
        # Those of the last snapshot were looked through with it; a snapshot of the living folder nobody looks through.
        before = None if self._before is None else self._before[1]
        named = [] if parent.mark is before else self._stills.databases_in(shadow.mark, since=before)
        databases = sorted({*shadow.databases, *named})
        last = {} if self._before is None else self._before[0].broken
        unwritten = [path for path in last if path not in databases and self._stills.with_journals(shadow.mark, [path])]
        return Take(
            snapshot=self._snapshot(tenant, at, still, saved, shadow.mark, _fingerprint(digest, manifest, unit)),
            way=Way.SHADOW,
            mark=shadow.mark,
            databases=databases,
            journals=self._stills.with_journals(shadow.mark, databases),
            carried={path: last[path] for path in unwritten},
        )

    async def plain(self) -> Take:
        """The folder itself, held still for as long as that takes."""
        tenant = await self._tenant()
        parent = await self._save_living(tenant, None)
        async with self._still(tenant, PLAIN_AT_MOST_S) as still:
            at = self._clock.now()
            unit, manifest = await self._unit(), await self._manifest(tenant, at, _consent(still))
            beside = await self._stills.beside(self._operation.id, unit=unit, manifest=manifest.dumped())
            folders = {PERSISTENCE: self._stills.folder(tenant.name), **beside}
            saved = await self._save(folders, STILL, at=at, parent=parent, excludes=self._excludes(tenant))
        databases = await self._databases_in(saved.id)
        return Take(
            snapshot=self._snapshot(tenant, at, still, saved),
            way=Way.PLAIN,
            databases=databases,
            journals=[each for path in databases for each in (path, f"{path}-wal", f"{path}-journal")],
        )

    async def _databases_in(self, saved: str) -> Sequence[str]:
        """By their names."""
        async with aclosing(self._snapshots.entries(self._first, saved, PERSISTENCE)) as entries:
            paths = [str(each.path) async for each in entries if each.kind is EntryKind.FILE]
        return [path.removeprefix(f"{PERSISTENCE}/") for path in paths if path.endswith(DATABASES)]

    # --- the parent ---------------------------------------------------------------------------------------------------

    async def _look(self) -> Tenant:
        """The tenant, with what is known of its last snapshot and how the folder is now; looked at once."""
        tenant = await self._tenant()
        if self._before is not None or self._found is not None:
            return tenant
        async with self._store.look() as tx:
            last = newest_good(await tx.snapshots.of(tenant.id), target=self._first.target)
        if last is None:
            return tenant
        kept = await self._stills.kept(tenant.id, last.copies[self._first.target])
        if kept is not None:
            self._before = last, kept
            with suppress(TooMuch):
                self._found = await self._stills.mark(tenant.name, leave_out=self._leave_out(tenant), since=kept)
        return tenant

    async def _written(self) -> tuple[int, int] | None:
        """How many files, and how many bytes, were written since the last snapshot; None where nobody knows."""
        if self._before is None or self._found is None:
            return None
        if self._count is None:
            self._count = await self._stills.written(self._before[1], self._found)
        return self._count

    async def _little_changed(self) -> _Parent | None:
        """The last snapshot, where so little was written since that it can be copied while everything stands still."""
        count = await self._written()
        if self._before is None or count is None or not _is_little(*count):
            return None
        last, before = self._before
        return _Parent(id=last.copies[self._first.target], mark=before)

    async def _of_the_living(self, tenant: Tenant) -> _Parent:
        """A snapshot of the folder as it lives, and the mark from before that was begun."""
        mark = await self._stills.mark(tenant.name, leave_out=self._leave_out(tenant))
        parent = _Parent(id=await self._save_living(tenant, None), mark=mark)
        for _ in range(PASSES - 1):
            now = await self._stills.mark(tenant.name, leave_out=self._leave_out(tenant), since=parent.mark)
            if _is_little(*await self._stills.written(parent.mark, now)):
                break
            parent = _Parent(id=await self._save_living(tenant, parent.id), mark=now)
        return parent

    async def _save_living(self, tenant: Tenant, parent: str | None) -> str:
        """Save the folder as it lives, compared with the last time; what it has then is the next one's parent."""
        async with self._store.look() as tx:
            state = await tx.snapshots.state(tenant.id) or BackupState(owner=tenant.id, tenant=tenant.name)

        def tell(done: int, of: int) -> None:
            self._tell.step(f"saving while it runs: {done >> 20} of {of >> 20} MB", 0, 4)

        folders = {PERSISTENCE: self._stills.folder(tenant.name)}
        tell(0, 0)
        saved = await self._save(
            folders, LIVE, at=self._clock.now(), parent=parent or state.live, excludes=self._excludes(tenant), tell=tell
        )
        self._added += saved.bytes_added
        async with self._store.begin() as tx:
            state = await tx.snapshots.state(tenant.id) or state
            await tx.snapshots.put_state(replace(state, live=saved.id))
        if state.live is not None:
            await self._snapshots.forget(self._first, [state.live])
        return saved.id

    # --- what all have in common --------------------------------------------------------------------------------------

    async def _save(self, folders: Mapping[str, Any], tag: str, *, at: datetime, **how: Any) -> Saved:
        tags = (tag, f"op={self._operation.id}", *((f"id={self._id}",) if tag == STILL else ()))
        name = self._operation.tenant
        try:
            return await self._snapshots.save(self._first, folders, name=name, tags=tags, at=at, **how)
        except SnapshotMissing:
            if how.pop("by_time_and_size", False) or how.pop("parent", None) is None:
                raise NotExact from None  # the parent is gone, and placeholders aren't to be read
            return await self._snapshots.save(self._first, folders, name=name, tags=tags, at=at, **how)

    def _still(self, tenant: Tenant, at_most_s: float) -> Any:
        return self._stillness.of(
            tenant.name,
            patience_s=PATIENCE_S,
            # Who is about to be brought down needn't be waited for.
            without_consent_after_s=0.0 if self._origin is Origin.SAFETY else self._consent_wait_s,
            at_most_s=at_most_s,
        )

    async def _tenant(self) -> Tenant:
        async with self._store.look() as tx:
            tenant = await tx.tenant(self._operation.tenant)
        if tenant is None or tenant.id != self._operation.tenant_id:
            raise UnknownTenant(f"{self._operation.tenant} is gone.")
        if tenant.wanted is Wanted.GONE:
            raise TenantLeaving(f"{tenant.name} is being deleted.")
        return tenant

    async def _unit(self) -> Mapping[str, bytes]:
        return await self._stills.unit_files(self._operation.tenant)

    async def _manifest(self, tenant: Tenant, at: datetime, consented: bool | None) -> Manifest:
        packs: object = {}
        with suppress(ValueError):
            packs = json.loads((await self._unit()).get(PACKS, b"{}"))
        async with self._store.look() as tx:
            versions = await tx.secrets.versions(tenant.id)
            sealed = [(each, await tx.secrets.sealed(each)) for each in versions]
        return manifest_of(
            tenant,
            snapshot=self._id,
            taken_at=at,
            consented=consented,
            packs=packs if isinstance(packs, dict) else {},
            secrets=[SealedSecret(version=each, sealed=its) for each, its in sealed if its is not None],
        )

    def _snapshot(
        self,
        tenant: Tenant,
        at: datetime,
        still: Still,
        saved: Saved,
        mark: Mark | None = None,
        fingerprint: str | None = None,
    ) -> Snapshot:
        return Snapshot(
            id=self._id,
            owner=tenant.id,
            tenant=tenant.name,
            taken_at=at,
            confirmed_at=at,
            origin=self._origin,
            operation=self._operation.id,
            agent=tenant.spec.agent,
            release=tenant.spec.release,
            revision=tenant.revision,
            mark=fingerprint,
            files=saved.files_new + saved.files_changed + saved.files_unmodified,
            bytes=saved.bytes_read if mark is None else mark.size,
            bytes_added=self._added + saved.bytes_added,
            consented=_consent(still),
            frozen_ms=round((still.frozen_s or 0.0) * MS),
            copies={self._first.target: saved.id},
        )

    def _leave_out(self, tenant: Tenant) -> Sequence[str]:
        return self._seating.agent(tenant).caches()

    def _excludes(self, tenant: Tenant) -> Sequence[str]:
        return [f"{PERSISTENCE}/{path}" for path in self._leave_out(tenant)]


def _fingerprint(digest: str, manifest: Manifest, unit: Mapping[str, bytes]) -> str:
    told = hashlib.sha256(f"{digest} {manifest.essence}".encode())
    for name, content in sorted(unit.items()):
        told.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return told.hexdigest()


def _consent(still: Still) -> bool | None:
    return still.consented if still.was is State.RUNNING else None


def _is_little(files: int, size: int) -> bool:
    return files <= LITTLE_FILES and size <= LITTLE_BYTES
