"""Waking: how long a request waits at each rung of the ladder, through the edge, beside what the Engine alone takes."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.engine_floor import EngineFloor, engine_floor
from bench.plane import Plane, folder, plane
from bench.report import Area, Floor, Judged, Row, Target, row
from bench.samples import samples
from bench.wake_burst import burst
from bench.wake_floor import bare_sleeper
from innkeeper.agents import AGENTS
from innkeeper.core.tenant import Spec
from innkeeper.host.swap import MB, Advice
from innkeeper.host.swap_setup import OwnSwap

THAW = Target(judged=Judged.RATIO, at_most=1.5)
START = Target(judged=Judged.EXCESS, at_most=200.0)
CHAT_MS = {"openclaw": Target(at_most=1000.0)}
ROUNDS = 20
"""Half as many cold starts of OpenClaw, which take half a minute each with all that belongs to them."""
ZRAM_MB, FILE_MB = 6144, 6144
NAME = "w"
SLEEP_AFTER_S = 3.0
"""What a request has begun is over by then, and sleep isn't held up."""


@dataclass(kw_only=True)
class Rung:
    """What was measured on one rung of one agent."""

    what: str
    tier: str
    first_byte_ms: list[float] = field(default_factory=list)
    chat_ms: list[float] = field(default_factory=list)
    floor_ms: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    charged_mb: list[float] = field(default_factory=list)
    zram_mb: list[float] = field(default_factory=list)


async def measure(*, quick: bool) -> Area:
    """Each rung in turn, ours and the floor's side by side; then floods."""
    rows: list[Row] = []
    missing: list[str] = []
    async with plane() as house:
        await house.start()
        for agent in ("nanobot", "openclaw"):
            times = (5 if agent == "nanobot" else 3) if quick else ROUNDS
            spec = await _spec(house, agent)
            env = house.env | {"INNKEEPER_NAMESPACE": f"{house.namespace}-f"}
            with folder() as data:
                async with engine_floor(data, env) as floor:
                    rows += await _agent(house, floor, spec, times, missing)
        try:
            rows += await burst(house, sleepers=10 if quick else 100, requests=200 if quick else 1000)
        except AssertionError as error:  # the rest is worth having all the same
            missing.append(f"the floods: {str(error).splitlines()[0][:300]}")
    return Area(
        name="wake",
        how="A request at a sleeper, through Caddy and the gate, until its first byte; and in other rounds a whole "
        "chat against the demo model. In turn with it the same container by the Engine's API alone: unpause (or "
        "start) until it has answered the same request. Times in ms; memory as the tenant's document tells it.",
        rows=rows,
        missing=missing,
    )


async def _agent(house: Plane, floor: EngineFloor, spec: Spec, times: int, missing: list[str]) -> list[Row]:
    rungs: list[Rung] = []
    async with AsyncExitStack() as stack:
        await house.create(NAME, agent=spec.agent, sleep={"pause_after_s": None, "page_after_s": None})
        stack.push_async_callback(house.delete, NAME)
        bare = await stack.enter_async_context(bare_sleeper(floor, spec))
        guest = Guest(house, NAME, spec, await house.new_key(NAME))
        await guest.chat_ms()
        awake = await guest.memory()
        await asyncio.sleep(SLEEP_AFTER_S)
        rungs.append(await _rung(Rung(what="paused", tier="pause"), guest, lambda: bare.thaw_s(paged=False), times))
        for kind, size in (("zram", {"zram_bytes": ZRAM_MB * MB}), ("disk", {"file_bytes": FILE_MB * MB})):
            async with own_swap(**size):
                paged = Rung(what=f"paged out to {kind}", tier="page")
                rungs.append(await _rung(paged, guest, lambda: bare.thaw_s(paged=True), times))
                await guest.fetch_back()
        starts = max(3, times // 2) if spec.agent == "openclaw" else times
        rungs.append(await _rung(Rung(what="stopped", tier="stop"), guest, bare.start_s, starts))
    first = Row(what=f"{spec.agent}, awake: resident", value=float(awake["resident_mb"]), unit="MB")
    return [first, *(line for rung in rungs for line in _rows(spec.agent, rung))]


async def _rung(rung: Rung, guest: Guest, floor_s: Callable[[], Awaitable[float]], times: int) -> Rung:
    for _ in range(times):
        for wake, taken in ((guest.first_byte_ms, rung.first_byte_ms), (guest.chat_ms, rung.chat_ms)):
            asleep = await guest.sleep(rung.tier)
            if asleep is not None:
                rung.resident_mb.append(asleep["resident_mb"])
                rung.charged_mb.append(asleep["charged_mb"])
                rung.zram_mb.append(asleep["zram_mb"] or 0)
            taken.append(await wake())
            await asyncio.sleep(SLEEP_AFTER_S)
        rung.floor_ms.append(await floor_s() * 1000)
    return rung


class Guest:
    """Somebody who uses the tenant through the edge."""

    def __init__(self, house: Plane, name: str, spec: Spec, key: str) -> None:
        self._house = house
        self._name = name
        self._spec = spec
        self._key = key

    async def sleep(self, tier: str) -> dict[str, Any] | None:
        """Put it to sleep; its memory there."""
        async with self._house.api() as api:
            done = await api.post(f"/v1/tenants/{self._name}/sleep", params={"wait": 120}, json={"tier": tier})
            assert done.json()["status"] == "done", done.text
            while tier == "page" and not (await self._document())["sleep"]["paged"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        document = await self._document()
        assert document["state"] == ("stopped" if tier == "stop" else "paused"), document["state"]
        memory: dict[str, Any] | None = document["memory"]
        return memory

    async def first_byte_ms(self) -> float:
        """A request that the agent answers by itself."""
        probe = AGENTS[self._spec.agent].probe(self._spec)
        async with self._house.edge(self._name, self._key) as edge:
            began = perf_counter()
            async with edge.stream("GET", probe.path) as answer:
                took_ms = (perf_counter() - began) * 1000
                assert answer.status_code == 200, answer.status_code
                await answer.aread()
        return took_ms

    async def chat_ms(self) -> float:
        """One complete turn."""
        model = AGENTS[self._spec.agent].chat_model(self._spec)
        asked = {"messages": [{"role": "user", "content": "hello"}]} | ({"model": model} if model else {})
        async with self._house.edge(self._name, self._key) as edge:
            began = perf_counter()
            answer = await edge.post("/v1/chat/completions", json=asked)
            took_ms = (perf_counter() - began) * 1000
        assert answer.status_code == 200, answer.text
        return took_ms

    async def fetch_back(self) -> None:
        """Awake, with nothing left in the swap that is about to go."""
        await self.first_byte_ms()

    async def memory(self) -> dict[str, Any]:
        """As its document tells it."""
        memory: dict[str, Any] = (await self._document())["memory"]
        return memory

    async def _document(self) -> dict[str, Any]:
        async with self._house.api() as api:
            document: dict[str, Any] = (await api.get(f"/v1/tenants/{self._name}")).json()
        return document


@asynccontextmanager
async def own_swap(*, zram_bytes: int = 0, file_bytes: int = 0) -> AsyncIterator[None]:
    """Swap of one kind alone, for as long as the block runs."""
    advice = Advice(zram_bytes=zram_bytes, zram_algorithm="lz4" if zram_bytes else None, file_bytes=file_bytes, why=())
    with tempfile.TemporaryDirectory(prefix="ik-swap-") as place:
        swap, file = OwnSwap(label="ik-bench"), Path(place) / "swap"
        await swap.set_up(advice, file=file)
        try:
            yield
        finally:
            await swap.take_down(file=file)


async def _spec(house: Plane, agent: str) -> Spec:
    done = await house.cli("image", "build", agent)
    assert done.returncode == 0, done.stderr
    async with house.api() as api:
        newest = (await api.get("/v1/releases", params={"agent": agent})).json()["items"][0]
    return Spec(agent=agent, release=newest["version"], image=newest["image"], limits=AGENTS[agent].limits)


def _rows(agent: str, rung: Rung) -> list[Row]:
    floor = Floor(what="Engine alone", value=samples(rung.floor_ms).p50)
    target = START if rung.tier == "stop" else THAW
    rows = [
        row(f"{agent}, {rung.what} → first byte", samples(rung.first_byte_ms), "ms", floor=floor, target=target),
        row(
            f"{agent}, {rung.what} → first chat answered",
            samples(rung.chat_ms),
            "ms",
            target=CHAT_MS.get(agent) if "zram" in rung.what else None,
        ),
    ]
    if rung.resident_mb:
        rows.append(row(f"{agent}, {rung.what}: resident", samples(rung.resident_mb), "MB"))
        rows.append(row(f"{agent}, {rung.what}: charged to its cgroup", samples(rung.charged_mb), "MB"))
    if any(rung.zram_mb):
        rows.append(row(f"{agent}, {rung.what}: as zram in RAM", samples(rung.zram_mb), "MB"))
    return rows
