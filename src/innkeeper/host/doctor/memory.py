"""Memory: what the tenants may use together, against what there is."""

from __future__ import annotations

from innkeeper.host.doctor import meminfo
from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

WARN_BELOW_PERCENT = 10


async def check(host: Host) -> Finding:
    """The sum of all limits against RAM and swap, and how much is available now."""
    seen = meminfo.read_mb(host)
    total_mb = seen.get("MemTotal", 0)
    if not total_mb:
        return Finding(name="memory", status=Status.SKIP, says="/proc/meminfo can't be read")
    whole_mb = total_mb + seen.get("SwapTotal", 0)
    limits_mb = sum(tenant.memory_mb for tenant in host.tenants or ())
    if limits_mb > whole_mb:
        return Finding(
            name="memory",
            status=Status.WARN,
            says=f"the tenants may use {limits_mb} MB together, the host has {whole_mb} MB with swap: "
            "fine while enough of them sleep, else the kernel kills some",
            fix="Add memory or swap, lower limits, or move tenants to another host.",
        )
    available_mb = seen.get("MemAvailable", total_mb)
    if available_mb * 100 < total_mb * WARN_BELOW_PERCENT:
        return Finding(
            name="memory",
            status=Status.WARN,
            says=f"only {available_mb} MB of {total_mb} MB are available now",
            fix="See `innkeeper tenant stats` and whatever else runs here.",
        )
    return Finding(
        name="memory",
        status=Status.OK,
        says=f"{available_mb} MB of {total_mb} MB available; the tenants' limits sum up to {limits_mb} MB",
    )
