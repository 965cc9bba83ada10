"""Which snapshots a target keeps: the last of each day, week and month, and whatever must not go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

from innkeeper.core.backup_plans import Keep
from innkeeper.core.snapshots import Origin, Snapshot, newest_good

LOST = timedelta(days=30)
"""So long a snapshot stays of which something was lost, as it would if it were whole."""
FRESH = timedelta(days=1)
"""Younger ones all stay: somebody may have asked for one a moment ago."""

_BUCKETS: dict[str, Callable[[datetime], str]] = {
    "daily": lambda at: f"{at:%Y-%m-%d}",
    "weekly": lambda at: f"{at:%G-%V}",
    "monthly": lambda at: f"{at:%Y-%m}",
}


def to_drop(
    snapshots: Sequence[Snapshot], target: str, keep: Keep, *, now: datetime, needed_by: Collection[str] = ()
) -> Sequence[Snapshot]:
    """Those that the target needn't keep any more, of one owner's snapshots.

    Never the newest good one there, never the newest that was proven by a restore, never one that an operation in
    `needed_by` was told to keep. A snapshot stands for the days up to that on which it was last found unchanged.
    """
    there = [each for each in snapshots if target in each.copies]
    stay = {each.id for each in there if each.kept_for in needed_by or each.confirmed_at > now - FRESH}
    newest, proven = newest_good(there, target=target), _newest_proven(there)
    stay |= {each.id for each in (newest, proven) if each is not None}
    # Of what was lost in part, the rest can still be had, for a while; meanwhile nothing is pruned there.
    partly = [each for each in there if target in each.damage and each.damaged is None and each.taken_at > now - LOST]
    # What was found at a target, on a host that has lost all it knew, counts too: nobody has looked through it yet.
    good = [each for each in there if each.is_good or (each.origin is Origin.FOUND and each.damaged is None)]
    good = [each for each in good if target not in each.damage] + partly
    good.sort(key=lambda each: each.confirmed_at, reverse=True)
    for name, bucket in _BUCKETS.items():
        stay |= _last_of_each(
            good, bucket, getattr(keep, name), lambda each: each.is_good and target not in each.damage
        )
    # One that isn't good is worth something only as long as there is none that is.
    stay |= set() if newest is not None else {each.id for each in there}
    return [each for each in there if each.id not in stay]


def _newest_proven(snapshots: Sequence[Snapshot]) -> Snapshot | None:
    proven = [each for each in snapshots if each.proven_at is not None and each.is_good]
    return max(proven, key=lambda each: each.taken_at, default=None)


def _last_of_each(
    newest_first: Sequence[Snapshot],
    bucket: Callable[[datetime], str],
    count: int,
    is_better: Callable[[Snapshot], bool],
) -> set[str]:
    last: dict[str, Snapshot] = {}
    for each in newest_first:
        of = bucket(each.confirmed_at.astimezone(UTC))
        if of not in last or (is_better(each) and not is_better(last[of])):
            last[of] = each
    return {each.id for each in list(last.values())[:count]}
