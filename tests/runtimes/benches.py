"""The contract suite's benches: the same few hands over each runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from innkeeper.core.instance import Execution, Instance
from innkeeper.core.ports import Blueprint, Runtime
from innkeeper.core.tenant import Limits
from innkeeper.runtimes.memory import MemoryRuntime
from tests.support.docker_bench import DockerBench, docker_bench


class Bench(Protocol):
    """A runtime, and what the world does to it."""

    @property
    def runtime(self) -> Runtime: ...
    def blueprint(self, tenant: str = "alice", *, slot: int = 0, **others: Any) -> Blueprint: ...
    async def started(self, tenant: str = "alice", *, slot: int = 0) -> Instance:
        """A running instance that has written a line to each stream."""
        ...

    async def stranger_takes(self, tenant: str) -> None: ...
    async def stranger_is_unharmed(self, tenant: str) -> bool: ...
    async def by_hand_remove(self, tenant: str) -> None: ...
    async def crash(self, tenant: str, exit_code: int) -> None: ...
    async def crash_for_ever(self, tenant: str, exit_code: int) -> Instance:
        """An instance that waits between two restarts."""
        ...

    async def go_down(self) -> None: ...
    async def come_back(self) -> None: ...


class MemoryBench:
    """Hands over the memory runtime."""

    def __init__(self) -> None:
        self.runtime = MemoryRuntime()
        self.runtime.answer = _answer

    def blueprint(self, tenant: str = "alice", *, slot: int = 0, **others: Any) -> Blueprint:
        usual: dict[str, Any] = {
            "tenant_id": f"{tenant}-1",
            "revision": 1,
            "agent": "custom",
            "release": "1",
            "image": "sha256:tiny",
            "limits": Limits(memory_mb=64, cpus=0.5, pids=64),
            "persistence": str(Path("/nowhere") / tenant),
        }
        if others.get("image", "").startswith("sha256:0000"):
            self.runtime.missing_images.add(others["image"])
        return Blueprint(tenant=tenant, slot=slot, **(usual | others))

    async def started(self, tenant: str = "alice", *, slot: int = 0) -> Instance:
        instance = await self.runtime.create(self.blueprint(tenant, slot=slot))
        await self.runtime.start(instance)
        self.runtime.say(tenant, "serving on 8080")
        self.runtime.say(tenant, "a word on the other stream", stream="stderr")
        return await self.runtime.get(tenant)

    async def stranger_takes(self, tenant: str) -> None:
        self.runtime.foreign.add(tenant)

    async def stranger_is_unharmed(self, tenant: str) -> bool:
        return tenant in self.runtime.foreign

    async def by_hand_remove(self, tenant: str) -> None:
        self.runtime.by_hand_remove(tenant)

    async def crash(self, tenant: str, exit_code: int) -> None:
        self.runtime.crash(tenant, exit_code=exit_code)

    async def crash_for_ever(self, tenant: str, exit_code: int) -> Instance:
        await self.started(tenant)
        self.runtime.crash(tenant, exit_code=exit_code, stuck=True)
        return await self.runtime.get(tenant)

    async def go_down(self) -> None:
        self.runtime.down = True

    async def come_back(self) -> None:
        self.runtime.down = False


def _answer(_instance: Instance, command: Any) -> Execution:
    """What the tiny image's shell would say to the suite's one question."""
    assert command == ["sh", "-c", "echo out; echo err >&2; exit 3"]
    return Execution(exit_code=3, output=b"out\nerr\n")


class ContractDockerBench:
    """The same hands over real containers."""

    def __init__(self, bench: DockerBench) -> None:
        self._bench = bench
        self.runtime = bench.runtime
        self.blueprint = bench.blueprint
        self._strangers: dict[str, str] = {}

    async def started(self, tenant: str = "alice", *, slot: int = 0) -> Instance:
        instance = await self.runtime.create(self.blueprint(tenant, slot=slot))
        await self.runtime.start(instance)
        written = 0
        async for _line in self.runtime.logs(instance, follow=True):
            written += 1
            if written == 2:
                break
        return await self.runtime.get(tenant)

    async def stranger_takes(self, tenant: str) -> None:
        self._strangers[tenant] = await self._bench.stranger(tenant)

    async def stranger_is_unharmed(self, tenant: str) -> bool:
        shown = await self._bench.inspect(tenant)
        return bool(shown["Id"] == self._strangers[tenant] and shown["State"]["Status"] == "created")

    async def by_hand_remove(self, tenant: str) -> None:
        name = f"{self._bench.namespace}-{tenant}"
        await self._bench.docker.containers.container(name).delete(force=True)

    async def crash(self, tenant: str, exit_code: int) -> None:
        events = self.runtime.events()
        await anext(events)
        instance = await self.runtime.get(tenant)
        await self.runtime.run(instance, ["crash", str(exit_code)], timeout_s=10)
        async for event in events:
            if event.action == "start":
                return

    async def crash_for_ever(self, tenant: str, exit_code: int) -> Instance:
        events = self.runtime.events()
        await anext(events)
        blueprint = self.blueprint(tenant, env={"EXIT_AT_ONCE": str(exit_code)})
        await self.runtime.start(await self.runtime.create(blueprint))
        async for event in events:
            if event.action == "die" and (now := await self.runtime.get(tenant)).stuck:
                return now
        raise AssertionError("events end never")

    async def go_down(self) -> None:
        await self._bench.proxy.down()

    async def come_back(self) -> None:
        await self._bench.proxy.up()


@asynccontextmanager
async def opened(kind: str) -> AsyncIterator[Bench]:
    """A bench of either kind."""
    if kind == "memory":
        yield MemoryBench()
        return
    async with docker_bench() as bench:
        yield ContractDockerBench(bench)
