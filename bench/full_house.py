"""The control plane over a memory runtime that is full from the start: `python -m bench.full_house COUNT serve|tick`.

`serve` is `innkeeper serve` itself with nothing but the runtime exchanged: its instances run and are ready, as the
seeded rows say, so there is nothing to do but what is always to be done. `tick` times that in the same process.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import perf_counter

import uvloop

from bench.seed import instance_of
from innkeeper import serve, wiring
from innkeeper.core.idle import due
from innkeeper.runtimes.addressing import network_index
from innkeeper.runtimes.memory import MemoryRuntime
from innkeeper.settings import Settings
from innkeeper.telemetry import set_up_logs

ROUNDS = 20
WHOLE_MB = 64


class FullRuntime(MemoryRuntime):
    """Remembers instances that it never had to make."""

    def __init__(self, count: int, *, namespace: str) -> None:
        super().__init__(namespace=namespace)
        self._instances = {instance.tenant: instance for instance in map(instance_of, range(count))}
        self._networks = {network_index(number) for number in range(count)}

    def _whole_bytes(self, tenant: str) -> int:
        return WHOLE_MB << 20  # there are no blueprints that would say


def main(count: int, what: str) -> int:
    """Do as the command line says."""
    wiring.make_runtime = lambda settings: FullRuntime(count, namespace=settings.namespace)
    settings = Settings.load()
    if what == "serve":
        return serve.run(settings)
    set_up_logs(level="warning")
    print(json.dumps(uvloop.run(_tick(settings, count))))
    return 0


async def _tick(settings: Settings, count: int) -> dict[str, list[float]]:
    async with wiring.build(settings) as house:
        queued = await house.loops.tick()
        assert queued == 0, f"{queued} tenants aren't settled: the seed and the runtime disagree"
        tick = [await _timed(house.loops.tick) for _ in range(ROUNDS)]
        sweep = [await _timed(house.inn.dormitory.sweeper.sweep) for _ in range(ROUNDS)]
        judged = [_judgement_ms(house, count) for _ in range(ROUNDS)]
        load = [await _timed(house.inn.directory.load) for _ in range(ROUNDS)]
    return {
        "tick_ms": [taken for taken, _ in tick],
        "tick_stall_ms": [stall for _, stall in tick],
        "sweep_ms": [taken for taken, _ in sweep],
        "judged_ms": judged,
        "load_ms": [taken for taken, _ in load],
        "load_stall_ms": [stall for _, stall in load],
    }


def _judgement_ms(house: wiring.House, count: int) -> float:
    """How long it takes to judge all of them on a day on which all of them are due."""
    directory, tomorrow = house.inn.directory, house.inn.clock.now() + timedelta(days=1)
    began = perf_counter()
    found = due(directory, directory.last_activity, tomorrow)
    taken_ms = (perf_counter() - began) * 1000
    assert len(found) == count, f"{len(found)} of {count} are due"
    return taken_ms


async def _timed(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """How long the work took, and for how long at a stretch nothing else got its turn meanwhile."""
    stall = _Stall()
    watching = asyncio.create_task(stall.watch())
    await asyncio.sleep(0)
    began = perf_counter()
    await work()
    taken_ms = (perf_counter() - began) * 1000
    await asyncio.sleep(0)
    watching.cancel()
    return taken_ms, stall.longest_ms


class _Stall:
    """The longest time for which the event loop came to nobody else."""

    longest_ms = 0.0

    async def watch(self) -> None:
        """Look at the clock at every turn of the loop until cancelled."""
        while True:
            before = perf_counter()
            await asyncio.sleep(0)
            self.longest_ms = max(self.longest_ms, (perf_counter() - before) * 1000)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))
