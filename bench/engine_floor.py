"""The floor under provisioning: the same container, made by nobody but the Engine, and asked by nobody but us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import aiodocker
from aiodocker.containers import DockerContainer

from innkeeper.agents import AGENTS
from innkeeper.core.events import utc_now
from innkeeper.core.ids import new_id
from innkeeper.core.ports import Agent
from innkeeper.core.seating import Seating
from innkeeper.core.tenant import Spec, Tenant
from innkeeper.edge.prober import HttpProber
from innkeeper.keyring import Keyring
from innkeeper.runtimes.docker import DockerRuntime
from innkeeper.settings import Settings
from innkeeper.units.compose import render_compose
from innkeeper.units.layout import FolderUnits
from innkeeper.wiring import MODEL, make_runtime

PROBE_EVERY_S = 0.005
READY_WITHIN_S = 180


@dataclass(frozen=True, kw_only=True)
class Boot:
    """How long one container took."""

    engine_s: float
    """Create and start, as the Engine answers them."""
    agent_s: float
    """From there until the agent says that it is ready."""


class EngineFloor:
    """Boots containers that are in everything like those of tenants."""

    def __init__(
        self, *, docker: aiodocker.Docker, runtime: DockerRuntime, units: FolderUnits, seating: Seating
    ) -> None:
        self._docker = docker
        self._runtime = runtime
        self._units = units
        self._seating = seating

    async def boot(self, agent: Agent, spec: Spec) -> Boot:
        """One container from nothing to ready; what Innkeeper does besides is done before the clock starts."""
        async with self._prepared(spec) as (config, address):
            began = perf_counter()
            container = await self._docker.containers.create(config, name=f"{self._runtime.namespace}-bare")
            try:
                await container.start()
                started = perf_counter()
                await until_ready(agent, spec, address)
                return Boot(engine_s=started - began, agent_s=perf_counter() - started)
            finally:
                await container.delete(force=True, v=True)

    @asynccontextmanager
    async def container(self, spec: Spec) -> AsyncIterator[tuple[DockerContainer, str]]:
        """A container that isn't started yet, and its address."""
        async with self._prepared(spec) as (config, address):
            container = await self._docker.containers.create(config, name=f"{self._runtime.namespace}-bare")
            try:
                yield container, address
            finally:
                await container.delete(force=True, v=True)

    @asynccontextmanager
    async def _prepared(self, spec: Spec) -> AsyncIterator[tuple[dict[str, Any], str]]:
        tenant = Tenant(id=new_id("tn"), name="floor", spec=spec, slot=0, created_at=utc_now())
        await self._seating.prepare(tenant)
        try:
            config = await self._as_the_runtime_would(tenant)
            yield config, (await self._runtime.place(tenant.slot)).address
        finally:
            await self._units.erase(tenant.name)

    async def _as_the_runtime_would(self, tenant: Tenant) -> dict[str, Any]:
        """The whole request that makes a tenant's container, read back from one that was made."""
        instance = await self._runtime.create(await self._seating.blueprint(tenant))
        assert instance.id is not None
        shown = await self._docker.containers.container(instance.id).show()
        await self._runtime.remove(instance)
        endpoints = {
            name: {"IPAMConfig": endpoint["IPAMConfig"]}
            for name, endpoint in shown["NetworkSettings"]["Networks"].items()
        }
        return {
            **shown["Config"],
            "HostConfig": shown["HostConfig"],
            "NetworkingConfig": {"EndpointsConfig": endpoints},
        }


class NoSecrets:
    """A vault with nothing in it."""

    async def reveal_all(self, names: Collection[str], tenant: Tenant) -> Mapping[str, str]:
        """Never asked for any."""
        raise AssertionError(names)


async def until_ready(agent: Agent, spec: Spec, address: str) -> None:
    """Ask the agent at that address every 5 ms until it says that it is ready."""
    prober, probe = HttpProber(), agent.probe(spec)
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            while (answer := await prober.ask(address, probe)) is None or not agent.is_ready(*answer):  # noqa: ASYNC110
                await asyncio.sleep(PROBE_EVERY_S)
    finally:
        await prober.close()


@asynccontextmanager
async def engine_floor(data: Path, env: Mapping[str, str]) -> AsyncIterator[EngineFloor]:
    """A floor in a namespace and folder of its own; its network stands for as long as the block runs."""
    settings = Settings(data=data, namespace=env["INNKEEPER_NAMESPACE"], docker_socket=env["INNKEEPER_DOCKER_SOCKET"])
    async with AsyncExitStack() as stack:
        docker = await stack.enter_async_context(aiodocker.Docker(url=f"unix://{settings.docker_socket}"))
        runtime = make_runtime(settings)
        assert isinstance(runtime, DockerRuntime)
        stack.push_async_callback(runtime.close)
        stack.push_async_callback(runtime.prune, ())
        units = FolderUnits(data / "tenants")
        keyring = Keyring.open(data)
        seating = Seating(
            agents=AGENTS,
            runtime=runtime,
            units=units,
            tokens=keyring,
            secrets=NoSecrets(),
            keys=keyring,
            hosting=settings.hosting,
            compose=render_compose,
            broker_port=settings.broker_port,
            model=MODEL,
        )
        yield EngineFloor(docker=docker, runtime=runtime, units=units, seating=seating)
