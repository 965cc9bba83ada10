"""One run of a drill: the snapshot laid out, looked through, started where it reaches nobody, and asked."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from innkeeper.core.drill import StepTaken
from innkeeper.core.drill_errors import DrillFailed
from innkeeper.core.errors import DiskFull, ImageMissing, Problem, UnknownAgent
from innkeeper.core.instance import Instance, Place, State
from innkeeper.core.last_words import BYTES_KEPT, LINES_KEPT
from innkeeper.core.manifest import PATH, PERSISTENCE, READ_LIMIT_BYTES, read_manifest
from innkeeper.core.ports import Agent, Blueprint, Prober, Seat, Units
from innkeeper.core.ports.drills import DrillRoom, Staging
from innkeeper.core.ports.snapshots import EntryKind, Repository, SnapshotStore
from innkeeper.core.redaction import redact
from innkeeper.core.snapshot_errors import SnapshotDamaged
from innkeeper.core.tenant import Spec
from innkeeper.core.uses import NO_USES

DISK_LEFT_BYTES = 512 << 20
"""So much of the disk is left when the snapshot is laid out: the tenants write there, too."""
EXAMINED_WITHIN_S = 300.0
LOOK_EVERY_S = 0.5
ASKED_TIMES = 3
STEPS = 8
NOWHERE = "http://192.0.2.7:9"
"""Nobody's address (RFC 5737), as that of the broker: there is none for a drill."""
MB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Gear:
    """What a run works with."""

    snapshots: SnapshotStore
    room: DrillRoom
    staging: Staging
    prober: Prober
    agents: Mapping[str, Agent]


@dataclass(kw_only=True)
class DrillRun:
    """How far one is, and what it has found."""

    gear: Gear
    drill: str
    tenant: str
    tenant_id: str
    repository: Repository
    snapshot: str
    tell: Callable[[str, int, int], None]
    hostname: str | None = None
    """Of the instance that the snapshot was taken of."""
    release: str | None = None
    sessions: int | None = None
    now: str = "beginning"
    """The step that is under way."""
    steps: list[StepTaken] = field(default_factory=list)

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        """Tell of it, and take its time."""
        self.now = name
        self.tell(name, len(self.steps), STEPS)
        began = time.monotonic()
        try:
            yield
        finally:
            self.steps.append(StepTaken(step=name, seconds=round(time.monotonic() - began, 3)))

    async def described(self) -> tuple[Spec, Agent]:
        """How the snapshot says that its tenant was."""
        async with self.step("reading the manifest"):
            said = await self.gear.snapshots.read(self.repository, self.snapshot, PATH, limit=READ_LIMIT_BYTES)
            manifest = read_manifest(said)
            if manifest.tenant_id != self.tenant_id:
                raise SnapshotDamaged(f"Its manifest says that it is of another tenant, {manifest.name}.")
            spec, self.hostname = manifest.spec, manifest.hostname
            agent = self.gear.agents.get(spec.agent)
            if agent is None:
                raise UnknownAgent(f"This control plane knows no agent {spec.agent!r}.")
            self.release = f"{spec.agent} {spec.release}"
            return spec, agent

    async def laid_out(self) -> Units:
        """The snapshot's data on this host's disk, if it fits."""
        gear = self.gear
        async with self.step("measuring the snapshot"):
            size = await self._size()
            free = await gear.staging.free_bytes()
            if size + DISK_LEFT_BYTES > free:
                raise DiskFull(
                    f"The snapshot takes {size // MB} MB, and of the disk's {free // MB} MB that are free "
                    f"{DISK_LEFT_BYTES // MB} MB are to be left.",
                    hint="Make room on the disk that holds the data directory.",
                )
        async with self.step("restoring"):
            units = gear.staging.units(self.drill)
            folder = await gear.staging.make(self.drill, self.tenant)
            await gear.snapshots.restore(self.repository, self.snapshot, folder, paths=[PERSISTENCE])
            await gear.staging.check(self.drill, self.tenant)
        return units

    async def _size(self) -> int:
        entries = self.gear.snapshots.entries(self.repository, self.snapshot, PERSISTENCE)
        size = 0
        async with aclosing(entries) as listed:
            async for entry in listed:
                size += entry.size if entry.kind is EntryKind.FILE else 0
        return size

    async def looked_through(self, spec: Spec, agent: Agent, blueprint: Blueprint) -> None:
        """What the agent kept is whole, by a program in its own image."""
        command = agent.examination(spec)
        if not command:
            return
        async with self.step("looking through what it kept"):
            looking = replace(blueprint, command=tuple(command))
            async with self._with_its_image():
                ended = await self.gear.room.run_once(self.drill, looking, timeout_s=EXAMINED_WITHIN_S)
            said = redact(ended.output.decode(errors="replace"))[-BYTES_KEPT:]
            if ended.exit_code != 0:
                raise DrillFailed(f"What it kept isn't whole: {said or f'the look ended with {ended.exit_code}'}")
            self.sessions = agent.examined(ended.output)

    async def configured(self, spec: Spec, agent: Agent, units: Units, place: Place) -> str:
        """Its config for this place: fenced, without the broker, with a credential that nobody else has; that."""
        async with self.step("configuring"):
            token = secrets.token_hex(24)
            seat = Seat(
                tenant=self.tenant,
                # What the spec says of the config lies in the file already, with the secrets.
                spec=replace(spec, uses=NO_USES, config={}),
                origins=("http://drill.invalid",),
                broker_url=NOWHERE,
                broker_token=secrets.token_hex(24),
                model="none",
                gateway_token=token,
                edge_address=place.gateway,
                fenced=True,
            )
            files = agent.render(seat, await units.read(self.tenant, agent.config_paths()))
            await units.write(self.tenant, files, compose="", env="")
            return token

    def blueprint(self, spec: Spec, agent: Agent, units: Units) -> Blueprint:
        """As the tenant's own would be, but for the fence."""
        return Blueprint(
            tenant=self.tenant,
            tenant_id=self.tenant_id,
            revision=0,
            slot=0,
            agent=spec.agent,
            release=spec.release,
            image=spec.image,
            limits=spec.limits,
            persistence=units.persistence(self.tenant),
            mount=agent.mount(spec),
            command=agent.command(spec),
            env={**spec.env, **agent.env(spec), **agent.fence(spec)},
            born_as=self.hostname,
        )

    async def started(self, blueprint: Blueprint) -> None:
        """It runs; nothing is said yet of whether it will be ready."""
        async with self.step("starting"), self._with_its_image():
            await self.gear.room.open(self.drill, blueprint)

    @asynccontextmanager
    async def _with_its_image(self) -> AsyncIterator[None]:
        try:
            yield
        except ImageMissing as missing:
            raise DrillFailed(
                f"The image of {self.release} isn't here, so no restore of this snapshot would start.",
                hint="See `innkeeper image list`, and build it anew with `innkeeper image build`.",
            ) from missing

    async def ready(self, spec: Spec, agent: Agent, place: Place) -> None:
        """It says so itself, within the time that it has for that as a tenant."""
        async with self.step("waiting until ready"):
            ends = time.monotonic() + agent.start_timeout_s
            while True:
                answer = await self.gear.prober.ask(place.address, agent.probe(spec))
                if answer is not None and agent.is_ready(*answer):
                    return
                instance = await self.gear.room.state(self.drill)
                if instance.state is not State.RUNNING:
                    raise DrillFailed(await self._with_last_words(f"It ended while it started{_how(instance)}."))
                if time.monotonic() > ends:
                    late = f"It isn't ready after {agent.start_timeout_s} s."
                    raise DrillFailed(await self._with_last_words(late))
                await asyncio.sleep(LOOK_EVERY_S)

    async def asked(self, spec: Spec, agent: Agent, place: Place, token: str) -> None:
        """How many sessions it knows, where it tells."""
        question = agent.sessions(spec, token)
        if question is None:
            return
        async with self.step("reading its sessions"):
            for _ in range(ASKED_TIMES):
                answer = await self.gear.prober.ask(place.address, question)
                if answer is not None:
                    break
            else:
                raise DrillFailed(await self._with_last_words("It is ready, and doesn't answer when it is asked."))
            told = agent.sessions_told(*answer)
            self.sessions = self.sessions if told is None else told

    async def _with_last_words(self, says: str) -> str:
        try:
            lines = [line.text async for line in self.gear.room.logs(self.drill, tail=LINES_KEPT)]
        except Problem as problem:
            return f"{says} Its log can't be read: {problem.message}"
        # Before they are cut: half a secret wouldn't be known any more.
        words = redact("\n".join(lines))[-BYTES_KEPT:]
        return f"{says} Its last words:\n{words}" if words else f"{says} It wrote nothing."


def _how(instance: Instance) -> str:
    if instance.out_of_memory:
        return ", for its memory was used up"
    return "" if instance.exit_code is None else f", with exit code {instance.exit_code}"
