"""A Docker Engine of the test's own, which can be restarted without anybody else noticing."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx2

DOCKERD = "dockerd"
START_S = 60


class OwnEngine:
    """dockerd with its own data, its own bridge and no hand on the host's iptables."""

    def __init__(self, folder: Path) -> None:
        self.socket = str(folder / "docker.sock")
        self._folder = folder
        self._bridge = f"ikb{secrets.token_hex(3)}"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        arguments = {
            "host": f"unix://{self.socket}",
            "data-root": self._folder / "data",
            "exec-root": self._folder / "exec",
            "pidfile": self._folder / "pid",
            "bridge": self._bridge,  # `none` would remove the docker0 of everybody
            "iptables": "false",
            "ip6tables": "false",
        }
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.to_thread(
                subprocess.Popen,
                [DOCKERD, *(f"--{name}={value}" for name, value in arguments.items())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        transport = httpx2.AsyncHTTPTransport(uds=self.socket)
        async with httpx2.AsyncClient(transport=transport) as client, asyncio.timeout(START_S):
            while True:
                with suppress(httpx2.TransportError):
                    if (await client.get("http://docker/_ping")).status_code == 200:
                        return
                assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Stop it in order, and with it its containers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self._process.wait, 60)

    async def make_bridge(self) -> None:
        """The default bridge, made by us so that dockerd looks for no docker0."""
        await _ip("link", "add", self._bridge, "type", "bridge")
        await _ip("address", "add", "192.168.253.1/24", "dev", self._bridge)

    async def drop_bridge(self) -> None:
        """The same, gone."""
        with suppress(subprocess.CalledProcessError):
            await _ip("link", "del", self._bridge)


async def _ip(*arguments: str) -> None:
    await asyncio.to_thread(subprocess.run, ["ip", *arguments], check=True, capture_output=True)


@asynccontextmanager
async def own_engine() -> AsyncIterator[OwnEngine]:
    """One that runs, and is gone without a trace afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="ik-"))
    engine = OwnEngine(folder)
    await engine.make_bridge()
    try:
        await engine.start()
        yield engine
    finally:
        with suppress(Exception):
            await engine.stop()
        await engine.drop_bridge()
        shutil.rmtree(folder, ignore_errors=True)
