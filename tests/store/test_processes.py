"""Several control planes on one database: each wins or loses cleanly, and one that is killed leaves nothing."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from innkeeper.store.sql import SqlStore
from tests.store.databases import DATABASES, database
from tests.store.examples import elaborate_seen, tenant
from tests.support.links import LINKS

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=DATABASES)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async with database(request.param, tmp_path) as url:
        yield url


async def newcomer(url: str, *arguments: str) -> asyncio.subprocess.Process:
    """A process that uses the same database."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.store.newcomer",
        *arguments,
        cwd=ROOT,
        env=os.environ | {"STORE_URL": url},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def test_processes_that_start_at_once_share_a_new_database(url: str) -> None:
    processes = [await newcomer(url, str(number)) for number in range(3)]
    told = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    lines = Counter(line for output, _ in told for line in output.decode().splitlines())
    assert lines == {
        "same added": 1,
        "same tenant_exists": 2,
        "own-0 added": 1,
        "own-1 added": 1,
        "own-2 added": 1,
    }
    store = await SqlStore.open(url, links=LINKS)
    async with store.look() as read:
        assert sorted(t.slot for t in await read.tenants()) == [0, 1, 2, 3]
    await store.close()


async def test_a_process_killed_in_mid_transaction_leaves_nothing_and_blocks_nobody(url: str) -> None:
    process = await newcomer(url, "linger")
    assert process.stdout is not None
    assert await process.stdout.readline() == b"inside\n"
    process.kill()
    await process.wait()
    store = await SqlStore.open(url, links=LINKS)
    async with store.begin() as write:
        assert await write.tenants() == []
        await write.add_tenant(tenant("half"))
    await store.close()


async def test_of_25_claimers_one_wins(url: str) -> None:
    async with AsyncExitStack() as stack:
        stores = [await SqlStore.open(url, links=LINKS) for _ in range(25)]
        for store in stores:
            stack.push_async_callback(store.close)
        async with stores[0].begin() as write:
            await write.add_tenant(tenant("a"))
        for _ in range(2):
            leases = await asyncio.gather(*(store.claim("a", holder="h", for_s=60) for store in stores))
            (won,) = (lease for lease in leases if lease)
            await stores[-1].record(won, elaborate_seen())
            await stores[0].release(won)
