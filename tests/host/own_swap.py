"""A zram swap of the test's own: made by the code under test, under a label of its own, and gone afterwards."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from innkeeper.core.errors import RuntimeFault
from innkeeper.host.swap import MB, Advice, swap_facts
from innkeeper.host.swap_setup import OwnSwap

SIZE_BYTES = 2048 * MB


async def skip_without_zram(folder: Path) -> None:
    """Say so where none can be made."""
    if os.geteuid() != 0:
        pytest.skip("making swap takes root")
    if not (await swap_facts(folder)).zram_possible:
        pytest.skip("this kernel has no zram")


@asynccontextmanager
async def alone_with_swap() -> AsyncIterator[None]:
    """No other test makes or removes swap meanwhile: the kernel spreads pages over all there is of one priority."""
    with (Path(tempfile.gettempdir()) / "ik-test-swap.lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        yield


async def taken_down(swap: OwnSwap, folder: Path) -> None:
    """Another test's container may have pages in it, and no room for them within its own limit until it ends."""
    for _ in range(120):
        with suppress(RuntimeFault):
            return await swap.take_down(file=folder / "none")
        await asyncio.sleep(0.5)
    return await swap.take_down(file=folder / "none")


@asynccontextmanager
async def zram_swap(folder: Path) -> AsyncIterator[OwnSwap]:
    """2 GB of it; the kernel fills it first, whatever else there is."""
    await skip_without_zram(folder)
    swap = OwnSwap(label=f"ik-{secrets.token_hex(4)}")
    wanted = Advice(zram_bytes=SIZE_BYTES, zram_algorithm="lz4", file_bytes=0, why=())
    async with alone_with_swap():
        try:
            await swap.set_up(wanted, file=folder / "none")
            yield swap
        finally:
            await taken_down(swap, folder)
