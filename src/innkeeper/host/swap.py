"""Which swap this host has, and which it should have: zram first, for quick wakes, and disk below it, for many."""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

MB = 1024 * 1024
ALGORITHMS = ("lz4", "lzo-rle")
"""The best first: all that was measured, wakes and sizes alike, was measured with the first."""
SMALLEST_FILE_MB = 256
DISK_SHARE = 4
"""A swap file takes at most this part of the free disk."""


class AreaKind(StrEnum):
    """Where a swap area lies."""

    ZRAM = "zram"
    PARTITION = "partition"
    FILE = "file"


@dataclass(frozen=True, kw_only=True)
class SwapArea:
    """One line of /proc/swaps."""

    path: str
    kind: AreaKind
    size_bytes: int
    used_bytes: int
    priority: int


@dataclass(frozen=True, kw_only=True)
class Zram:
    """A compressed disk in memory that is set up, as swap or for anything else."""

    device: str
    algorithm: str
    size_bytes: int
    stored_bytes: int
    """What was written to it."""
    compressed_bytes: int
    memory_bytes: int
    """What it takes of the host's memory for that, its own losses included."""


@dataclass(frozen=True, kw_only=True)
class Zswap:
    """The kernel's compressed cache in front of swap."""

    enabled: bool
    compressor: str
    stored_bytes: int
    memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class SwapFacts:
    """All that `advice` judges by and `innkeeper host swap` shows."""

    memory_bytes: int
    available_bytes: int
    swap_bytes: int
    free_bytes: int
    areas: tuple[SwapArea, ...]
    zrams: tuple[Zram, ...]
    zram_possible: bool
    zram_algorithms: tuple[str, ...]
    """Empty when no device is there to ask."""
    zswap: Zswap | None
    """None: not in this kernel."""
    disk_free_bytes: int
    """Under the folder where a swap file would lie."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What to add to the swap that there is; 0 bytes: none of that kind."""

    zram_bytes: int
    zram_algorithm: str | None
    """None: the kernel's own choice."""
    file_bytes: int
    why: tuple[str, ...]


def advice(facts: SwapFacts) -> Advice:
    """zram of half the memory, a file as large as the memory; whichever is there already stays as it is."""
    zram_bytes, about_zram = _zram(facts)
    file_bytes, about_file = _file(facts)
    known = (name for name in ALGORITHMS if name in facts.zram_algorithms)
    return Advice(
        zram_bytes=zram_bytes,
        zram_algorithm=next(known, None) if zram_bytes else None,
        file_bytes=file_bytes,
        why=(about_zram, about_file),
    )


def _zram(facts: SwapFacts) -> tuple[int, str]:
    if any(area.kind is AreaKind.ZRAM for area in facts.areas):
        return 0, "zram: there is some already."
    if facts.zswap is not None and facts.zswap.enabled:
        return 0, "zram: not beside zswap, which compresses in memory already and would do it twice."
    if not facts.zram_possible:
        return 0, "zram: the kernel shows none; if it has it as a module, `modprobe zram` and ask again."
    size_bytes = _whole_mb(facts.memory_bytes // 2)
    return size_bytes, (
        f"zram: {size_bytes // MB} MB, half of the memory. Tenants wake from it quickest; what they leave there "
        "takes about two fifths of its size in memory."
    )


def _file(facts: SwapFacts) -> tuple[int, str]:
    if any(area.kind is not AreaKind.ZRAM for area in facts.areas):
        return 0, "disk: there is swap on disk already."
    size_bytes = _whole_mb(min(facts.memory_bytes, facts.disk_free_bytes // DISK_SHARE))
    if size_bytes < SMALLEST_FILE_MB * MB:
        return 0, f"disk: only {facts.disk_free_bytes // MB} MB are free where the file would lie."
    return size_bytes, (
        f"disk: a file of {size_bytes // MB} MB, used when zram is full. Wakes from it take seconds. "
        "What tenants hold in memory gets written there: keep it on an encrypted disk."
    )


def _whole_mb(size_bytes: int) -> int:
    return size_bytes // MB * MB


async def swap_facts(folder: Path, *, proc_root: Path = Path("/proc"), sys_root: Path = Path("/sys")) -> SwapFacts:
    """Look at this host; `folder` is where a swap file would lie."""
    return await asyncio.to_thread(_look, folder, proc_root, sys_root)


def _look(folder: Path, proc_root: Path, sys_root: Path) -> SwapFacts:
    memory = meminfo(proc_root)
    devices = zram_devices(sys_root)
    return SwapFacts(
        memory_bytes=memory["MemTotal"],
        available_bytes=memory["MemAvailable"],
        swap_bytes=memory.get("SwapTotal", 0),
        free_bytes=memory.get("SwapFree", 0),
        areas=swap_areas(proc_root),
        zrams=tuple(zram for device in devices if (zram := _zram_in_use(device)) is not None),
        zram_possible=bool(devices) or (sys_root / "class/zram-control").is_dir(),
        zram_algorithms=_algorithms(devices[0])[0] if devices else (),
        zswap=_zswap(sys_root / "module/zswap/parameters", memory),
        disk_free_bytes=shutil.disk_usage(folder).free,
    )


def free_swap_bytes(proc_root: Path) -> tuple[int, int]:
    """How much swap there is, and how much of it is free."""
    memory = meminfo(proc_root)
    return memory.get("SwapTotal", 0), memory.get("SwapFree", 0)


def available_bytes(proc_root: Path) -> int:
    """How much memory could be had without swapping."""
    return meminfo(proc_root)["MemAvailable"]


def swap_areas(proc_root: Path) -> tuple[SwapArea, ...]:
    """Every area in use; none on a kernel without swap."""
    swaps = proc_root / "swaps"
    lines = swaps.read_text().splitlines()[1:] if swaps.exists() else []
    return tuple(_area(*line.split()) for line in lines)


def zram_totals(sys_root: Path) -> tuple[int, int]:
    """What all zram devices together hold, before compression, and what they take of the memory for it."""
    zrams = [zram for device in zram_devices(sys_root) if (zram := _zram_in_use(device)) is not None]
    return sum(zram.stored_bytes for zram in zrams), sum(zram.memory_bytes for zram in zrams)


def zram_devices(sys_root: Path) -> list[Path]:
    """The kernel's folder of each zram device, set up or not."""
    return sorted((sys_root / "block").glob("zram*"), key=lambda folder: int(folder.name.removeprefix("zram")))


def _area(path: str, kind: str, size_kb: str, used_kb: str, priority: str) -> SwapArea:
    # The kernel writes a space in a name as \040.
    name = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)
    is_zram = re.fullmatch(r"/dev/zram\d+", name) is not None
    return SwapArea(
        path=name,
        kind=AreaKind.ZRAM if is_zram else AreaKind(kind),
        size_bytes=int(size_kb) * 1024,
        used_bytes=int(used_kb) * 1024,
        priority=int(priority),
    )


def _zram_in_use(device: Path) -> Zram | None:
    size_bytes = int((device / "disksize").read_text())
    if not size_bytes:
        return None
    stored, compressed, memory = (int(word) for word in (device / "mm_stat").read_text().split()[:3])
    return Zram(
        device=f"/dev/{device.name}",
        algorithm=_algorithms(device)[1],
        size_bytes=size_bytes,
        stored_bytes=stored,
        compressed_bytes=compressed,
        memory_bytes=memory,
    )


def _algorithms(device: Path) -> tuple[tuple[str, ...], str]:
    """Those that the kernel offers, and the one chosen: `lzo [lz4]`."""
    words = (device / "comp_algorithm").read_text().split()
    chosen = next((word.strip("[]") for word in words if word.startswith("[")), "")
    return tuple(word.strip("[]") for word in words), chosen


def _zswap(parameters: Path, memory: dict[str, int]) -> Zswap | None:
    if not parameters.is_dir():
        return None
    return Zswap(
        enabled=(parameters / "enabled").read_text().strip() == "Y",
        compressor=(parameters / "compressor").read_text().strip(),
        stored_bytes=memory.get("Zswapped", 0),
        memory_bytes=memory.get("Zswap", 0),
    )


def meminfo(proc_root: Path) -> dict[str, int]:
    """In bytes, by name; the few lines that count pages rather than kB are left out."""
    pairs = (line.split(":", 1) for line in (proc_root / "meminfo").read_text().splitlines() if line.endswith(" kB"))
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}
