"""What the host has and what is left of it, for the status page."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from innkeeper.api.schema import Document

MB = 1 << 20


class MachineDocument(Document):
    """The host; null where it can't be told."""

    cpus: int
    load_1m: float
    memory_mb: int | None
    memory_available_mb: int | None
    swap_mb: int | None
    swap_free_mb: int | None
    disk_mb: int | None
    """The disk under the data directory."""
    disk_free_mb: int | None


def machine(data: Path, *, meminfo: Path = Path("/proc/meminfo")) -> MachineDocument:
    """The host as it is now."""
    memory = _meminfo(meminfo)
    total, free = _disk(data)
    return MachineDocument(
        cpus=os.cpu_count() or 1,
        load_1m=round(os.getloadavg()[0], 2),
        memory_mb=memory.get("MemTotal"),
        memory_available_mb=memory.get("MemAvailable"),
        swap_mb=memory.get("SwapTotal"),
        swap_free_mb=memory.get("SwapFree"),
        disk_mb=total,
        disk_free_mb=free,
    )


def _meminfo(file: Path) -> dict[str, int]:
    """The kernel's table, in MB."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if line.endswith(" kB"))
    return {name: int(value.split()[0]) // 1024 for name, value in pairs}


def _disk(data: Path) -> tuple[int | None, int | None]:
    try:
        usage = shutil.disk_usage(data)
    except OSError:
        return None, None
    return usage.total // MB, usage.free // MB
