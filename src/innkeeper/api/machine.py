"""What the host has and what is left of it, for the status page."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from innkeeper.api.schema import Document
from innkeeper.core.ports import MemoryNow

MB = 1 << 20


class MachineDocument(Document):
    """The host; null where it can't be told."""

    cpus: int
    load_1m: float
    memory_mb: int | None
    memory_available_mb: int | None
    swap_mb: int | None
    swap_free_mb: int | None
    zram_stored_mb: int | None
    """What lies in compressed swap, before compression; null: there is none."""
    zram_memory_mb: int | None
    """What that takes of the memory, as the kernel counts it (mm_stat's mem_used_total)."""
    disk_mb: int | None
    """The disk under the data directory."""
    disk_free_mb: int | None


def machine(data: Path, memory: MemoryNow | None) -> MachineDocument:
    """The host as it is now."""
    total, free = _disk(data)
    return MachineDocument(
        cpus=os.cpu_count() or 1,
        load_1m=round(os.getloadavg()[0], 2),
        memory_mb=memory.total_mb if memory else None,
        memory_available_mb=memory.available_mb if memory else None,
        swap_mb=memory.swap_mb if memory else None,
        swap_free_mb=memory.swap_free_mb if memory else None,
        zram_stored_mb=(memory.zram_stored_mb or None) if memory else None,
        zram_memory_mb=(memory.zram_memory_mb or None) if memory else None,
        disk_mb=total,
        disk_free_mb=free,
    )


def _disk(data: Path) -> tuple[int | None, int | None]:
    try:
        usage = shutil.disk_usage(data)
    except OSError:
        return None, None
    return usage.total // MB, usage.free // MB
