"""A whole control plane with TLS in this process: only the containers are make-believe, the edge is real."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from cryptography import x509
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from innkeeper.frontage import edge_of
from innkeeper.serve import prepare, running
from innkeeper.settings import Settings
from innkeeper.wiring import House
from tests.support.serving import free_port

DOMAIN = "inn.test"
IMAGE = "sha256:" + "0" * 64


@dataclass
class Inn:
    """What a test does with it."""

    settings: Settings
    house: House
    trust: ssl.SSLContext | None = None
    """Whom clients believe."""

    @property
    def token(self) -> str:
        """The admin's."""
        return (self.settings.data / "admin-token").read_text().strip()

    @property
    def bearer(self) -> dict[str, str]:
        """The same as a header."""
        return {"Authorization": f"Bearer {self.token}"}

    async def api(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """Ask the API, as the admin."""
        async with httpx2.AsyncClient(base_url=f"http://{self.settings.api}", timeout=60, trust_env=False) as client:
            return await client.request(method, path, headers=self.bearer, **more)

    async def create(self, name: str, *, port: int, **body: Any) -> None:
        """A tenant, when it is ready: someone must answer for it."""
        said = {"name": name, "agent": "custom", "custom": {"image": IMAGE, "port": port}, "access": "open", **body}
        answer = await self.api("POST", "/v1/tenants?wait=30", json=said)
        assert answer.json().get("status") == "done", answer.text

    async def get(self, host: str, path: str = "/", *, headers: dict[str, str] | None = None) -> httpx2.Response:
        """GET over HTTPS, wherever DNS says that `host` is."""
        async with self.client() as client:
            return await client.get(
                f"https://127.0.0.1:{self.settings.edge_https_port}{path}",
                headers={"Host": f"{host}:{self.settings.edge_https_port}", **(headers or {})},
                extensions={"sni_hostname": host},
            )

    def client(self) -> httpx2.AsyncClient:
        """Believes whom `trust` says."""
        assert self.trust is not None
        return httpx2.AsyncClient(verify=self.trust, trust_env=False, timeout=60)

    async def plain(self, host: str, path: str = "/", method: str = "GET") -> httpx2.Response:
        """A request over plain HTTP."""
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
            return await client.request(
                method, f"http://127.0.0.1:{self.settings.http_port}{path}", headers={"Host": host}
            )

    async def certificate(self, host: str) -> x509.Certificate:
        """What is shown to whoever asks for `host`; raises ssl.SSLError where nothing is."""
        assert self.trust is not None
        _, writer = await asyncio.open_connection(
            "127.0.0.1", self.settings.edge_https_port, ssl=self.trust, server_hostname=host
        )
        try:
            return x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(True))
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    def socket(self, host: str) -> connect:
        """A WebSocket to a tenant."""
        return connect(
            f"wss://{host}:{self.settings.edge_https_port}/socket",
            host="127.0.0.1",
            port=self.settings.edge_https_port,
            ssl=self.trust,
            proxy=None,
        )


@asynccontextmanager
async def open_inn(**said: Any) -> AsyncIterator[Inn]:
    """One that runs, with Caddy; at the end both are stopped."""
    trust = said.pop("trust", None)
    data = Path(tempfile.mkdtemp(prefix="ik-"))
    settings = Settings(
        data=data, domain=said.pop("domain", DOMAIN), api=f"127.0.0.1:{free_port()}", edge_host="127.0.0.1",
        edge_port=said.pop("edge_port", None) or free_port(), edge_https_port=free_port(), broker_port=free_port(),
        runtime="memory", namespace=f"t{free_port()}", **said,
    )  # fmt: skip
    prepare(settings)
    try:
        async with running(settings) as house:
            yield Inn(settings=settings, house=house, trust=trust)
    finally:
        await edge_of(settings).stop()
        shutil.rmtree(data, ignore_errors=True)


@asynccontextmanager
async def agent() -> AsyncIterator[int]:
    """Every tenant's agent at once, at the port that is given: tells its headers, and echoes on WebSockets."""

    async def told(connection: ServerConnection, request: Any) -> Any:
        if request.path == "/socket":
            return None
        return connection.respond(200, json.dumps(dict(request.headers.raw_items())))

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "0.0.0.0", 0, process_request=told) as server:
        yield next(iter(server.sockets)).getsockname()[1]
