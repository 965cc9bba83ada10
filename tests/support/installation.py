"""A whole Innkeeper on this machine: its own process, data, ports and namespace, and nothing left of it afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiodocker
import httpx2

from innkeeper.edge.caddy import Caddy
from innkeeper.edge.caddy_config import EdgePlan
from innkeeper.runtimes.egress_table import egress_table_name
from innkeeper.runtimes.firewall import table_name
from tests.support.serving import free_port

START_TIMEOUT_S = 60


class Installation:
    """One data directory and whoever serves it at the moment."""

    def __init__(self, data: Path, *, docker_socket: str = "/var/run/docker.sock", **settings: str) -> None:
        self.data = data
        self.namespace = f"ik-test-{secrets.token_hex(4)}"
        self.api_port, self.edge_port, self.broker_port = free_port(), free_port(), free_port()
        self.docker_socket = docker_socket
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("INNKEEPER_")},
            "INNKEEPER_DATA": str(data),
            "INNKEEPER_API": f"127.0.0.1:{self.api_port}",
            "INNKEEPER_EDGE_HOST": "127.0.0.1",
            "INNKEEPER_EDGE_PORT": str(self.edge_port),
            "INNKEEPER_BROKER_PORT": str(self.broker_port),
            "INNKEEPER_NAMESPACE": self.namespace,
            "INNKEEPER_DOCKER_SOCKET": docker_socket,
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    # --- the process --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Serve, in a process of its own, and wait until it answers."""
        with (self.data / "serve.log").open("ab") as log:
            self.process = await asyncio.to_thread(
                subprocess.Popen,
                [sys.executable, "-m", "innkeeper", "serve"],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(START_TIMEOUT_S), httpx2.AsyncClient() as client:
            while True:
                assert self.process.poll() is None, self.log()
                with suppress(httpx2.TransportError):
                    if (await client.get(f"{self.api_url}/ready")).status_code == 200:
                        return
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def stop(self) -> None:
        """End it in order; Caddy and tenants go on."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(self.process.wait, 30)

    def log(self) -> str:
        """What it said."""
        return (self.data / "serve.log").read_text()

    def edge_log(self) -> str:
        """What Caddy said."""
        log = self.data / "run" / "caddy.log"
        return log.read_text() if log.exists() else ""

    # --- asking -------------------------------------------------------------------------------------------------------

    @property
    def api_url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def edge_url(self) -> str:
        """Where the edge is."""
        return f"http://127.0.0.1:{self.edge_port}"

    @property
    def admin_token(self) -> str:
        """The admin's token."""
        return (self.data / "admin-token").read_text().strip()

    def api(self) -> httpx2.AsyncClient:
        """A client of the API, as the admin."""
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        return httpx2.AsyncClient(base_url=self.api_url, headers=headers, timeout=180)

    def edge(self, tenant: str, key: str | None = None) -> httpx2.AsyncClient:
        """A client of a tenant, through the edge."""
        headers = {"Host": f"{tenant}.localhost:{self.edge_port}"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        return httpx2.AsyncClient(base_url=self.edge_url, headers=headers, timeout=120)

    async def cli(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "innkeeper", *arguments],
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
        )

    async def cli_json(self, *arguments: str) -> Any:
        """The document that the command line prints."""
        done = await self.cli(*arguments, "--json")
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}\n{self.log()[-3000:]}"
        return json.loads(done.stdout)

    async def key(self, tenant: str) -> str:
        """A new key of a tenant."""
        made = await self.cli_json("key", "create", tenant)
        return str(made["key"])

    async def show(self, name: str) -> dict[str, Any]:
        """A tenant as the API shows it."""
        async with self.api() as api:
            document: dict[str, Any] = (await api.get(f"/v1/tenants/{name}")).json()
        return document

    async def create(self, name: str, **body: Any) -> dict[str, Any]:
        """A tenant, when it is ready."""
        async with self.api() as api:
            answer = await api.post("/v1/tenants", params={"wait": 170}, json={"name": name, **body})
        document: dict[str, Any] = answer.json()
        assert document.get("status") == "done", f"{document}\n{self.log()[-3000:]}"
        return document

    async def delete(self, name: str) -> None:
        """A tenant and all its data, gone."""
        async with self.api() as api:
            answer = await api.delete(f"/v1/tenants/{name}", params={"purge": True, "wait": 120})
        assert answer.json().get("status") == "done", answer.text

    # --- what there is on the host ------------------------------------------------------------------------------------

    async def containers(self, docker: aiodocker.Docker) -> list[dict[str, Any]]:
        """Our containers, inspected, but for those that go just now."""
        filters = json.dumps({"label": [f"innkeeper.namespace={self.namespace}"]})
        shown = []
        for container in await docker.containers.list(all=1, filters=filters):
            try:
                shown.append(await container.show())
            except aiodocker.DockerError as error:
                if error.status != 404:
                    raise
        return shown

    async def networks(self, docker: aiodocker.Docker) -> list[str]:
        """The names of our networks."""
        found = await docker.networks.list(filters={"label": [f"innkeeper.namespace={self.namespace}"]})
        return [network["Name"] for network in found]

    def has_firewall(self) -> bool:
        """Whether our table stands."""
        listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
        return table_name(self.namespace) in listed.stdout

    def folders(self) -> list[str]:
        """The tenants' folders."""
        tenants = self.data / "tenants"
        return sorted(path.name for path in tenants.iterdir()) if tenants.exists() else []

    def caddy(self) -> Caddy:
        """Its Caddy, wherever that was started."""
        plan = EdgePlan(host="127.0.0.1", port=self.edge_port, run=self.data / "run", wake_deadline_s=30)
        return Caddy(plan)

    async def clear(self) -> None:
        """Stop everything and remove everything, whatever state it is in."""
        with suppress(Exception):
            await self.stop()
        if self.process is not None and self.process.poll() is None:
            self.kill()
        with suppress(Exception):
            await self.caddy().stop()
        async with aiodocker.Docker(url=f"unix://{self.docker_socket}") as docker:
            for shown in await self.containers(docker):
                with suppress(aiodocker.DockerError):
                    await docker.containers.container(shown["Id"]).delete(force=True, v=True)
            for name in await self.networks(docker):
                with suppress(aiodocker.DockerError):
                    await (await docker.networks.get(name)).delete()
        for table in (table_name(self.namespace), egress_table_name(self.namespace)):
            subprocess.run(["nft", "delete", "table", "inet", table], capture_output=True)


@asynccontextmanager
async def installed(*, docker_socket: str = "/var/run/docker.sock", **settings: str) -> AsyncIterator[Installation]:
    """An installation that runs, and is gone without a trace afterwards."""
    data = Path(tempfile.mkdtemp(prefix="ik-"))  # short: unix sockets' paths have 107 characters at most
    installation = Installation(data, docker_socket=docker_socket, **settings)
    try:
        await installation.start()
        yield installation
    finally:
        await installation.clear()
        shutil.rmtree(data, ignore_errors=True)
