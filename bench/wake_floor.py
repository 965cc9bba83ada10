"""The floor under wakes: the same container, thawed, paged out and started by nobody but the Engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

from aiodocker.containers import DockerContainer

from bench.engine_floor import EngineFloor, until_ready
from innkeeper.agents import AGENTS
from innkeeper.core.tenant import Spec
from innkeeper.edge.prober import HttpProber
from innkeeper.host.pageout import PageOut


@dataclass(frozen=True, kw_only=True)
class BareSleeper:
    """One container that sleeps and wakes without us."""

    container: DockerContainer
    address: str
    spec: Spec

    async def thaw_s(self, *, paged: bool) -> float:
        """Frozen, then paged out where that is asked for; from the unpause until it has answered a request."""
        agent, prober = AGENTS[self.spec.agent], HttpProber()
        await self.container.pause()
        if paged:
            done = await PageOut().page_out((await self.container.show())["State"]["Pid"])
            assert done.skipped is None, done.skipped
        began = perf_counter()
        await self.container.unpause()
        answer = await prober.ask(self.address, agent.probe(self.spec))
        took_s = perf_counter() - began
        assert answer is not None
        await prober.close()
        return took_s

    async def start_s(self) -> float:
        """Stopped; from the start until the agent says that it is ready."""
        await self.container.stop(t=30)
        began = perf_counter()
        await self.container.start()
        await until_ready(AGENTS[self.spec.agent], self.spec, self.address)
        return perf_counter() - began


@asynccontextmanager
async def bare_sleeper(floor: EngineFloor, spec: Spec) -> AsyncIterator[BareSleeper]:
    """A container of that spec that is up."""
    async with floor.container(spec) as (container, address):
        await container.start()
        await until_ready(AGENTS[spec.agent], spec, address)
        await asyncio.sleep(1)
        yield BareSleeper(container=container, address=address, spec=spec)
