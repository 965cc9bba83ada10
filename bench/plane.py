"""A control plane in a process of its own, as in production, with its own data, ports and namespace."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from time import perf_counter

import httpx2

from bench.seed import seed, seed_keyring
from innkeeper.edge.caddy_admin import listener_pid
from tests.support.installation import Installation

LOOK_EVERY_S = 0.005


class Plane(Installation):
    """An installation whose process is looked at from outside."""

    def __init__(self, data: Path, *, program: Sequence[str], **settings: str) -> None:
        super().__init__(data, **settings)
        self._program = tuple(program)

    async def start(self) -> None:
        """Serve, and wait until it answers."""
        await self.start_ms()

    async def start_ms(self) -> float:
        """The same; how long it took from the command to the first 200 of `/ready`."""
        began = perf_counter()
        with (self.data / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - as the installation that this is one of does
                [sys.executable, "-m", *self._program],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await self._ready()
        return (perf_counter() - began) * 1000

    async def _ready(self) -> None:
        async with asyncio.timeout(60), httpx2.AsyncClient() as client:
            while True:
                assert self.process is not None
                assert self.process.poll() is None, self.log()
                with suppress(httpx2.TransportError):
                    if (await client.get(f"{self.api_url}/ready")).status_code == 200:
                        return
                await asyncio.sleep(LOOK_EVERY_S)

    @property
    def pid(self) -> int:
        """The control plane's process."""
        assert self.process is not None
        return self.process.pid

    @property
    def caddy_pid(self) -> int:
        """Its Caddy's."""
        pid = listener_pid(self.data / "run" / "caddy-admin.sock")
        assert pid is not None, "there is no Caddy"
        return pid

    @property
    def database_url(self) -> str:
        """Its store."""
        return f"sqlite+aiosqlite:///{self.data / 'innkeeper.db'}"

    async def new_key(self, tenant: str) -> str:
        """A key of a tenant's."""
        async with self.api() as api:
            answer = await api.post(f"/v1/tenants/{tenant}/keys", json={"name": "bench"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["key"])


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of its own, with a short path."""
    data = Path(tempfile.mkdtemp(prefix="ik-"))  # short: a unix socket's path has 107 characters at most
    try:
        yield data
    finally:
        shutil.rmtree(data, ignore_errors=True)


@asynccontextmanager
async def plane(**settings: str) -> AsyncIterator[Plane]:
    """A plane with real Docker that isn't started yet, and is gone without a trace afterwards."""
    with folder() as data:
        made = Plane(data, program=["innkeeper", "serve"], **settings)
        try:
            yield made
        finally:
            await made.clear()


@asynccontextmanager
async def full_house(count: int, *, port: int = 9000, keys: int = 1, **settings: str) -> AsyncIterator[Plane]:
    """A plane over `count` seeded tenants, with so many keys each, and a memory runtime that is full of them; not
    started yet."""
    with folder() as data:
        made = Plane(data, program=["bench.full_house", str(count), "serve"], **settings)
        await asyncio.to_thread(seed_keyring, made.data, count)
        await seed(made.database_url, count, port=port, keys=keys)
        try:
            yield made
        finally:
            await made.stop()
            await made.cli("serve", "--down")
