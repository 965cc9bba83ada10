"""Whole drills of the real agents: what one has said before its snapshot was taken is found in it, where nobody is
reached."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import aiodocker
import pytest

from innkeeper.agents import AGENTS
from innkeeper.core.access import SYSTEM
from innkeeper.core.drill import Drill, Outcome
from innkeeper.core.drill_run import Gear
from innkeeper.core.drills import DrillWork
from innkeeper.core.instance import Place
from innkeeper.core.manifest import manifest_of
from innkeeper.core.operations import Operation
from innkeeper.core.ports import Agent
from innkeeper.core.ports.snapshots import LOCAL, Repository
from innkeeper.core.tenant import Tenant
from innkeeper.edge.prober import HttpProber
from innkeeper.runtimes.docker_drill import DockerDrillRoom
from tests.agents.seats import spec_for
from tests.agents.test_real import chat, docker, place, running, said, write
from tests.support.docker_bench import DockerBench, docker_bench
from tests.support.drills import Range, a_range
from tests.support.fake_provider import FakeProvider
from tests.support.serving import serving

__all__ = ["docker", "place"]

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]
NANOBOT, OPENCLAW = "innkeeper/nanobot:0.3.5", "innkeeper/openclaw:2026.9.6"


@dataclass(frozen=True, kw_only=True)
class Hall:
    """Real snapshots and a real room."""

    range_: Range
    work: DrillWork
    room: DockerDrillRoom
    folder: Path

    async def drilled(self) -> tuple[Operation, Drill]:
        """How one of alice's went."""
        operation = await self.range_.drills.begin("alice", actor=SYSTEM)
        async with self.range_.carrying_out(self.work):
            ended = await self.range_.house.control.wait(operation.id, timeout_s=200)
        async with self.range_.house.store.look() as read:
            drill = await read.drills.get(operation.id)
        assert drill is not None, ended
        assert await self.room.leftovers() == []
        assert await self.range_.staging.names() == []
        return ended, drill


@asynccontextmanager
async def hall(bench: DockerBench) -> AsyncIterator[Hall]:
    range_ = await a_range(bench.folder)
    room, prober = DockerDrillRoom(socket=bench.proxy.path, namespace=bench.namespace), HttpProber()
    gear = Gear(snapshots=range_.snapshots, room=room, staging=range_.staging, prober=prober, agents=AGENTS)
    house = range_.house
    work = DrillWork(
        gear=gear, catalogue=range_.catalogue, berth=range_.berth, store=house.store, bus=house.bus, clock=house.clock
    )
    try:
        yield Hall(range_=range_, work=work, room=room, folder=bench.folder / "alice")
    finally:
        await prober.close()
        await room.tear_down()
        await room.release()


async def having_chatted(docker: aiodocker.Docker, agent: Agent, image: str, folder: Path, place: Place) -> None:
    """It was told something, and killed in the middle of its life: its locks and logs are as a frozen one's."""
    folder.mkdir()
    async with serving(FakeProvider(), place.gateway) as broker:
        write(agent, folder, broker_url=broker, place=place)
        async with running(docker, agent, image, folder, place) as url:
            assert said(await chat(agent, url)) == "Hello there."


async def snapshot(found: Hall, agent: Agent, image: str) -> Tenant:
    """As a backup takes one."""
    tenant = await found.range_.tenant()
    spec = replace(spec_for(agent), release=image.partition(":")[2], image=image)
    about = found.folder.parent / "about"
    about.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    manifest = manifest_of(
        replace(tenant, spec=spec), snapshot="snap_1", taken_at=now, consented=True, packs={}, secrets=()
    )
    (about / "manifest.json").write_bytes(manifest.dumped())
    repository = Repository(target=LOCAL, owner=tenant.id)
    await found.range_.snapshots.ready(repository)
    folders = {"/persistence": found.folder, "/innkeeper": about}
    await found.range_.snapshots.save(repository, folders, name="alice", at=now)
    return tenant


def break_in_the_middle(database: Path) -> None:
    """With all of it in the one file first."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'transcript_events'").fetchone()[0]
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(os.urandom(size))


async def test_nanobots_snapshot_is_proven_and_a_torn_session_isnt(docker: aiodocker.Docker, place: Place) -> None:
    agent = AGENTS["nanobot"]
    async with docker_bench() as bench, hall(bench) as found:
        await having_chatted(docker, agent, NANOBOT, found.folder, place)
        tenant = await snapshot(found, agent, NANOBOT)
        ended, drill = await found.drilled()
        assert drill.outcome is Outcome.PROVEN, (ended.error, drill)
        assert (drill.sessions, drill.release) == (1, "nanobot 0.3.5")

        [session] = found.folder.glob(".nanobot/sessions/*/*.jsonl")
        session.write_bytes(session.read_bytes()[:-20])
        await snapshot(found, agent, NANOBOT)
        ended, drill = await found.drilled()
        assert (drill.outcome, drill.failed_at) == (Outcome.FAILED, "looking through what it kept")
        assert session.name in (drill.says or "")

        found.range_.damage(tenant)
        ended, drill = await found.drilled()
        assert drill.outcome is Outcome.FAILED, drill
        assert [alert.code for alert in found.range_.alerts] == ["drill.failed", "drill.failed"]


@pytest.mark.openclaw
async def test_openclaws_snapshot_is_proven_with_its_sessions_and_a_broken_database_isnt(
    docker: aiodocker.Docker, place: Place
) -> None:
    agent = AGENTS["openclaw"]
    async with docker_bench() as bench, hall(bench) as found:
        await having_chatted(docker, agent, OPENCLAW, found.folder, place)
        await snapshot(found, agent, OPENCLAW)
        ended, drill = await found.drilled()
        assert drill.outcome is Outcome.PROVEN, (ended.error, drill)
        assert drill.sessions == 1, "by its own word"

        [database] = found.folder.glob(".openclaw/agents/main/agent/openclaw-agent.sqlite")
        break_in_the_middle(database)
        await snapshot(found, agent, OPENCLAW)
        ended, drill = await found.drilled()
        assert (drill.outcome, drill.failed_at) == (Outcome.FAILED, "looking through what it kept"), drill
        assert "openclaw-agent.sqlite" in (drill.says or "")
