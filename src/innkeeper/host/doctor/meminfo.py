"""/proc/meminfo, for the checks of memory and swap."""

from __future__ import annotations

from innkeeper.host.doctor.host import Host


def read_mb(host: Host) -> dict[str, int]:
    """Each line of it in MB, by its name."""
    lines = (host.read(host.proc / "meminfo") or "").splitlines()
    pairs = (line.split(":", 1) for line in lines if line.endswith(" kB"))
    return {name: int(value.split()[0]) // 1024 for name, value in pairs}
