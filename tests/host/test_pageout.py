"""Paging out: the cgroup's files and the batches on paper, and a real container's memory for real."""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import aiodocker
import httpx2
import pytest

from innkeeper.core.instance import Instance, State
from innkeeper.core.tenant import Limits
from innkeeper.host import madvise
from innkeeper.host.memory_cgroup import cgroup_of
from innkeeper.host.pageout import PageOut
from innkeeper.host.swap import MB
from tests.host.own_swap import zram_swap
from tests.support.docker_bench import DockerBench, docker_bench

PID = 7
MAPS = b"""\
55d0-55d4 r-xp 00000000 08:01 11 /usr/bin/a \xff name
55d4-55d8 rw-p 00004000 08:01 11 /usr/bin/a
7000-9000 ---p 00000000 00:00 0
9000-a000 rw-s 00000000 00:01 99 /memfd:shared (deleted)
ffff-10ffff rw-p 00000000 00:00 0 [heap]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]
"""


def test_private_regions() -> None:
    assert madvise.private_regions(MAPS) == [(0x55D0, 0x55D4), (0x55D4, 0x55D8), (0xFFFF, 0x10FFFF)]
    assert madvise.private_regions(b"") == []


def test_batches_are_bounded_and_lose_nothing() -> None:
    big, small = madvise.BATCH_BYTES, 4096
    regions = [(0, 3 * big + small), *((10 * big + n * 2 * small, 10 * big + (n * 2 + 1) * small) for n in range(1300))]
    batches = list(madvise.batches(regions))
    assert all(len(batch) <= madvise.BATCH_REGIONS for batch in batches)
    assert all(0 < sum(end - first for first, end in batch) <= big for batch in batches)
    pieces = [piece for batch in batches for piece in batch]
    assert sum(end - first for first, end in pieces) == sum(end - first for first, end in regions)
    assert pieces == sorted(pieces)
    assert len(batches) == 6


def tree(root: Path, files: Mapping[str, str]) -> dict[str, Path]:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return {"cgroup_root": root / "cgroup", "proc_root": root / "proc"}


def v1(path: str = "docker/abc", **changes: str) -> dict[str, str]:
    return {
        "proc/meminfo": changes.get("meminfo", "SwapTotal: 100 kB\nSwapFree: 50 kB\n"),
        f"proc/{PID}/cgroup": f"9:pids:/\n6:freezer:/{path}\n4:memory:/{path}\n0::/\n",
        f"cgroup/memory/{path}/cgroup.procs": changes.get("procs", "7\n8\n"),
        f"cgroup/memory/{path}/memory.usage_in_bytes": "5000\n",
        f"cgroup/memory/{path}/memory.stat": "cache 10\ntotal_swap 700\n",
        f"cgroup/memory/{path}/memory.force_empty": "",
        f"cgroup/freezer/{path}/freezer.state": "FROZEN\n",
    }


def v2(path: str = "system.slice/docker-abc.scope", **changes: str) -> dict[str, str]:
    return {
        "proc/meminfo": "SwapTotal: 100 kB\nSwapFree: 50 kB\n",
        f"proc/{PID}/cgroup": f"0::/{path}\n",
        f"cgroup/{path}/cgroup.procs": "7\n8\n",
        f"cgroup/{path}/cgroup.events": "populated 1\nfrozen 1\n",
        f"cgroup/{path}/memory.current": "5000\n",
        f"cgroup/{path}/memory.swap.current": "700\n",
        f"cgroup/{path}/memory.swap.max": changes.get("swap_max", "max\n"),
        f"cgroup/{path}/memory.stat": "anon 3000\n",
        f"cgroup/{path}/memory.reclaim": "",
    }


@pytest.mark.parametrize(
    ("files", "squeezed"), [(v1(), ("memory/docker/abc/memory.force_empty", "0")),
                            (v2(), ("system.slice/docker-abc.scope/memory.reclaim", "5000"))],
)  # fmt: skip
def test_a_cgroup_of_either_version(tmp_path: Path, files: dict[str, str], squeezed: tuple[str, str]) -> None:
    cgroup = cgroup_of(PID, **tree(tmp_path, files))
    assert (cgroup.pids(), cgroup.charged_bytes(), cgroup.swapped_bytes()) == ([7, 8], 5000, 700)
    assert cgroup.frozen()
    assert cgroup.may_swap()
    cgroup.squeeze()
    assert (tmp_path / "cgroup" / squeezed[0]).read_text() == squeezed[1]


def test_version_2_before_reclaim_came_keeps_what_stays(tmp_path: Path) -> None:
    roots = tree(tmp_path, v2())
    reclaim = tmp_path / "cgroup/system.slice/docker-abc.scope/memory.reclaim"
    reclaim.unlink()
    cgroup_of(PID, **roots).squeeze()
    assert not reclaim.exists()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


@needs_root
@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (v1(meminfo="SwapTotal: 0 kB\nSwapFree: 0 kB\n"), "this host has no swap"),
        (v1(meminfo="MemTotal: 8 kB\n"), "this host has no swap"),
        (v1(meminfo="SwapTotal: 10 kB\nSwapFree: 0 kB\n"), "the swap of this host is full"),
        (v1(path=""), "it isn't in a cgroup of its own"),
        (v1(procs=f"7\n{os.getpid()}\n"), "it isn't in a cgroup of its own"),
        (v2(swap_max="0\n"), "its own limits leave it no swap"),
    ],
)
async def test_nothing_is_done_and_the_reason_given(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    paged = await PageOut(**tree(tmp_path, files)).page_out(PID)
    assert paged.skipped == reason
    assert paged.before_bytes == paged.after_bytes == 5000
    assert not any(path.read_text() for path in tmp_path.rglob("memory.force_empty"))


async def test_a_container_that_has_ended(tmp_path: Path) -> None:
    paged = await PageOut(**tree(tmp_path, v1())).page_out(PID + 1)
    assert (paged.skipped, paged.before_bytes) == ("it has just ended", 0)


@needs_root
@pytest.mark.parametrize(("swap_kb", "says"), [(0, "this host has no swap"), (9, None)])
async def test_capability(tmp_path: Path, swap_kb: int, says: str | None) -> None:
    roots = tree(tmp_path, {"proc/meminfo": f"SwapTotal: {swap_kb} kB\nSwapFree: {swap_kb} kB\n"})
    assert await PageOut(**roots).capability() == says


@needs_root
class TestPush:
    """On this very process: MADV_PAGEOUT changes nothing that it could notice."""

    @pytest.fixture
    def pidfd(self) -> Iterator[int]:
        handle = os.pidfd_open(os.getpid())
        yield handle
        os.close(handle)

    def test_what_cannot_go_is_passed_over(self, pidfd: int, monkeypatch: pytest.MonkeyPatch) -> None:
        got_through: list[int] = []

        def recording(pidfd: int, regions: list[madvise.Region]) -> int:
            got_through.append(page_out(pidfd, regions))
            return got_through[-1]

        page_out = madvise.page_out
        monkeypatch.setattr(madvise, "page_out", recording)
        memory = mmap.mmap(-1, 3 * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.write(b"innkeeper")
        mapped = ctypes.c_char.from_buffer(memory)
        first = ctypes.addressof(mapped)
        hole = (mmap.PAGESIZE, 2 * mmap.PAGESIZE)
        madvise.push(pidfd, [hole, (first, first + 3 * mmap.PAGESIZE), hole], stopped=lambda: False)
        assert sum(got_through) == 3 * mmap.PAGESIZE
        assert memory[:9] == b"innkeeper"
        del mapped

    def test_it_stops_between_two_batches(self, pidfd: int, monkeypatch: pytest.MonkeyPatch) -> None:
        pushed: list[list[madvise.Region]] = []

        def whole(_pidfd: int, regions: list[madvise.Region]) -> int:
            pushed.append(regions)
            return sum(end - first for first, end in regions)

        monkeypatch.setattr(madvise, "page_out", whole)
        madvise.push(pidfd, [(0, 5 * madvise.BATCH_BYTES)], stopped=lambda: len(pushed) == 2)
        assert pushed == [[(0, madvise.BATCH_BYTES)], [(madvise.BATCH_BYTES, 2 * madvise.BATCH_BYTES)]]

    async def test_a_process_that_has_ended(self) -> None:
        child = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
        pidfd = os.pidfd_open(child.pid)
        await child.communicate(b"")  # its end
        with pytest.raises(ProcessLookupError):
            madvise.push(pidfd, [(mmap.PAGESIZE, 2 * mmap.PAGESIZE)], stopped=lambda: False)
        os.close(pidfd)


# Two processes, with 100 MB in common and 100 MB each alone. Asked, each answers with a checksum of all that it has.
PROGRAM = r"""
import http.server, os, zlib
page = b"".join(b"%07d: what an agent remembers;" % n for n in range(120))
def fill(megabytes, salt):
    return b"".join(b"%d/%d %b" % (salt, n, page) for n in range(megabytes * 2**20 // len(page)))
common = fill(100, 1)
port = 8081 if os.fork() == 0 else 8080
alone = fill(100, port)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"%d" % zlib.crc32(alone, zlib.crc32(common))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.HTTPServer(("", port), Answer)
os.write(1, b"serving %d\n" % port)  # in one piece: both write to one pipe
server.serve_forever()
"""


async def python_image(docker: aiodocker.Docker) -> str:
    images = await docker.images.list(filters={"reference": ["innkeeper/nanobot"]})
    if not images:
        pytest.skip("no image with a Python: build one with `innkeeper image build nanobot`")
    image: str = images[0]["Id"]
    return image


async def started(bench: DockerBench, tenant: str, *, slot: int) -> Instance:
    blueprint = bench.blueprint(
        tenant,
        slot=slot,
        image=await python_image(bench.docker),
        command=("/opt/agent/bin/python", "-c", PROGRAM),
        limits=Limits(memory_mb=1024, cpus=2, pids=64),
    )
    instance = await bench.runtime.create(blueprint)
    await bench.runtime.start(instance)
    waiting_for = {"serving 8080", "serving 8081"}
    async for line in bench.runtime.logs(instance, follow=True):
        waiting_for.discard(line.text)
        if not waiting_for:
            break
    return instance


async def answers(bench: DockerBench, slot: int) -> list[str]:
    address = (await bench.runtime.place(slot)).address
    async with httpx2.AsyncClient(timeout=30) as client:
        return [(await client.get(f"http://{address}:{port}/")).text for port in (8080, 8081)]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[DockerBench]:
    async with zram_swap(tmp_path), docker_bench() as bench:
        yield bench


@pytest.mark.docker
class TestForReal:
    async def test_a_frozen_container(self, bench: DockerBench) -> None:
        runtime, page_out = bench.runtime, PageOut()
        alice, bob = [await started(bench, tenant, slot=slot) for slot, tenant in enumerate(("alice", "bob"))]
        right = await answers(bench, 0)
        assert len(set(right)) == 2
        await runtime.pause(alice)
        pid = (await bench.inspect("alice"))["State"]["Pid"]

        paged = await page_out.page_out(pid)
        assert paged.skipped is None
        assert paged.before_bytes > 300 * MB
        assert paged.after_bytes < 0.2 * paged.before_bytes
        assert paged.swapped_bytes > 0.8 * paged.before_bytes
        used = await runtime.usage(alice)
        assert (used.memory_bytes, used.swap_bytes) == (paged.after_bytes, paged.swapped_bytes)
        assert (await runtime.usage(bob)).swap_bytes == 0
        assert (await runtime.get("alice")).state is State.PAUSED

        again = await page_out.page_out(pid)
        assert again.skipped is None
        assert again.swapped_bytes >= paged.swapped_bytes
        await runtime.unpause(alice)
        assert await answers(bench, 0) == right

    async def test_a_running_container_is_trimmed(self, bench: DockerBench) -> None:
        alice = await started(bench, "alice", slot=0)
        right = await answers(bench, 0)
        paged = await PageOut().page_out((await bench.inspect("alice"))["State"]["Pid"])
        assert paged.skipped is None
        assert paged.swapped_bytes > 180 * MB  # what each has alone; what they share stays while they run
        assert paged.after_bytes < paged.before_bytes - 180 * MB
        assert (await bench.runtime.get("alice")).state is State.RUNNING
        assert await answers(bench, 0) == right
        assert (await bench.runtime.usage(alice)).rss_bytes > 200 * MB

    async def test_one_that_is_cancelled_has_ended(self, bench: DockerBench) -> None:
        alice = await started(bench, "alice", slot=0)
        right = await answers(bench, 0)
        await bench.runtime.pause(alice)
        pid, page_out = (await bench.inspect("alice"))["State"]["Pid"], PageOut()
        task = asyncio.create_task(page_out.page_out(pid))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        left = await bench.runtime.usage(alice)
        assert left.swap_bytes < 300 * MB * 0.8
        await bench.runtime.unpause(alice)
        assert await answers(bench, 0) == right
        assert (await page_out.page_out(pid)).skipped is None  # its turn was given back
