"""The host as far as capacity goes: a paper machine, this one, and containers on paper."""

from __future__ import annotations

from pathlib import Path

import pytest

from innkeeper.core.costs import Source
from innkeeper.core.hosts import Taken, emptied
from innkeeper.host.keepers import TREE_MAX, Footprint, footprints
from innkeeper.host.premises import premises

ID = "d69f" * 16
OTHER = "0a1b" * 16


def paper(root: Path, *, stored: int = 200 << 20) -> None:
    """A machine with both kinds of swap, and zram that is used for something else, too."""
    files = {
        "proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable: 12582912 kB\nSwapTotal: 1 kB\nSwapFree: 1 kB\n",
        "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n"
        "/dev/zram1 partition 8388608 60 100\n/swapfile file 4194304 0 -2\n",
        "proc/loadavg": "1.26 0.88 0.81 2/1147 27319\n",
        "proc/sys/kernel/pid_max": "32768\n",
        "proc/sys/kernel/threads-max": "190000\n",
        "proc/sys/fs/inotify/max_user_instances": "128\n",
    }
    for name, size, numbers in (
        ("zram0", 1 << 20, "99999999999 5 99999999"),
        ("zram1", 8 << 30, f"{stored} 5 {80 << 20}"),
    ):
        files[f"sys/block/{name}/disksize"] = f"{size}\n"
        files[f"sys/block/{name}/comp_algorithm"] = "[lz4]\n"
        files[f"sys/block/{name}/mm_stat"] = f"{numbers} 0 0 0 0 0 0\n"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


async def test_what_there_is(tmp_path: Path) -> None:
    paper(tmp_path)
    found = await premises(tmp_path, places=500, proc_root=tmp_path / "proc", sys_root=tmp_path / "sys")
    assert (found.memory_mb, found.used_mb) == (16384, 4096)
    assert (found.zram_mb, found.zram_takes_mb, found.swap_mb) == (8192, 80, 4096)
    assert (found.zram_ratio.mean, found.zram_ratio.source) == (2.5, Source.MEASURED)
    assert (found.tasks_allowed, found.tasks, found.inotify_allowed, found.places) == (32768, 1147, 128, 500)
    assert found.disk_free_mb > 0


async def test_zram_that_holds_next_to_nothing_tells_nothing(tmp_path: Path) -> None:
    paper(tmp_path, stored=1 << 20)
    found = await premises(tmp_path, places=500, proc_root=tmp_path / "proc", sys_root=tmp_path / "sys")
    assert (found.zram_ratio.mean, found.zram_ratio.source) == (1.0, Source.ASSUMED)


async def test_what_cant_be_told_is_none(tmp_path: Path) -> None:
    paper(tmp_path)
    for name in ("loadavg", "sys/kernel/pid_max", "sys/kernel/threads-max", "sys/fs/inotify/max_user_instances"):
        (tmp_path / "proc" / name).unlink()
    (tmp_path / "proc/swaps").write_text("Filename\n")
    found = await premises(tmp_path, places=500, proc_root=tmp_path / "proc", sys_root=tmp_path / "sys")
    assert (found.tasks_allowed, found.tasks, found.inotify_allowed) == (None, None, None)
    assert found.zram_ratio.source is Source.MISSING
    assert emptied(found, Taken(), reserve_mb=512).tasks is None


async def test_this_machine_can_be_told(tmp_path: Path) -> None:
    found = await premises(tmp_path, places=500)
    assert 0 < found.used_mb < found.memory_mb
    assert found.tasks is not None
    assert found.tasks > 1


async def test_without_its_tenants_a_host_has_what_they_take(tmp_path: Path) -> None:
    paper(tmp_path)
    found = await premises(tmp_path, places=500, proc_root=tmp_path / "proc", sys_root=tmp_path / "sys")
    host = emptied(found, Taken(resident_mb=3000, tasks=947, units_mb=100), reserve_mb=512)
    assert host.system_mb == 4096 - 3000 - 80
    assert host.tasks == 32768 - 200
    assert host.disk_mb == found.disk_free_mb + 100
    assert emptied(found, Taken(resident_mb=9000, tasks=9000), reserve_mb=512).system_mb == 0


# --- containers -------------------------------------------------------------------------------------------------------


def process(root: Path, pid: int, *, comm: str, cmdline: str = "", children: str = "", watchers: int = 0) -> None:
    folder = root / str(pid)
    (folder / f"task/{pid}").mkdir(parents=True)
    (folder / "fd").mkdir()
    (folder / "comm").write_text(comm + "\n")
    (folder / "cmdline").write_bytes(cmdline.replace(" ", "\0").encode() + b"\0")
    (folder / f"task/{pid}/children").write_text(children)
    (folder / "smaps_rollup").write_text("5500-7ffd ---p 0 00:00 0 [rollup]\nRss: 13000 kB\nPrivate_Dirty: 2560 kB\n")
    (folder / "status").write_text("Name:\tx\nThreads:\t11\n")
    for number in range(watchers):
        (folder / f"fd/{number}").symlink_to("anon_inode:inotify")
    (folder / "fd/99").symlink_to("socket:[1]")


def shim(container: str) -> str:
    return f"/usr/bin/containerd-shim-runc-v2 -namespace moby -id {container} -address /run/c.sock"


def test_a_container_is_its_keeper_and_all_that_runs_below_it(tmp_path: Path) -> None:
    process(tmp_path, 1, comm="systemd")
    process(tmp_path, 10, comm="containerd-shim", cmdline=shim(ID), children="11")
    process(tmp_path, 11, comm="tini", children="12 13")
    process(tmp_path, 12, comm="node", watchers=2)
    process(tmp_path, 13, comm="node", children="14")
    process(tmp_path, 14, comm="sh", watchers=1)
    process(tmp_path, 20, comm="containerd-shim", cmdline=shim(OTHER))
    (tmp_path / "meminfo").write_text("")
    assert footprints({ID}, proc_root=tmp_path) == {ID: Footprint(keeper_mb=2.5, keeper_tasks=11, inotify=3)}
    assert footprints({"f" * 64}, proc_root=tmp_path) == {}
    assert footprints((), proc_root=tmp_path) == {}


@pytest.mark.parametrize("lost", ["smaps_rollup", "status", "cmdline", "comm"])
def test_one_that_cant_be_looked_at_is_left_out(lost: str, tmp_path: Path) -> None:
    process(tmp_path, 10, comm="containerd-shim", cmdline=shim(ID))
    (tmp_path / "10" / lost).unlink()
    assert footprints({ID}, proc_root=tmp_path) == {}


def test_one_with_very_many_processes_is_left_out(tmp_path: Path) -> None:
    process(tmp_path, 10, comm="containerd-shim", cmdline=shim(ID), children="11")
    children = " ".join(str(1000 + number) for number in range(TREE_MAX + 1))
    process(tmp_path, 11, comm="bomb", children=children)
    assert footprints({ID}, proc_root=tmp_path) == {}
