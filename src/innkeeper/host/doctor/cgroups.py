"""Cgroups: can a tenant's memory, CPU and processes be limited, and can it be frozen?"""

from __future__ import annotations

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

NEEDED_V2 = ("cpu", "memory", "pids")  # the freezer is part of version 2 itself
NEEDED_V1 = ("cpu", "freezer", "memory", "pids")
FIX = "Mount it, or boot with `systemd.unified_cgroup_hierarchy=1` (and, on small boards, `cgroup_enable=memory`)."


async def check(host: Host) -> Finding:
    """Version 1 or 2, with every controller that a limit or a pause needs."""
    root = host.sys / "fs/cgroup"
    unified = host.read(root / "cgroup.controllers")
    if unified is not None:
        version, missing = 2, set(NEEDED_V2) - set(unified.split())
    else:
        version, missing = 1, {name for name in NEEDED_V1 if not (root / name).is_dir()}
    if missing:
        return Finding(
            name="cgroups",
            status=Status.FAIL,
            says=f"cgroup version {version} lacks {', '.join(sorted(missing))}: limits would not hold",
            fix=FIX,
        )
    return Finding(name="cgroups", status=Status.OK, says=f"version {version}, with all controllers needed")
