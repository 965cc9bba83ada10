"""A process of its own that opens a store, for the tests that need several: told what to do by its arguments."""

from __future__ import annotations

import asyncio
import os
import sys

from innkeeper.core.errors import Problem
from innkeeper.store.sql import SqlStore
from tests.store.examples import tenant
from tests.support.links import LINKS


async def join(me: str) -> None:
    """Open the store when told to, then try to take the name `same` and a name of one's own."""
    sys.stdin.readline()
    store = await SqlStore.open(os.environ["STORE_URL"], links=LINKS)
    for name in ("same", f"own-{me}"):
        try:
            async with store.begin() as write:
                await write.add_tenant(tenant(name, await write.free_slot(), id=f"{name}-{me}"))
        except Problem as problem:
            print(name, problem.code)  # noqa: T201
        else:
            print(name, "added")  # noqa: T201
    await store.close()


async def linger() -> None:
    """Stay in the middle of a transaction until killed."""
    store = await SqlStore.open(os.environ["STORE_URL"], links=LINKS)
    async with store.begin() as write:
        await write.add_tenant(tenant("half"))
        print("inside", flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(linger() if sys.argv[1] == "linger" else join(sys.argv[1]))
