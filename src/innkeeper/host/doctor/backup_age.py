"""Backups: is there a good one of everybody that isn't too old, and does none fail?"""

from __future__ import annotations

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

_NAMED = 3


async def check(host: Host) -> Finding:
    """Those that fail first, then those that are late."""
    if host.backup_ages is None:
        says = "the control plane, which knows them, isn't running"
        return Finding(name="backup_age", status=Status.SKIP, says=says)
    facts = await host.backup_ages()
    if facts is None:
        return Finding(name="backup_age", status=Status.SKIP, says="backups are off: no target is set")
    look = "`innkeeper backup list` tells of each; `innkeeper backup create NAME` tries at once."
    if facts.failing:
        says = f"backups of {_some(list(facts.failing))} fail: {next(iter(facts.failing.values()))}"
        return Finding(name="backup_age", status=Status.FAIL, says=says, fix=look)
    if facts.late:
        return Finding(name="backup_age", status=Status.FAIL, says=f"backups of {_some(facts.late)} are late", fix=look)
    oldest = "" if facts.oldest_h is None else f"; the oldest good one is of {facts.oldest_h:.0f} hours ago"
    never = f"; {facts.never} were never backed up, and aren't due yet" if facts.never else ""
    return Finding(name="backup_age", status=Status.OK, says=f"none is late{oldest}{never}")


def _some(names: list[str] | tuple[str, ...]) -> str:
    return f"{', '.join(names[:_NAMED])}{f' and {len(names) - _NAMED} more' if len(names) > _NAMED else ''}"
