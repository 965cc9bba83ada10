"""A Docker runtime with a namespace of its own, and everything of it removed in the end, whatever happened."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiodocker
import httpx2

from innkeeper.core.ports import Blueprint
from innkeeper.core.tenant import Limits
from innkeeper.runtimes import docker_labels as labels
from innkeeper.runtimes.docker import DockerRuntime
from innkeeper.runtimes.egress_table import egress_table_name
from innkeeper.runtimes.firewall import table_name
from innkeeper.runtimes.host_net import HostNet
from tests.support.socket_proxy import SocketProxy
from tests.support.tiny_image import tiny_image

ENGINE_SOCKET = "/var/run/docker.sock"
LIMITS = Limits(memory_mb=64, cpus=0.5, pids=64)


class DockerBench:
    """The runtime under test, and hands to do to it what bystanders do."""

    def __init__(self, *, docker: aiodocker.Docker, image: str, folder: Path, proxy: SocketProxy) -> None:
        self.namespace = f"ik-test-{secrets.token_hex(4)}"
        self.docker = docker
        self.image = image
        self.folder = folder
        self.proxy = proxy
        self.runtime = self.another_runtime()

    def another_runtime(
        self,
        *,
        pool: str | None = None,
        broker_port: int = 8701,
        names_port: int = 8702,
        host_net: HostNet | None = None,
    ) -> DockerRuntime:
        """One more control plane's view of the same containers."""
        return DockerRuntime(
            socket=self.proxy.path,
            namespace=self.namespace,
            pool=pool,
            dns=(),
            broker_port=broker_port,
            names_port=names_port,
            host_net=host_net,
        )

    def blueprint(self, tenant: str = "alice", *, slot: int = 0, **others: Any) -> Blueprint:
        """A blueprint with a real folder behind it."""
        persistence = self.folder / tenant
        if not persistence.exists():
            persistence.mkdir(mode=0o700)
            os.chown(persistence, 1000, 1000)
        usual: dict[str, Any] = {
            "tenant_id": f"{tenant}-1",
            "revision": 1,
            "agent": "custom",
            "release": "1",
            "image": self.image,
            "limits": LIMITS,
        }
        return Blueprint(tenant=tenant, slot=slot, persistence=str(persistence), **(usual | others))

    async def inspect(self, tenant: str) -> dict[str, Any]:
        """What the Engine says of a tenant's container."""
        return await self.docker.containers.container(f"{self.namespace}-{tenant}").show()

    async def without_swap(self, tenant: str) -> None:
        """Its memory is all that it gets: another test's swap would hold what is over the limit, for minutes."""
        memory = (await self.inspect(tenant))["HostConfig"]["Memory"]
        transport = httpx2.AsyncHTTPTransport(uds=ENGINE_SOCKET)
        async with httpx2.AsyncClient(transport=transport, base_url="http://engine") as engine:
            path = f"/containers/{self.namespace}-{tenant}/update"
            answer = await engine.post(path, json={"Memory": memory, "MemorySwap": memory})
        assert answer.status_code == 200, answer.text

    async def stranger(self, tenant: str, found_labels: Mapping[str, str] | None = None) -> str:
        """Somebody else's container under the name that ours would have; its id."""
        config: dict[str, Any] = {"Image": self.image, "Labels": dict(found_labels or {})}
        container = await self.docker.containers.create(config, name=f"{self.namespace}-{tenant}")
        return container.id

    async def sweep(self) -> None:
        """Remove whatever has our name, without the runtime's help; what is just being made or removed, too."""
        for _ in range(100):
            containers = await self.docker.containers.list(all=1, filters=json.dumps({"name": [self.namespace]}))
            networks = await self.docker.networks.list(filters=labels.ours(self.namespace))
            if not containers and not networks:
                break
            for container in containers:
                with suppress(aiodocker.DockerError):
                    await container.delete(force=True, v=True)
            for network in networks:
                with suppress(aiodocker.DockerError):
                    await (await self.docker.networks.get(network["Id"])).delete()
            await asyncio.sleep(0.05)
        for table in (table_name(self.namespace), egress_table_name(self.namespace)):
            nft("delete", "table", "inet", table)


def nft(*arguments: str) -> str | None:
    """What nft says, or None when it refuses."""
    ended = subprocess.run(["/usr/sbin/nft", *arguments], capture_output=True, text=True)
    return ended.stdout if ended.returncode == 0 else None


@asynccontextmanager
async def docker_bench() -> AsyncIterator[DockerBench]:
    """A bench for one test."""
    # Not pytest's tmp_path: uid 1000 has to get through, and a socket's path has to be short.
    folder = Path(tempfile.mkdtemp(prefix="ik-"))
    os.chmod(folder, 0o755)  # noqa: PTH101, S103 - the pathlib spelling counts as blocking
    proxy = SocketProxy(folder / "engine.sock", ENGINE_SOCKET)
    await proxy.up()
    try:
        async with aiodocker.Docker(f"unix://{ENGINE_SOCKET}") as docker:
            bench = DockerBench(docker=docker, image=await tiny_image(docker), folder=folder, proxy=proxy)
            try:
                yield bench
            finally:
                await bench.runtime.close()
                await bench.sweep()
    finally:
        await proxy.down()
        shutil.rmtree(folder)
