"""Damage at a target of which nobody knows yet what it has taken."""

from __future__ import annotations

from dataclasses import replace

from innkeeper.core.ports import Transaction
from innkeeper.core.snapshots import SUSPECT


async def suspect(tx: Transaction, owner: str, target: str) -> None:
    """Write down that there is some: no copy of theirs there counts as good until the next backup has mended it."""
    for each in await tx.snapshots.of(owner):
        if target in each.whole_at:
            await tx.snapshots.put(each.lost_at(target, SUSPECT))
    if (state := await tx.snapshots.state(owner)) is not None:
        good = {place: at for place, at in state.good.items() if place != target}
        await tx.snapshots.put_state(replace(state, good=good))
