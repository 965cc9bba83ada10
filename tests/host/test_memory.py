"""The host's memory, read from the kernel's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from innkeeper.core.errors import RuntimeFault
from innkeeper.core.ports import MemoryNow
from innkeeper.host.memory import KernelMemory

MEMINFO = """\
MemTotal:       8388608 kB
MemAvailable:   4194304 kB
SwapTotal:      2097152 kB
SwapFree:       1048576 kB
HugePages_Total:       0
"""


def host(root: Path, *, pressure: str | None = None, zram: bool = True) -> KernelMemory:
    proc, sys_root = root / "proc", root / "sys"
    files = {
        proc / "meminfo": MEMINFO,
        proc / "vmstat": "nr_free_pages 7\npswpin 4242\npswpout 99\n",
        sys_root / "class/zram-control/hot_add": "",
    }
    if pressure is not None:
        files[proc / "pressure/memory"] = pressure
    if zram:
        files |= {
            sys_root / "block/zram0/disksize": "2147483648\n",
            sys_root / "block/zram0/comp_algorithm": "lzo [lz4]\n",
            sys_root / "block/zram0/mm_stat": f"{900 << 20} {370 << 20} {385 << 20} 0 0 0 0 0 0\n",
        }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return KernelMemory(proc_root=proc, sys_root=sys_root)


async def test_all_of_it(tmp_path: Path) -> None:
    pressure = "some avg10=12.50 avg60=0.10 avg300=0.00 total=1\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=1\n"
    assert await host(tmp_path, pressure=pressure).now() == MemoryNow(
        total_mb=8192,
        available_mb=4096,
        swap_mb=2048,
        swap_free_mb=1024,
        zram_stored_mb=900,
        zram_memory_mb=385,
        swapped_in_pages=4242,
        stalled_share=0.125,
    )


@pytest.mark.parametrize("pressure", [None, ""])
async def test_a_kernel_that_doesnt_tell_who_waits(tmp_path: Path, pressure: str | None) -> None:
    found = await host(tmp_path, pressure=pressure, zram=False).now()
    assert found.stalled_share is None
    assert (found.zram_stored_mb, found.zram_memory_mb) == (0, 0)


async def test_no_kernel_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFault, match="doesn't tell"):
        await KernelMemory(proc_root=tmp_path, sys_root=tmp_path).now()


async def test_this_very_host() -> None:
    found = await KernelMemory().now()
    assert 0 < found.available_mb < found.total_mb


def test_what_compressed_swap_takes_of_the_memory_by_its_measured_ratio() -> None:
    only_zram = MemoryNow(
        total_mb=1, available_mb=1, swap_mb=2000, swap_free_mb=1000, zram_stored_mb=1000, zram_memory_mb=400
    )
    assert only_zram.compressed_mb(500) == 200
    half_on_disk = MemoryNow(
        total_mb=1, available_mb=1, swap_mb=4000, swap_free_mb=2000, zram_stored_mb=1000, zram_memory_mb=400
    )
    assert half_on_disk.compressed_mb(500) == 100
    assert MemoryNow(total_mb=1, available_mb=1, swap_mb=4000, swap_free_mb=2000).compressed_mb(500) is None
