"""What swap there is, what there should be, and making it for real."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from innkeeper.core.errors import Conflict, DiskFull
from innkeeper.host import swap_setup
from innkeeper.host.swap import MB, Advice, AreaKind, SwapArea, SwapFacts, Zram, Zswap, advice, swap_areas, swap_facts
from innkeeper.host.swap_setup import OwnSwap
from tests.host.own_swap import alone_with_swap, skip_without_zram

GB = 1024 * MB
PAGE = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")

BARE = SwapFacts(
    memory_bytes=16 * GB, available_bytes=12 * GB, swap_bytes=0, free_bytes=0, areas=(), zrams=(), zram_possible=True,
    zram_algorithms=("lzo-rle", "lzo", "lz4"), zswap=None, disk_free_bytes=200 * GB,
)  # fmt: skip
ON_DISK = SwapArea(path="/dev/sda2", kind=AreaKind.PARTITION, size_bytes=GB, used_bytes=0, priority=-2)
IN_ZRAM = SwapArea(path="/dev/zram0", kind=AreaKind.ZRAM, size_bytes=GB, used_bytes=0, priority=100)


def paper(root: Path) -> None:
    """A machine with both kinds of swap."""
    files = {
        "proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 800 kB\nSwapTotal: 300 kB\nSwapFree: 200 kB\n"
        "Zswap: 5 kB\nZswapped: 15 kB\nHugePages_Total: 7\n",
        "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n"
        "/dev/zram1 partition 100 60 100\n/var/my\\040swap file 200 40 -2\n/dev/sda2 partition 7 0 -3\n",
        "sys/block/zram0/disksize": "0\n",
        "sys/block/zram0/comp_algorithm": "[lzo-rle] lzo lz4 \n",
        "sys/block/zram0/mm_stat": "0 0 0 0 0 0 0 0 0\n",
        "sys/block/zram1/disksize": "102400\n",
        "sys/block/zram1/comp_algorithm": "lzo-rle lzo [lz4] \n",
        "sys/block/zram1/mm_stat": "   61440    20000    24576        0    24576        0        0        0        0\n",
        "sys/module/zswap/parameters/enabled": "N\n",
        "sys/module/zswap/parameters/compressor": "lzo\n",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


async def test_what_there_is(tmp_path: Path) -> None:
    paper(tmp_path)
    facts = await swap_facts(tmp_path, proc_root=tmp_path / "proc", sys_root=tmp_path / "sys")
    assert facts.areas == (
        SwapArea(path="/dev/zram1", kind=AreaKind.ZRAM, size_bytes=102400, used_bytes=61440, priority=100),
        SwapArea(path="/var/my swap", kind=AreaKind.FILE, size_bytes=204800, used_bytes=40960, priority=-2),
        SwapArea(path="/dev/sda2", kind=AreaKind.PARTITION, size_bytes=7168, used_bytes=0, priority=-3),
    )
    assert facts.zrams == (
        Zram(
            device="/dev/zram1", algorithm="lz4", size_bytes=102400,
            stored_bytes=61440, compressed_bytes=20000, memory_bytes=24576,
        ),
    )  # fmt: skip
    assert facts.zswap == Zswap(enabled=False, compressor="lzo", stored_bytes=15 * 1024, memory_bytes=5 * 1024)
    assert (facts.memory_bytes, facts.available_bytes) == (1000 * 1024, 800 * 1024)
    assert (facts.swap_bytes, facts.free_bytes) == (300 * 1024, 200 * 1024)
    assert facts.zram_algorithms == ("lzo-rle", "lzo", "lz4")
    assert facts.disk_free_bytes > 0


async def test_a_kernel_without_any_of_it(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 800 kB\n")
    facts = await swap_facts(tmp_path, proc_root=tmp_path / "proc", sys_root=tmp_path / "sys")
    assert (facts.swap_bytes, facts.areas, facts.zrams, facts.zram_possible, facts.zswap) == (0, (), (), False, None)


def test_a_bare_host_gets_zram_first_and_disk_below() -> None:
    advised = advice(BARE)
    assert (advised.zram_bytes, advised.zram_algorithm, advised.file_bytes) == (8 * GB, "lz4", 16 * GB)
    assert "8192 MB" in advised.why[0]
    assert "16384 MB" in advised.why[1]


@pytest.mark.parametrize(
    ("change", "zram", "algorithm", "file"),
    [
        ({"areas": (IN_ZRAM,)}, 0, None, 16 * GB),
        ({"areas": (ON_DISK,)}, 8 * GB, "lz4", 0),
        ({"areas": (IN_ZRAM, ON_DISK)}, 0, None, 0),
        ({"zram_possible": False, "zram_algorithms": ()}, 0, None, 16 * GB),
        ({"zram_algorithms": ("lzo-rle", "lzo")}, 8 * GB, "lzo-rle", 16 * GB),
        ({"zram_algorithms": ("other",)}, 8 * GB, None, 16 * GB),
        ({"zswap": Zswap(enabled=True, compressor="lzo", stored_bytes=0, memory_bytes=0)}, 0, None, 16 * GB),
        ({"disk_free_bytes": 20 * GB}, 8 * GB, "lz4", 5 * GB),
        ({"disk_free_bytes": GB - 1}, 8 * GB, "lz4", 0),
        ({"memory_bytes": 3 * GB + 4097}, 1536 * MB, "lz4", 3 * GB),
    ],
)
def test_advice(change: dict[str, object], zram: int, algorithm: str | None, file: int) -> None:
    advised = advice(dataclasses.replace(BARE, **change))  # type: ignore[arg-type]
    assert (advised.zram_bytes, advised.zram_algorithm, advised.file_bytes) == (zram, algorithm, file)
    assert [reason.split(":")[0] for reason in advised.why] == ["zram", "disk"]


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Swap of sizes that nobody else's has, by which it is known among the host's."""

    advice: Advice

    def areas(self) -> list[tuple[AreaKind, int]]:
        # A swap area's first page is its header.
        sizes = {size - PAGE for size in (self.advice.zram_bytes, self.advice.file_bytes)}
        return sorted((area.kind, area.priority) for area in swap_areas(PROC) if area.size_bytes in sizes)

    async def zrams(self, folder: Path) -> list[Zram]:
        return [zram for zram in (await swap_facts(folder)).zrams if zram.size_bytes == self.advice.zram_bytes]


@pytest.fixture
def wanted() -> Wanted:
    odd_bytes = secrets.randbelow(4096) * PAGE
    return Wanted(
        Advice(zram_bytes=64 * MB + odd_bytes, zram_algorithm="lzo-rle", file_bytes=32 * MB + odd_bytes, why=())
    )


BOTH = [(AreaKind.FILE, 10), (AreaKind.ZRAM, 100)]


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[OwnSwap]:
    await skip_without_zram(tmp_path)
    swap = OwnSwap(label=f"ik-{secrets.token_hex(4)}")
    async with alone_with_swap():
        try:
            yield swap
        finally:
            await swap.take_down(file=tmp_path / "swap")


@pytest.mark.docker  # not that it needs the Engine: it changes the host, as those tests do
class TestForReal:
    async def test_made_once_however_often_and_gone_again(self, own: OwnSwap, wanted: Wanted, tmp_path: Path) -> None:
        file = tmp_path / "swap"
        await asyncio.gather(*(own.set_up(wanted.advice, file=file) for _ in range(3)))
        assert wanted.areas() == BOTH
        assert file.stat().st_mode & 0o777 == 0o600
        assert [zram.algorithm for zram in await wanted.zrams(tmp_path)] == ["lzo-rle"]

        for _ in range(2):
            await own.take_down(file=file)
            assert wanted.areas() == []
            assert await wanted.zrams(tmp_path) == []
            assert not file.exists()

    @pytest.mark.parametrize("last", ["mkswap", "swapon"])
    async def test_set_up_that_died_is_carried_on(
        self, own: OwnSwap, wanted: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
    ) -> None:
        class Died(BaseException):
            pass

        def run_until(*arguments: str) -> None:
            if arguments[0] == last:
                raise Died
            run(*arguments)

        run, file = swap_setup._run, tmp_path / "swap"
        monkeypatch.setattr(swap_setup, "_run", run_until)
        with pytest.raises(Died):
            own._set_up(wanted.advice, file)
        assert wanted.areas() == []
        monkeypatch.undo()

        await own.set_up(wanted.advice, file=file)
        assert wanted.areas() == BOTH
        assert len(await wanted.zrams(tmp_path)) == 1

    async def test_what_is_not_ours_stays(self, own: OwnSwap, wanted: Wanted, tmp_path: Path) -> None:
        file, stranger = tmp_path / "swap", OwnSwap(label=f"ik-{secrets.token_hex(4)}")
        await own.set_up(wanted.advice, file=file)
        await stranger.take_down(file=file)
        assert wanted.areas() == BOTH

    @pytest.mark.parametrize("kind", ["file", "link"])
    async def test_a_file_of_somebody_else_is_never_overwritten(
        self, own: OwnSwap, wanted: Wanted, tmp_path: Path, kind: str
    ) -> None:
        precious, file = tmp_path / "precious", tmp_path / "swap"
        precious.write_text("mine")
        file.hardlink_to(precious) if kind == "file" else file.symlink_to(precious)
        with pytest.raises(Conflict, match="already"):
            await own.set_up(dataclasses.replace(wanted.advice, zram_bytes=0), file=file)
        await own.take_down(file=file)
        assert file.read_text() == precious.read_text() == "mine"

    async def test_a_refusal_leaves_nothing_behind(self, own: OwnSwap, wanted: Wanted, tmp_path: Path) -> None:
        file = tmp_path / "swap"
        with pytest.raises(DiskFull):
            await own.set_up(dataclasses.replace(wanted.advice, zram_bytes=0, file_bytes=1 << 43), file=file)
        assert list(tmp_path.iterdir()) == []
