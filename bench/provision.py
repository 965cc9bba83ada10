"""Provisioning: from `POST /v1/tenants` to a ready agent, split into the Engine's part, the agent's and ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import aiodocker

from bench.engine_floor import Boot, EngineFloor, engine_floor, until_ready
from bench.plane import Plane, folder, plane
from bench.report import Area, Floor, Judged, Row, Target, row
from bench.samples import samples
from innkeeper.agents import AGENTS
from innkeeper.core.tenant import Spec
from innkeeper.runtimes.docker_container import container_name, started

MORE = Target(judged=Judged.EXCESS, at_most=1.0)
OURS = Target(at_most=1.0)
LOOK_EVERY_S = 0.02
NAME = "a"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One tenant's way from being asked for to ready."""

    total_s: float
    agent_s: float
    """From the start of its process until it says itself that it is ready."""


@dataclass(kw_only=True)
class Course:
    """All tenants and all bare containers of one agent."""

    spec: Spec
    ways: list[Way] = field(default_factory=list)
    boots: list[Boot] = field(default_factory=list)


async def measure(*, quick: bool) -> Area:
    """Innkeeper and the bare Engine in turn, each with a container of its own from nothing."""
    times = {"nanobot": 3, "openclaw": 1} if quick else {"nanobot": 10, "openclaw": 6}
    async with plane() as house:
        await house.start()
        courses = [Course(spec=await _spec(house, agent)) for agent in times]
        began = time.perf_counter()
        await house.create("first", agent="nanobot")  # it stays, and so does the network
        first = Row(
            what="nanobot, the very first tenant",
            value=time.perf_counter() - began,
            unit="s",
            note="the tenants' network and the firewall's table are made on the way",
        )
        for course in courses:
            await _run(house, course, times[course.spec.agent])
    counts = ", ".join(f"{agent} {count}" for agent, count in times.items())
    return Area(
        name="provision",
        how=f"create → ready over the API, and in turn the same container made by the Engine alone ({counts} times "
        "each). The agent is asked every 5 ms from outside. Told in two ways: by the difference of the totals, which "
        "holds whatever slows the agent down; and as the rest of the total without the agent's own time in the same "
        "run and without what the Engine took alone, which doesn't.",
        rows=[first, *(line for course in courses for line in _rows(course))],
    )


async def _spec(house: Plane, agent: str) -> Spec:
    done = await house.cli("image", "build", agent)
    assert done.returncode == 0, done.stderr
    async with house.api() as api:
        newest = (await api.get("/v1/releases", params={"agent": agent})).json()["items"][0]
    return Spec(agent=agent, release=newest["version"], image=newest["image"], limits=AGENTS[agent].limits)


async def _run(house: Plane, course: Course, times: int) -> None:
    env = house.env | {"INNKEEPER_NAMESPACE": f"{house.namespace}-f"}
    with folder() as data:
        async with engine_floor(data, env) as floor:
            await _pair(house, floor, Course(spec=course.spec))  # warm up: the image comes from the disk only once
            for number in range(times):
                await _pair(house, floor, course, floor_first=bool(number % 2))


async def _pair(house: Plane, floor: EngineFloor, course: Course, *, floor_first: bool = False) -> None:
    """Both in turn; which is first alternates, so that neither always finds the machine as the other left it."""
    if floor_first:
        course.boots.append(await floor.boot(AGENTS[course.spec.agent], course.spec))
    course.ways.append(await _way(house, course.spec))
    await house.delete(NAME)
    if not floor_first:
        course.boots.append(await floor.boot(AGENTS[course.spec.agent], course.spec))


async def _way(house: Plane, spec: Spec) -> Way:
    watching = asyncio.create_task(_agent_s(house, spec))
    began = time.perf_counter()
    await house.create(NAME, agent=spec.agent)
    total_s = time.perf_counter() - began
    return Way(total_s=total_s, agent_s=await watching)


async def _agent_s(house: Plane, spec: Spec) -> float:
    async with aiodocker.Docker(url=f"unix://{house.docker_socket}") as docker:
        while True:
            try:
                shown = await docker.containers.container(container_name(house.namespace, NAME)).show()
            except aiodocker.DockerError:
                shown = None
            if shown and shown["State"]["Running"]:
                break
            await asyncio.sleep(LOOK_EVERY_S)
    (network,) = shown["NetworkSettings"]["Networks"].values()
    await until_ready(AGENTS[spec.agent], spec, network["IPAddress"])
    since = started(shown["State"]["StartedAt"])
    assert since is not None
    return time.time() - since.timestamp()


def _rows(course: Course) -> list[Row]:
    name = course.spec.agent
    total = samples(way.total_s for way in course.ways)
    alone = samples(boot.engine_s + boot.agent_s for boot in course.boots)
    engine = samples(boot.engine_s for boot in course.boots)
    agent_alone = Floor(what="alone", value=samples(boot.agent_s for boot in course.boots).p50)
    ours = samples(way.total_s - way.agent_s - engine.p50 for way in course.ways)
    every = f"each of {len(ours.values)}: {_each(way.total_s for way in course.ways)}; alone: "
    every += _each(boot.engine_s + boot.agent_s for boot in course.boots)
    slowest = f"the slowest of {len(ours.values)}: {ours.largest:.2f} s"
    return [
        row(
            f"{name}, create → ready",
            total,
            "s",
            floor=Floor(what="Engine and agent alone", value=alone.p50),
            target=MORE,
            note=every,
        ),
        row(f"{name}: the agent's own", samples(way.agent_s for way in course.ways), "s", floor=agent_alone),
        row(f"{name}: the Engine's, alone", engine, "s"),
        row(f"{name}: ours", ours, "s", target=OURS, note=slowest),
    ]


def _each(seconds: Iterable[float]) -> str:
    return ", ".join(f"{taken:.2f}" for taken in seconds)
