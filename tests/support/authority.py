"""A real ACME authority: another Caddy with `acme_server`, and a road on which it finds the hosts of one edge.

The authority looks for a challenge at port 80 of the host that it is asked to certify. Its process is given an HTTP
proxy (as Go programs take one) that leads every host to our edge, whatever port that has and whatever DNS says.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

import httpx2
from starlette.types import Receive, Scope, Send

from innkeeper.edge.caddy_admin import listener_pid
from innkeeper.edge.caddy_launch import find_binary
from innkeeper.edge.processes import Process
from tests.support.serving import free_port, serving

_CADDYFILE = Template("""\
{
	admin "unix/$folder/admin.sock"
	persist_config off
	skip_install_trust
	auto_https disable_redirects
	storage file_system "$folder/storage"
	log {
		level INFO
		output file "$folder/log"
	}
}
https://127.0.0.1:$port {
	bind 127.0.0.1
	log
	tls internal
	acme_server {
		lifetime $lifetime
		challenges http-01
	}
}
""")


class Authority:
    """An authority that can be stopped and started again."""

    def __init__(self, folder: Path, *, lifetime: str) -> None:
        self._folder = folder
        self._lifetime = lifetime
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._road: str | None = None
        self.edge_port = 0
        """Where challenges are looked for."""
        self.challenged: list[str] = []
        """The hosts for which it looked."""

    @property
    def directory(self) -> str:
        """The URL for ACME clients."""
        return f"https://127.0.0.1:{self._port}/acme/local/directory"

    @property
    def root(self) -> Path:
        """The certificate that all others go back to."""
        return self._folder / "storage/pki/authorities/local/root.crt"

    def trusting(self) -> ssl.SSLContext:
        """What a client uses that believes this authority and no other."""
        return ssl.create_default_context(cafile=str(self.root))

    @property
    def orders(self) -> int:
        """How many certificates it was asked for."""
        return (self._folder / "log").read_text().count("/new-order")

    async def start(self) -> None:
        """Serve."""
        assert self._road is not None
        config = self._folder / "Caddyfile"
        config.write_text(_CADDYFILE.substitute(folder=self._folder, port=self._port, lifetime=self._lifetime))
        self._process = await asyncio.to_thread(
            subprocess.Popen,
            [str(find_binary()), "run", "--config", str(config), "--adapter", "caddyfile"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath, "HOME": str(self._folder), "HTTP_PROXY": self._road},
        )
        async with asyncio.timeout(20):
            while not (self.root.exists() and listener_pid(self._folder / "admin.sock") and await self._serves()):
                await asyncio.sleep(0.02)

    async def _serves(self) -> bool:
        try:
            async with httpx2.AsyncClient(verify=self.trusting(), trust_env=False) as client:
                return (await client.get(self.directory)).status_code == 200
        except (httpx2.HTTPError, ssl.SSLError):
            return False

    async def stop(self) -> None:
        """Be gone."""
        if self._process is not None:
            with Process(self._process.pid) as process:
                self._process.kill()
                await process.ended()
            self._process.wait()
            self._process = None

    async def _lead(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = dict(scope["headers"])[b"host"].decode()
        self.challenged.append(host)
        async with httpx2.AsyncClient(trust_env=False, headers={"Host": host}) as client:
            answer = await client.get(f"http://127.0.0.1:{self.edge_port}{urlsplit(scope['path']).path}")
        await send({"type": "http.response.start", "status": answer.status_code, "headers": []})
        await send({"type": "http.response.body", "body": answer.content})

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Authority]:
        """With its road, from start to end."""
        async with serving(self._lead) as self._road:
            try:
                await self.start()
                yield self
            finally:
                await self.stop()


@asynccontextmanager
async def authority(folder: Path, *, lifetime: str = "24h") -> AsyncIterator[Authority]:
    """One that works in `folder`, and whose certificates live for so long."""
    async with Authority(folder, lifetime=lifetime).open() as made:
        yield made
