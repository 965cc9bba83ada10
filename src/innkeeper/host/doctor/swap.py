"""Swap: can the memory of a sleeping tenant be given to others?"""

from __future__ import annotations

from innkeeper.host.doctor import meminfo
from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host


async def check(host: Host) -> Finding:
    """Some swap, and of which kind."""
    seen = meminfo.read_mb(host)
    size_mb = seen.get("SwapTotal", 0)
    if size_mb == 0:
        return Finding(
            name="swap",
            status=Status.WARN,
            says="there is none: a paused tenant keeps all its memory",
            fix="See `innkeeper host swap`: zram wakes tenants fastest, a swap file holds more of them.",
        )
    areas = [line.split()[0] for line in (host.read(host.proc / "swaps") or "").splitlines()[1:]]
    kind = "zram" if any("zram" in area for area in areas) else "on disk"
    return Finding(name="swap", status=Status.OK, says=f"{size_mb} MB {kind}, {seen.get('SwapFree', 0)} MB of it free")
