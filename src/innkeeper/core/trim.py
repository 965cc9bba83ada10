"""Trimming: whom to take from, while they run, what they touched only at boot; and when to leave them alone.

Three quarters of OpenClaw's memory is touched once, while it starts. Pushed to swap it costs a running tenant nothing,
unless it comes back: that is watched, and whoever fetches back what was taken is left alone for longer and longer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from innkeeper.core.instance import Usage
from innkeeper.core.ports import MemoryNow

MB = 1 << 20
TRIM_EVERY_S = 15.0
SILENT_FOR = timedelta(seconds=5)
"""Nobody may be using it at the moment: the next touch of each page costs a fetch."""
QUIET_FOR = timedelta(seconds=60)
"""It is trimmed again when it was used since and has been quiet for so long."""
GROWN_BY, GROWN_BY_MB = 0.25, 32
"""… and has grown by that share and that much: less isn't worth the while."""
THRASHES_AT_FAULTS_S = 100.0
"""Pages fetched back a second, on average since the last trim, while nobody used it: it needs what was taken."""
LONGEST_REST = timedelta(hours=8)
SWAP_KEPT_FREE = 0.1
"""Sleepers need swap more than runners do: the last tenth is theirs."""
STALLED_SHARE = 0.1
"""When so much of the time somebody waits for memory, nobody is trimmed …"""
SWAPPED_IN_A_SECOND = 5000
"""… nor while so many pages (20 MB) a second are read back, where the kernel doesn't tell who waits."""


@dataclass(frozen=True, kw_only=True)
class Trimmed:
    """A trim of a tenant that runs."""

    at: datetime
    resident_bytes: int
    """What was left in memory."""
    swapped_bytes: int
    faults: int
    """Its major faults until then."""
    rest: timedelta
    """How long it is left alone from then on."""

    def grown(self, resident_bytes: int) -> bool:
        """Whether enough has come to be worth another trim."""
        more = resident_bytes - self.resident_bytes
        return more >= GROWN_BY_MB * MB and more >= GROWN_BY * self.resident_bytes

    def looked_at(self, usage: Usage, now: datetime) -> Trimmed:
        """Looked at again, and left alone."""
        return replace(self, at=now, faults=usage.major_faults)


def is_due(
    *,
    ready_since: datetime,
    last_activity: datetime | None,
    trimmed: Trimmed | None,
    first_after: timedelta,
    now: datetime,
) -> bool:
    """Whether a tenant that is up may be trimmed now, so long `first_after` it became ready or later; pure."""
    used_at = max(ready_since, last_activity) if last_activity else ready_since
    if trimmed is None:
        return now - ready_since >= first_after and now - used_at >= SILENT_FOR
    return now - used_at >= QUIET_FOR and used_at > trimmed.at and now - trimmed.at >= trimmed.rest


def next_trim(last: Trimmed | None, before: Usage, after: Usage, now: datetime) -> Trimmed:
    """The trim that was just done; whoever had fetched much back since the last is left alone twice as long."""
    rest = QUIET_FOR
    if last is not None:
        elapsed_s = max(1.0, (now - last.at).total_seconds())
        thrashes = (before.major_faults - last.faults) / elapsed_s >= THRASHES_AT_FAULTS_S
        rest = min(LONGEST_REST, last.rest * 2) if thrashes else max(QUIET_FOR, last.rest / 2)
    return Trimmed(
        at=now,
        resident_bytes=after.rss_bytes,
        swapped_bytes=after.swap_bytes,
        faults=after.major_faults,
        rest=rest,
    )


def why_not_now(host: MemoryNow, before: MemoryNow | None, elapsed_s: float) -> str | None:
    """Why nobody is trimmed at the moment; None: go ahead."""
    if host.swap_free_mb < SWAP_KEPT_FREE * host.swap_mb:
        return f"only {host.swap_free_mb} of {host.swap_mb} MB of swap are free"
    if host.stalled_share is not None:
        if host.stalled_share > STALLED_SHARE:
            return f"{host.stalled_share:.0%} of the time somebody waits for memory"
        return None
    if before is not None and elapsed_s > 0:
        pages_s = (host.swapped_in_pages - before.swapped_in_pages) / elapsed_s
        if pages_s > SWAPPED_IN_A_SECOND:
            return f"{pages_s:.0f} pages a second are read back from swap"
    return None
