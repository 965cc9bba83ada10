"""The drills' room in memory: holds the contract and runs nothing; for tests and for trying things out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from innkeeper.core.errors import ImageMissing, Problem, RuntimeFault
from innkeeper.core.events import utc_now
from innkeeper.core.instance import Execution, Instance, LogLine, Place, State, absent
from innkeeper.core.ports import Blueprint

Answer = Callable[[str, Blueprint], Execution]


def _ends_well(_drill: str, _blueprint: Blueprint) -> Execution:
    return Execution(exit_code=0, output=b"")


class MemoryDrillRoom:
    """A room that only remembers."""

    def __init__(self) -> None:
        self.blueprints: dict[str, Blueprint] = {}
        """What was opened, by drill; it stays for whoever looks at it afterwards."""
        self.networks: set[str] = set()
        self.instances: dict[str, Instance] = {}
        self.missing_images: set[str] = set()
        self.dies: tuple[int, bool] | None = None
        """With which exit code, and whether for want of memory, the next instances end at once."""
        self.fault: Problem | None = None
        """What every call but close raises."""
        self.says: tuple[str, ...] = ()
        self.answer: Answer = _ends_well
        """What programs that are run once say."""
        self.address = "127.127.0.2"

    async def ready(self, drill: str) -> Place:
        self._may_fail()
        self.networks.add(drill)
        return Place(network=f"drill-{drill}", address=self.address, gateway="127.127.0.1")

    async def run_once(self, drill: str, blueprint: Blueprint, *, timeout_s: float) -> Execution:
        await self._made(drill, blueprint)
        return self.answer(drill, blueprint)

    async def open(self, drill: str, blueprint: Blueprint) -> None:
        await self._made(drill, blueprint)
        self.blueprints[drill] = blueprint
        running = Instance(tenant=blueprint.tenant, state=State.RUNNING, id=f"drill-{drill}", started_at=utc_now())
        if self.dies is not None:
            code, out_of_memory = self.dies
            running = replace(running, state=State.STOPPED, exit_code=code, out_of_memory=out_of_memory)
        self.instances[drill] = running

    async def state(self, drill: str) -> Instance:
        self._may_fail()
        return self.instances.get(drill) or absent(drill)

    async def logs(self, drill: str, *, tail: int) -> AsyncIterator[LogLine]:
        self._there(drill)
        for text in self.says[-tail:]:
            yield LogLine(at=utc_now(), stream="stdout", text=text)

    async def close(self, drill: str) -> None:
        self.instances.pop(drill, None)
        self.networks.discard(drill)

    async def leftovers(self) -> Sequence[str]:
        return sorted(self.networks | self.instances.keys())

    async def release(self) -> None:
        """Nothing to let go of."""

    async def _made(self, drill: str, blueprint: Blueprint) -> None:
        await self.ready(drill)
        if blueprint.image in self.missing_images:
            raise ImageMissing(f"The image {blueprint.image} of {blueprint.tenant} isn't here.")

    def _may_fail(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _there(self, drill: str) -> None:
        self._may_fail()
        if drill not in self.instances:
            raise RuntimeFault(f"The instance of the drill {drill} has vanished.")
