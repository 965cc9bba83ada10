"""inotify: all tenants run under one user id and share what the kernel allows it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

TENANTS_UID = 1000
"""The user of every tenant's container. Docker doesn't map ids, so it is the host's user of that number, too."""
WARN_FROM_PERCENT = 80
ALLOWED = "sys/fs/inotify/max_user_instances"


async def check(host: Host) -> Finding:
    """How many instances are in use, against how many there may be."""
    allowed = host.read(host.proc / ALLOWED)
    if allowed is None:
        return Finding(name="inotify", status=Status.SKIP, says="the kernel doesn't tell what it allows")
    in_use = await asyncio.to_thread(_in_use, host.proc)
    says = f"{in_use} of {int(allowed)} file watchers that user {TENANTS_UID}, all tenants together, may have"
    if in_use * 100 < int(allowed) * WARN_FROM_PERCENT:
        return Finding(name="inotify", status=Status.OK, says=says)
    return Finding(
        name="inotify",
        status=Status.WARN,
        says=f"{says}; beyond that no agent can watch its files, and some don't start",
        fix="Allow more: `sysctl -w fs.inotify.max_user_instances=8192`, and put it into /etc/sysctl.d to stay.",
    )


def _in_use(proc: Path) -> int:
    return sum(_of(folder) for folder in proc.iterdir() if folder.name.isdecimal())


def _of(folder: Path) -> int:
    """Of one process; none where it has ended, or isn't ours to look at."""
    try:
        if folder.stat().st_uid != TENANTS_UID:
            return 0
        return sum(str(each.readlink()) == "anon_inode:inotify" for each in (folder / "fd").iterdir())
    except OSError:
        return 0
