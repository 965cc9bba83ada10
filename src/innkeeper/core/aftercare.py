"""What is done with a snapshot once it is there: looked through, copied, and dropped when its time is over.

All of it is for whoever holds the work lease of its owner's name: nobody else works on those repositories then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from innkeeper.core.backup_plans import BackupPlan, Keep
from innkeeper.core.events import AlertRaised, Bus
from innkeeper.core.ids import is_id, new_id
from innkeeper.core.manifest import PERSISTENCE
from innkeeper.core.ports import Clock, Store
from innkeeper.core.ports.snapshots import Kept, Repository, SnapshotStore
from innkeeper.core.ports.stills import Stills
from innkeeper.core.retention import to_drop
from innkeeper.core.snapshot_errors import SnapshotDamaged
from innkeeper.core.snapshots import SUSPECT, BackupState, Origin, Snapshot
from innkeeper.core.suspicion import suspect
from innkeeper.core.taking import LIVE, STILL, Take
from innkeeper.core.works import Tell

SHARES = 30
"""Into so many parts the data is divided: with one a night all of it is read again within a month."""
VERIFIED_AGAIN = timedelta(days=7)
"""One that goes on being the newest is looked through again so often."""
PRUNED_AGAIN = timedelta(days=7)
"""Pruning rewrites files: what isn't referred to may lie for a while."""
Change = Callable[[Snapshot], Snapshot]
_GLOBS = set("*?[\\")


class Aftercare:
    """Looks after the snapshots of one owner at a time."""

    def __init__(self, *, store: Store, snapshots: SnapshotStore, stills: Stills, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._snapshots = snapshots
        self._stills = stills
        self._bus = bus
        self._clock = clock

    # --- whether it is what was written -------------------------------------------------------------------------------

    async def unsound(self, take: Take, operation: str) -> tuple[int, Mapping[str, str]]:
        """How many SQLite files of it are whole, and by path what is wrong with those that aren't."""
        paths = [path for path in take.journals if not _GLOBS & set(path)]
        databases = [path for path in take.databases if not _GLOBS & set(path)]
        if not databases:
            return 0, {}
        target, there = next(iter(take.snapshot.copies.items()))
        room = await self._stills.room(operation, "databases")
        await self._snapshots.restore(
            Repository(target=target, owner=take.snapshot.owner),
            there,
            room,
            paths=[f"{PERSISTENCE}/{path}" for path in paths],
        )
        found = await self._stills.unsound(room / PERSISTENCE.strip("/"), databases)
        return len(databases) - len(found), found

    async def verify(self, snapshot: Snapshot, target: str, *, whole: bool = False) -> None:
        """Whether all that is there refers to something, and a part of the data (or `whole`) is what was written.

        SnapshotDamaged, of which an alert tells, too.
        """
        repository = Repository(target=target, owner=snapshot.owner)
        state = await self._state(snapshot)
        try:
            share = (1, 1) if whole else (state.shares % SHARES + 1, SHARES)
            await self._snapshots.check(repository, share=share, despite=await self._lost(snapshot.owner, target))
        except SnapshotDamaged as problem:
            await self.suspect(snapshot, target)
            self.alert(snapshot.tenant, "backup.damaged", f"At the target {target}: {problem.message}")
            raise

    async def suspect(self, snapshot: Snapshot, target: str) -> None:
        """Write down that there is damage at that target."""
        async with self._store.begin() as tx:
            await suspect(tx, snapshot.owner, target)

    async def _lost(self, owner: str, target: str) -> Sequence[str]:
        """The copies there of which it is known what they lack."""
        async with self._store.look() as tx:
            found = await tx.snapshots.of(owner)
        return [each.copies[target] for each in found if each.damage.get(target, SUSPECT) != SUSPECT]

    async def copy(self, snapshot: Snapshot, target: str, tell: Tell) -> Snapshot:
        """The snapshot with a copy at that target; it may have one already."""
        if target in snapshot.whole_at:
            return snapshot
        tell.step(f"copying to {target}", 3, 4)
        await self._snapshots.ready(Repository(target=target, owner=snapshot.owner))
        return await self.copy_over(snapshot, target)

    async def copy_over(self, snapshot: Snapshot, target: str) -> Snapshot:
        """The same in place of a copy that has lost something."""
        source, there = next(iter(snapshot.whole_at.items()))
        repository = Repository(target=target, owner=snapshot.owner)
        if (lost := snapshot.copies.get(target)) is not None:
            await self._snapshots.forget(repository, [lost])
        copied = await self._snapshots.copy(Repository(target=source, owner=snapshot.owner), repository, there)
        await self.verify(snapshot, target)
        return await self.put(
            snapshot.id,
            lambda now: replace(now, copies={**now.copies, target: copied}).lost_at(target, None),
        )

    async def lost(self, owner: str, tenant: str, target: str) -> bool:
        """Whether the repository there is gone, which held snapshots: those are forgotten of, and an alert tells.

        SnapshotDamaged where something is left of it, which can be mended.
        """
        repository = Repository(target=target, owner=owner)
        async with self._store.look() as tx:
            known = [each for each in await tx.snapshots.of(owner) if target in each.copies]
        if not known or await self._snapshots.exists(repository):
            return False
        if await self._snapshots.lies(repository):
            raise SnapshotDamaged(f"The repository at the target {target} has no config any more.")
        async with self._store.begin() as tx:
            for each in await tx.snapshots.of(owner):
                left = each.without(target)
                await (tx.snapshots.put(left) if left.copies else tx.snapshots.drop([each.id]))
            if (state := await tx.snapshots.state(owner)) is not None:
                good = {place: of for place, of in state.good.items() if place != target}
                live = None if target == self._snapshots.targets[0] else state.live
                await tx.snapshots.put_state(replace(state, good=good, live=live))
        whose = tenant or "the control plane's database"
        self.alert(tenant, "backup.lost", f"Nothing is left at the target {target} of {whose}, which had {len(known)}.")
        return True

    async def dropped(self, snapshot: Snapshot, target: str) -> bool:
        """Whether somebody else has dropped its copy there, which is told."""
        listed = await self._snapshots.listing(Repository(target=target, owner=snapshot.owner))
        if snapshot.copies[target] in {each.id for each in listed}:
            return False
        self.alert(snapshot.tenant, "backup.lost", f"{snapshot.id} doesn't lie at the target {target} any more.")
        return True

    async def tell_broken(self, snapshot: Snapshot) -> None:
        """Alert once when other databases of the tenant are broken than before."""
        async with self._store.look() as tx:
            before = [each for each in await tx.snapshots.of(snapshot.owner) if each.id != snapshot.id]
        if snapshot.broken and (not before or before[0].broken.keys() != snapshot.broken.keys()):
            names = ", ".join(sorted(snapshot.broken))[:400]
            says = f"{snapshot.tenant} has SQLite files that aren't whole, and so has its backup: {names}"
            self.alert(snapshot.tenant, "backup.databases", says)

    # --- what is known of it ------------------------------------------------------------------------------------------

    async def add(self, snapshot: Snapshot) -> Snapshot:
        """Write it down."""
        async with self._store.begin() as tx:
            await tx.snapshots.put(snapshot)
        return snapshot

    async def put(self, snapshot_id: str, change: Change) -> Snapshot:
        """Write down what has changed of it; others may have written meanwhile that it is proven, or needed."""
        async with self._store.begin() as tx:
            now = await tx.snapshots.get(snapshot_id)
            if now is None:
                raise SnapshotDamaged(f"The snapshot {snapshot_id} was dropped meanwhile.")
            if (changed := change(now)) != now:
                await tx.snapshots.put(changed)
        return changed

    async def good(self, snapshot: Snapshot, targets: Iterable[str], *, read: bool) -> None:
        """Write down that the snapshot is the newest good one there; `read`: a part of the data was read again."""
        async with self._store.begin() as tx:
            state = await tx.snapshots.state(snapshot.owner)
            state = state or BackupState(owner=snapshot.owner, tenant=snapshot.tenant)
            good = {**state.good, **dict.fromkeys(targets, snapshot.confirmed_at)}
            await tx.snapshots.put_state(replace(state, good=good, shares=state.shares + read))

    async def _state(self, snapshot: Snapshot) -> BackupState:
        async with self._store.look() as tx:
            found = await tx.snapshots.state(snapshot.owner)
        return found or BackupState(owner=snapshot.owner, tenant=snapshot.tenant)

    def alert(self, tenant: str, code: str, says: str) -> None:
        """Somebody has to look."""
        self._bus.publish(AlertRaised(tenant=tenant, code=code, says=says))

    # --- its end ------------------------------------------------------------------------------------------------------

    async def retain(self, owner: str, plan: BackupPlan, *, prune: bool = False) -> int:
        """Drop what the plan doesn't keep any more, at every target; how many snapshots. `prune`: tidy up now."""
        dropped = 0
        state = None
        for target in self._snapshots.targets:
            async with self._store.look() as tx:
                found, state = await tx.snapshots.of(owner), await tx.snapshots.state(owner)
                open_ = [each.id for each in await tx.operations(open_only=True)]
            old = to_drop(found, target, plan.keep.get(target, Keep(daily=7)), now=self._clock.now(), needed_by=open_)
            await self._drop(owner, target, old)
            dropped += len(old)
        last = state.pruned_at if state is not None else None
        if state is not None and (prune or (dropped and (last is None or last < self._clock.now() - PRUNED_AGAIN))):
            await self.prune(state)
        return dropped

    async def unlock(self, owner: str) -> None:
        """Remove what dead processes have locked: whoever calls this holds the lease, so nobody else works there."""
        for target in self._snapshots.targets:
            repository = Repository(target=target, owner=owner)
            if await self._snapshots.exists(repository):
                await self._snapshots.unlock(repository)

    async def prune(self, state: BackupState) -> None:
        """Drop what nothing is known of and what nobody refers to, at every target."""
        await self.adopt(state.owner, state.tenant)
        for target in self._snapshots.targets:
            repository = Repository(target=target, owner=state.owner)
            strays = [each.id for each in await self._snapshots.listing(repository) if LIVE in each.tags]
            await self._snapshots.forget(repository, [each for each in strays if each != state.live])
            # While a snapshot is kept that lacks something, restic prunes nothing, lest more be lost.
            if await self._snapshots.exists(repository) and not await self._lacks(repository):
                await self._snapshots.prune(repository)
        async with self._store.begin() as tx:
            now = await tx.snapshots.state(state.owner) or state
            await tx.snapshots.put_state(replace(now, pruned_at=self._clock.now()))

    async def _lacks(self, repository: Repository) -> bool:
        if not await self._lost(repository.owner, repository.target):
            return False
        return bool(await self._snapshots.lacking(repository))

    async def _drop(self, owner: str, target: str, old: Collection[Snapshot]) -> None:
        if not old:
            return
        # Forgotten first: that a known one isn't there is found out, but not the other way round.
        await self._snapshots.forget(Repository(target=target, owner=owner), [each.copies[target] for each in old])
        async with self._store.begin() as tx:
            for each in old:
                now = await tx.snapshots.get(each.id)
                if now is None:
                    continue
                left = now.without(target)
                await (tx.snapshots.put(left) if left.copies else tx.snapshots.drop([now.id]))

    # --- what lies there and isn't known ------------------------------------------------------------------------------

    async def adopt(self, owner: str, tenant: str) -> int:
        """Write down the snapshots that lie at the targets and aren't known, as on an empty host, and forget of those
        that are known where they don't lie any more; how many came to be known. They count as good once verified."""
        found = 0
        for target in self._snapshots.targets:
            listed = await self._snapshots.listing(Repository(target=target, owner=owner))
            async with self._store.begin() as tx:
                known = {each.id: each for each in await tx.snapshots.of(owner)}
                open_ = {f"op={each.id}" for each in await tx.operations(open_only=True)}
                there = {each.id for each in listed}
                for each in listed:
                    if STILL not in each.tags or each.tags & open_:
                        continue
                    its = _id_in(each)
                    of = known.get(its) or next((s for s in known.values() if s.copies.get(target) == each.id), None)
                    if of is None:
                        of, found = _adopted(each, its, owner, tenant), found + 1
                    if of.copies.get(target) != each.id:
                        known[of.id] = of = replace(of, copies={**of.copies, target: each.id})
                        await tx.snapshots.put(of)
                for of in [each for each in known.values() if each.copies.get(target, "") not in ("", *there)]:
                    left = of.without(target)
                    await (tx.snapshots.put(left) if left.copies else tx.snapshots.drop([of.id]))
        return found

    async def drop_strays(self, owner: str, operation: str) -> None:
        """Remove what an earlier attempt of that operation has saved and nobody has looked at."""
        repository = Repository(target=self._snapshots.targets[0], owner=owner)
        listed = [each for each in await self._snapshots.listing(repository) if f"op={operation}" in each.tags]
        async with self._store.look() as tx:
            known = {there for each in await tx.snapshots.of(owner) for there in each.copies.values()}
        await self._snapshots.forget(
            repository, [each.id for each in listed if STILL in each.tags and each.id not in known]
        )


def _id_in(kept: Kept) -> str:
    told = [tag.removeprefix("id=") for tag in kept.tags if tag.startswith("id=")]
    return told[0] if told and is_id("snap", told[0]) else new_id("snap")


def _adopted(kept: Kept, snapshot_id: str, owner: str, tenant: str) -> Snapshot:
    return Snapshot(
        id=snapshot_id,
        owner=owner,
        tenant=kept.name or tenant,
        taken_at=kept.at,
        confirmed_at=kept.at,
        origin=Origin.FOUND,
    )
