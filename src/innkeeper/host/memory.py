"""The host's memory as the kernel tells it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from innkeeper.core.errors import RuntimeFault
from innkeeper.core.ports import MemoryNow
from innkeeper.host.swap import MB, meminfo, zram_totals


class KernelMemory:
    """The port `HostMemory` on /proc and /sys."""

    def __init__(self, *, proc_root: Path = Path("/proc"), sys_root: Path = Path("/sys")) -> None:
        self._proc = proc_root
        self._sys = sys_root

    async def now(self) -> MemoryNow:
        """Read anew each time; RuntimeFault where there is no /proc to read."""
        try:
            return await asyncio.to_thread(self._now)
        except (OSError, KeyError, ValueError) as error:
            raise RuntimeFault(f"The kernel doesn't tell its memory: {error}") from error

    def _now(self) -> MemoryNow:
        found = meminfo(self._proc)
        stored, memory = zram_totals(self._sys)
        return MemoryNow(
            total_mb=found["MemTotal"] // MB,
            available_mb=found["MemAvailable"] // MB,
            swap_mb=found.get("SwapTotal", 0) // MB,
            swap_free_mb=found.get("SwapFree", 0) // MB,
            zram_stored_mb=stored // MB,
            zram_memory_mb=memory // MB,
            swapped_in_pages=self._swapped_in(),
            stalled_share=self._stalled(),
        )

    def _swapped_in(self) -> int:
        for line in (self._proc / "vmstat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "pswpin":
                return int(value)
        return 0

    def _stalled(self) -> float | None:
        """`some avg10=0.12 avg60=… `, in percent; the file may be there and refuse to be read where PSI is off."""
        try:
            first = (self._proc / "pressure/memory").read_text().splitlines()[0]
        except (OSError, IndexError):
            return None
        fields = dict(word.split("=", 1) for word in first.split()[1:])
        return float(fields["avg10"]) / 100
