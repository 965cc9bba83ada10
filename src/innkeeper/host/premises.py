"""This host as far as it matters for how many tenants it can hold."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from innkeeper.core.costs import Figure, Source, measured
from innkeeper.core.hosts import NOTHING_COMPRESSED, Premises
from innkeeper.host.swap import MB, AreaKind, SwapFacts, swap_facts

ENOUGH_BYTES = 64 * MB
"""zram that holds less says nothing about how well tenants compress."""


async def premises(
    data: Path, *, places: int, proc_root: Path = Path("/proc"), sys_root: Path = Path("/sys")
) -> Premises:
    """Look at this host; `data` is where the tenants' folders lie."""
    facts = await swap_facts(data, proc_root=proc_root, sys_root=sys_root)
    return await asyncio.to_thread(_put_together, facts, data, places, proc_root)


def _put_together(facts: SwapFacts, data: Path, places: int, proc_root: Path) -> Premises:
    in_zram = {area.path: area.size_bytes for area in facts.areas if area.kind is AreaKind.ZRAM}
    zrams = [zram for zram in facts.zrams if zram.device in in_zram]
    return Premises(
        memory_mb=facts.memory_bytes / MB,
        used_mb=(facts.memory_bytes - facts.available_bytes) / MB,
        cpus=os.cpu_count() or 1,
        zram_mb=sum(in_zram.values()) / MB,
        zram_takes_mb=sum(zram.memory_bytes for zram in zrams) / MB,
        zram_ratio=_ratio(sum(zram.stored_bytes for zram in zrams), sum(zram.memory_bytes for zram in zrams), in_zram),
        swap_mb=sum(area.size_bytes for area in facts.areas if area.kind is not AreaKind.ZRAM) / MB,
        disk_free_mb=shutil.disk_usage(data).free / MB,
        places=places,
        tasks_allowed=min(
            (n for name in ("pid_max", "threads-max") if (n := _number(proc_root / "sys/kernel" / name)) is not None),
            default=None,
        ),
        tasks=_tasks(proc_root),
        inotify_allowed=_number(proc_root / "sys/fs/inotify/max_user_instances"),
    )


def _ratio(stored_bytes: int, memory_bytes: int, areas: object) -> Figure:
    if not areas:
        return Figure(source=Source.MISSING, says="there is no zram; see `innkeeper host swap`")
    if stored_bytes < ENOUGH_BYTES or not memory_bytes:
        return NOTHING_COMPRESSED
    return measured([stored_bytes / memory_bytes], "")


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _tasks(proc_root: Path) -> int | None:
    """Processes and threads that there are: the last but one of `1.26 0.88 0.81 2/147 27319`."""
    try:
        return int((proc_root / "loadavg").read_text().split()[3].partition("/")[2])
    except (OSError, ValueError, IndexError):
        return None
