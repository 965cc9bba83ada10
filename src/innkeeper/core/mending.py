"""What is done about damage at a target: the repository is mended, what it has lost is found out, written down and
told, and what another target has whole is copied back.

It belongs to whoever holds the work lease of the owner's name. A backup does it by itself where damage was found, once
a day at the most for each target; somebody may order it at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from innkeeper.core.aftercare import Aftercare
from innkeeper.core.errors import DiskFull, Problem, StaleLease
from innkeeper.core.operations import Operation, OperationKind
from innkeeper.core.ports import Clock, Store
from innkeeper.core.ports.snapshots import Mended, Repository, SnapshotStore
from innkeeper.core.snapshot_errors import RepositoryLocked, TargetFull, TargetRefused, TargetUnreachable
from innkeeper.core.snapshots import SUSPECT, BackupState, Snapshot, newest_good
from innkeeper.core.works import Tell

MENDED = "mended"
"""Where in a work's `detail` it stands what was mended, by target."""
MENDED_AGAIN = timedelta(hours=20)
"""It reads all of a repository: where that didn't help, it isn't done again before the next night."""
_GONE = "Its own file was damaged, or is gone."
_NAMED = 5
_ANOTHER_TIME = (DiskFull, RepositoryLocked, StaleLease, TargetFull, TargetRefused, TargetUnreachable)
"""What has nothing to do with the damage: it is tried again with the next attempt."""


class Mending:
    """Mends the repositories of one owner at a time."""

    def __init__(
        self, *, store: Store, snapshots: SnapshotStore, aftercare: Aftercare, clock: Clock, by_itself: bool = True
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._aftercare = aftercare
        self._clock = clock
        self._by_itself = by_itself

    async def may(self, owner: str, target: str) -> bool:
        """Whether it may be done there by itself."""
        async with self._store.look() as tx:
            state = await tx.snapshots.state(owner)
        last = None if state is None else state.mended.get(target)
        return self._by_itself and (last is None or abs(self._clock.now() - last) >= MENDED_AGAIN)

    async def is_due(self, owner: str, target: str, tell: Tell) -> bool:
        """Whether damage was found there that nobody has mended and that may be by itself; or the work was at it."""
        begun = tell.operation.detail.get(MENDED, {})
        if target in begun:
            return begun[target] is None
        async with self._store.look() as tx:
            found = await tx.snapshots.of(owner)
        return any(each.damage.get(target) == SUSPECT for each in found) and await self.may(owner, target)

    async def mend(self, operation: Operation, target: str, tell: Tell, *, found: bool = True) -> None:
        """Mend the one at that target; tells what was lost, and in any case where damage was `found` before.
        TargetRefused where it is of another key."""
        owner = operation.tenant_id

        def step(what: str) -> None:
            tell.step(f"mending the repository at {target}: {what}", 0, 4)

        step("looking at it")
        await self._keep(tell, target, None)
        try:
            mended = await self._snapshots.mend(Repository(target=target, owner=owner), tell=step)
            step("finding out what was lost")
            lost = await self.look(operation, target)
        except _ANOTHER_TIME:
            raise
        except Problem:
            await self._stamp(operation, target)
            raise
        await self._stamp(operation, target)
        if found or mended.aside or mended.anew or lost:
            self._aftercare.alert(operation.tenant, "backup.mended", _says(operation.tenant, target, mended, lost))
        done = {"aside": len(mended.aside), "anew": mended.anew, "damaged": [each.id for each in lost]}
        await self._keep(tell, target, done)

    async def _keep(self, tell: Tell, target: str, done: Mapping[str, Any] | None) -> None:
        await tell.keep(**{MENDED: {**tell.operation.detail.get(MENDED, {}), target: done}})

    async def settle(self, operation: Operation, tell: Tell) -> None:
        """What is left to be done after that, with a fresh snapshot there: what is whole elsewhere comes back, and what
        has become whole by it is called so. What couldn't be got the last time is tried again."""
        async with self._store.look() as tx:
            found = await tx.snapshots.of(operation.tenant_id)
        for target in self._snapshots.targets:
            partly = self._by_itself and any(
                each.is_good and each.damage.get(target, SUSPECT) != SUSPECT for each in found
            )
            if partly or target in tell.operation.detail.get(MENDED, {}):
                await self._from_elsewhere(operation, target, tell)
                await self.look(operation, target)

    async def look(self, operation: Operation, target: str) -> Sequence[Snapshot]:
        """Write down which snapshots lack something there, and which don't; those that do."""
        owner = operation.tenant_id
        repository = Repository(target=target, owner=owner)
        lacking = await self._snapshots.lacking(repository)
        listed = {each.id for each in await self._snapshots.listing(repository)}
        lost: list[Snapshot] = []
        async with self._store.begin() as tx:
            found = [each for each in await tx.snapshots.of(owner) if target in each.copies]
            there = [_looked_at(each, target, lacking, listed) for each in found]
            for before, now in zip(found, there, strict=True):
                if now != before:
                    await tx.snapshots.put(now)
                lost += [now] if target in now.damage else []
            strays = sorted(lacking.keys() - {each.copies[target] for each in there})
            state = await tx.snapshots.state(owner) or BackupState(owner=owner, tenant=operation.tenant)
            newest = newest_good(there, target=target)
            good = {place: at for place, at in state.good.items() if place != target}
            good |= {} if newest is None else {target: newest.confirmed_at}
            live = None if state.live in strays or (target == self._first and state.live not in listed) else state.live
            await tx.snapshots.put_state(replace(state, good=good, live=live))
        # Of no use to anybody, and in the way of what is to be copied in their place.
        await self._snapshots.forget(repository, strays)
        return lost

    @property
    def _first(self) -> str:
        return self._snapshots.targets[0]

    async def _from_elsewhere(self, operation: Operation, target: str, tell: Tell) -> None:
        async with self._store.look() as tx:
            found = await tx.snapshots.of(operation.tenant_id)
        for each in [each for each in found if target in each.damage and each.is_good]:
            tell.step(f"fetching what {target} has lost", 3, 4)
            source = next(iter(each.whole_at))
            lacks = await self._snapshots.lacking(Repository(target=source, owner=each.owner))
            if each.copies[source] not in lacks:
                await self._aftercare.copy_over(each, target)

    async def _stamp(self, operation: Operation, target: str) -> None:
        async with self._store.begin() as tx:
            state = await tx.snapshots.state(operation.tenant_id)
            state = state or BackupState(owner=operation.tenant_id, tenant=operation.tenant)
            await tx.snapshots.put_state(replace(state, mended={**state.mended, target: self._clock.now()}))


class Repairing:
    """Mends by order."""

    kind = OperationKind.REPAIR

    def __init__(self, *, store: Store, snapshots: SnapshotStore, mending: Mending) -> None:
        self._store = store
        self._snapshots = snapshots
        self._mending = mending

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """The owner's repositories, at the target that it names or at all."""
        only = operation.detail.get("target")
        for target in [each for each in self._snapshots.targets if only in (None, each)]:
            if tell.operation.detail.get(MENDED, {}).get(target) is None:
                await self._mending.mend(operation, target, tell, found=False)
        await self._mending.settle(operation, tell)
        async with self._store.look() as tx:
            found = await tx.snapshots.of(operation.tenant_id)
        return {
            "repaired": tell.operation.detail.get(MENDED, {}),
            "whole": [each.id for each in found if each.is_good],
            "damaged": {each.id: sorted(each.damage) for each in found if each.damage},
        }


def _looked_at(each: Snapshot, target: str, lacking: Mapping[str, str], listed: set[str]) -> Snapshot:
    there = each.copies[target]
    return each.lost_at(target, lacking.get(there) if there in listed else _GONE)


def _says(tenant: str, target: str, mended: Mended, lost: Sequence[Snapshot]) -> str:
    whose = tenant or "the control plane's database"
    done = f"{len(mended.aside)} damaged files were put aside"
    if mended.anew:
        done = "nothing of it could be read, so it was put aside as a whole and begun anew"
    said = f"The repository of {whose} at the target {target} was damaged and is mended: {done}."
    if not lost:
        return f"{said} No snapshot was lost."
    names = ", ".join(each.id for each in lost[:_NAMED]) + (" …" if len(lost) > _NAMED else "")
    elsewhere = sum(bool(each.whole_at) for each in lost)
    return f"{said} {len(lost)} snapshots there have lost something ({names}); {elsewhere} of them are whole elsewhere."
