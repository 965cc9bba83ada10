"""Usage from the kernel's files, on made-up trees of cgroup v1 and v2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from innkeeper.core.errors import RuntimeFault
from innkeeper.core.instance import Usage
from innkeeper.runtimes.cgroups import Cgroups

ID = "f" * 64


def tree(root: Path, files: Mapping[str, str]) -> Cgroups:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Cgroups(root=root / "cgroup", proc=root / "proc")


def v2_files(path: str) -> dict[str, str]:
    return {
        "proc/7/cgroup": f"0::/{path}\n",
        f"cgroup/{path}/memory.current": "5000\n",
        f"cgroup/{path}/memory.stat": "anon 3000\nfile 2000\nkernel 10\n",
        f"cgroup/{path}/memory.swap.current": "700\n",
        f"cgroup/{path}/cpu.stat": "usage_usec 2500000\nuser_usec 2000000\n",
        f"cgroup/{path}/pids.current": "12\n",
    }


@pytest.mark.parametrize("path", [f"system.slice/docker-{ID}.scope", f"docker/{ID}"])
def test_v2(tmp_path: Path, path: str) -> None:
    usage = tree(tmp_path, v2_files(path)).usage(7)
    assert usage == Usage(memory_bytes=5000, rss_bytes=3000, swap_bytes=700, cpu_s=2.5, pids=12)


def test_v2_on_a_kernel_without_swap(tmp_path: Path) -> None:
    files = v2_files(f"docker/{ID}")
    del files[f"cgroup/docker/{ID}/memory.swap.current"]
    assert tree(tmp_path, files).usage(7).swap_bytes == 0


@pytest.mark.parametrize("cpu_mount", ["cpuacct", "cpu,cpuacct"])
def test_v1(tmp_path: Path, cpu_mount: str) -> None:
    cgroups = tree(
        tmp_path,
        {
            "proc/7/cgroup": f"9:pids:/docker/{ID}\n5:memory:/docker/{ID}\n3:cpu,cpuacct:/docker/{ID}\n0::/\n",
            f"cgroup/memory/docker/{ID}/memory.usage_in_bytes": "5000\n",
            f"cgroup/memory/docker/{ID}/memory.stat": "cache 2000\nrss 1\ntotal_rss 3000\ntotal_swap 700\n",
            f"cgroup/{cpu_mount}/docker/{ID}/cpuacct.usage": "2500000000\n",
            f"cgroup/pids/docker/{ID}/pids.current": "12\n",
        },
    )
    assert cgroups.usage(7) == Usage(memory_bytes=5000, rss_bytes=3000, swap_bytes=700, cpu_s=2.5, pids=12)


def test_a_process_that_has_ended_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFault, match="process 7"):
        tree(tmp_path, {"cgroup/x": ""}).usage(7)
