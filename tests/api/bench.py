"""A whole control plane in memory behind its real API, for tests of the API and of the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
from fastapi import FastAPI

from innkeeper.api.app import create_app
from innkeeper.api.deps import BuiltImage, Footprint, Inn, Part
from innkeeper.broker.mcp.credentials import Credentials
from innkeeper.broker.mcp.tools import BrokeredTools
from innkeeper.broker.outbound import outbound_client
from innkeeper.core.access import SYSTEM, digest, new_secret
from innkeeper.core.asked_for import AskedFor
from innkeeper.core.costs import Figure, Source
from innkeeper.core.data_exports import DataExports
from innkeeper.core.door import Door
from innkeeper.core.dossier import Dossier
from innkeeper.core.drills import Drills
from innkeeper.core.errors import Problem
from innkeeper.core.exports import Exports
from innkeeper.core.fleet import Fleet
from innkeeper.core.hosts import Premises
from innkeeper.core.locksmith import Locksmith
from innkeeper.core.names import Names
from innkeeper.core.ports import Entrance
from innkeeper.core.prices import read_prices
from innkeeper.core.proofs import Proofs
from innkeeper.core.restored_files import RestoredFiles
from innkeeper.core.restored_spec import RestoredSpecs
from innkeeper.core.restores import Restores
from innkeeper.core.shelf import Shelf
from innkeeper.core.staging import Staging
from innkeeper.core.stillness import Stillness
from innkeeper.core.tenant import Spec
from innkeeper.core.tool_trail import ToolTrail
from innkeeper.core.works import Works
from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.images.saved import NoImages
from innkeeper.keyring import Keyring
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.works import WorkLoops
from innkeeper.restic import Calls, ResticStore
from innkeeper.units.crates import FolderCrates
from innkeeper.units.erase import erase
from innkeeper.units.fleet_compose import render_fleet
from innkeeper.units.stages import FolderStages
from tests.backups.house import Bench as Keeping
from tests.backups.house import make as backups_of
from tests.support.arriving import OWNER, importing_of
from tests.support.arriving import hospitable as hospitable_house
from tests.support.house import HOSTING, House, PlainAgent
from tests.support.packs import packs_for
from tests.support.people import PlainSeals, PlainTokens
from tests.support.restoring import RepositoryKeys
from tests.support.secrets import NamedSecrets

BODY_LIMIT = 100_000


class ServedAgent(PlainAgent):
    """A plain agent whose port a test chooses, so that it can serve one there."""

    port = 80
    model: str | None = "plain"

    def entrance(self, spec: Spec, gateway_token: str) -> Entrance:
        return replace(super().entrance(spec, gateway_token), port=self.port)

    def chat_model(self, spec: Spec) -> str | None:
        return self.model


@dataclass
class Builds:
    """The image builder of a test: says its lines, then has built, or raises `problem`."""

    lines: list[str] = field(default_factory=lambda: ["looking", "building"])
    problem: Problem | None = None
    hold: asyncio.Event | None = None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(
        self, agent: str, *, version: str | None, source: str, progress: Callable[[str], None]
    ) -> BuiltImage:
        for line in self.lines:
            progress(line)
        try:
            if self.hold:
                await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.problem:
            raise self.problem
        return SimpleNamespace(agent=agent, version=version or "2.0", image="sha256:built", source=source, size_mb=7)


@dataclass
class Surveyed:
    """The host of a test: 16 GB with 2 cores, a swap file as large, and nothing to be seen of any container."""

    host: Premises = field(
        default_factory=lambda: Premises(
            memory_mb=16384,
            used_mb=1024,
            cpus=2,
            zram_mb=0,
            zram_takes_mb=0,
            zram_ratio=Figure(source=Source.MISSING, says="there is no zram"),
            swap_mb=16384,
            disk_free_mb=100_000,
            places=32_000,
            tasks_allowed=32_768,
            tasks=200,
            inotify_allowed=128,
        )
    )
    seen: Callable[[str], Footprint] | None = None
    unit_mb: float | None = None

    async def premises(self) -> Premises:
        return self.host

    async def units_mb(self, tenants: Sequence[str]) -> Sequence[float]:
        return [] if self.unit_mb is None else [self.unit_mb for _ in tenants]

    async def footprints(self, instance_ids: Collection[str]) -> Mapping[str, Footprint]:
        return {} if self.seen is None else {each: self.seen(each) for each in instance_ids}


class Zone:
    """What resolves to where, and what was looked up."""

    def __init__(self) -> None:
        self.records: dict[str, set[str]] = {HOSTING.console_host: {"192.0.2.10", "2001:db8::10"}}
        self.asked: list[str] = []

    async def addresses(self, host: str) -> frozenset[str]:
        self.asked.append(host)
        return frozenset(self.records.get(host, ()))


@dataclass
class Bench:
    """The pieces, where tests can reach them."""

    house: House
    agent: ServedAgent
    inn: Inn
    app: FastAPI
    builds: Builds
    survey: Surveyed
    findings: list[Finding]
    parts: list[Part]
    admin_token: str
    zone: Zone
    secrets: NamedSecrets
    keeping: Keeping

    def client(self, token: str | None = None) -> httpx2.AsyncClient:
        """A client of the app in this process; as the admin unless a token is given."""
        transport = httpx2.ASGITransport(self.app)
        headers = {"Authorization": f"Bearer {self.admin_token if token is None else token}"}
        return httpx2.AsyncClient(transport=transport, base_url="http://inn", headers=headers)

    async def tenant(self, name: str = "alice") -> None:
        """A tenant that is ready."""
        operation = await self.house.create(name)
        ended = await self.house.control.wait(operation.id, timeout_s=20)
        assert ended.status == "done", ended

    async def key(self, tenant: str = "alice") -> tuple[str, str]:
        """The id and the secret of a new key."""
        key, secret = await self.house.keys.create(tenant, "test", actor=SYSTEM)
        return key.id, secret


def exports_of(house: House, data: Path) -> Exports:
    """Packs what lies in `data`."""
    return Exports(**_packing(house, data))


def data_exports_of(house: House, data: Path) -> DataExports:
    """The same for a person's data."""
    dossier = Dossier(store=house.store, seals=PlainSeals())
    return DataExports(dossier=dossier, tokens=PlainTokens(), **_packing(house, data))


def _packing(house: House, data: Path) -> dict[str, Any]:
    stillness = Stillness(
        store=house.store,
        runtime=house.runtime,
        suspensions=house.dormitory.suspensions,
        bus=house.bus,
        clock=house.clock,
        holder="exports",
        hurry=house.queue.add,
    )
    return {
        "store": house.store,
        "works": Works(store=house.store, bus=house.bus, clock=house.clock),
        "stillness": stillness,
        "crates": FolderCrates(data / "exports", data / "tenants"),
        "images": NoImages(),
        "seating": house.seating,
        "vault": house.vault,
        "seals": PlainSeals(),
        "clock": house.clock,
    }


def no_shelf(data: Path) -> Shelf:
    """With no target at all."""
    return Shelf(ResticStore(Calls([], RepositoryKeys(), data / "cache"), erase=erase), RepositoryKeys())


def restored_files_of(house: House, data: Path, shelf: Shelf) -> RestoredFiles:
    """Packs what that shelf has."""
    stages = FolderStages(data / "restores", data / "tenants", owner_uid=OWNER[0], owner_gid=OWNER[1])
    specs = RestoredSpecs(store=house.store, runtime=house.runtime, agents=house.control.agents)
    return RestoredFiles(
        staging=Staging(shelf=shelf, stages=stages, specs=specs),
        stages=stages,
        shelf=shelf,
        seating=house.seating,
        vault=house.vault,
        seals=PlainSeals(),
        store=house.store,
        crates=FolderCrates(data / "exports", data / "tenants", owner_uid=OWNER[0]),
        clock=house.clock,
    )


def restores_of(house: House, data: Path) -> Restores:
    """Restores from no target at all, unless a test gives another."""
    return Restores(
        store=house.store,
        shelf=no_shelf(data),
        specs=RestoredSpecs(store=house.store, runtime=house.runtime, agents=house.control.agents),
        units=house.units,
        works=Works(store=house.store, bus=house.bus, clock=house.clock),
        bus=house.bus,
        clock=house.clock,
        domain=HOSTING.domain,
    )


@asynccontextmanager
async def opened(data: Path, *, hospitable: bool = False) -> AsyncIterator[Bench]:
    """A control plane with its reconciler at work; a `hospitable` one has real folders and the real agents."""
    agent = ServedAgent()
    house = await hospitable_house(data, agent=agent) if hospitable else House(agent=agent)
    admin_token = new_secret("a")
    builds, survey, zone, secrets = Builds(), Surveyed(), Zone(), NamedSecrets()
    findings = [Finding(name="docker", status=Status.OK, says="Docker Engine 27 answers")]
    parts = [Part(name="memory", up=True, version="1"), Part(name="caddy", up=False, says="not started")]

    async def doctor() -> Sequence[Finding]:
        return findings

    async def tell_parts() -> Sequence[Part]:
        return parts

    door = Door(
        directory=house.directory,
        identities=house.identities,
        tickets=house.people.tickets,
        activator=house.activator,
        seating=house.seating,
        runtime=house.runtime,
        clock=house.clock,
        admin_digest=digest(admin_token),
        deadline_s=5,
    )
    out = outbound_client(["127.0.0.1"])
    tools = BrokeredTools(
        house={},
        own_client=out,
        house_client=out,
        credentials=Credentials(secrets=secrets, integrations=None),
        trail=ToolTrail(store=house.store, clock=house.clock, fingerprints=PlainSeals()),
        bus=house.bus,
    )
    packs = packs_for(house, data)
    keeping = backups_of(data, house)
    inn = Inn(
        control=house.control,
        keys=house.keys,
        exports=exports_of(house, data),
        data_exports=data_exports_of(house, data),
        fleet=Fleet(store=house.store, units=house.units, seating=house.seating, composer=render_fleet),
        restores=restores_of(house, data),
        restored_files=restored_files_of(house, data, no_shelf(data)),
        backups=keeping.keeping.backups,
        integrations=house.integrations,
        people=house.people,
        provider=None,
        inbox=house.inbox,
        importing=importing_of(house, data),
        vault=house.vault,
        locksmith=Locksmith(store=house.store, lockbox=Keyring.open(data / "house"), clock=house.clock),
        ledger=house.ledger,
        prices=read_prices(None),
        drills=Drills(works=Works(store=house.store, bus=house.bus, clock=house.clock)),
        proofs=Proofs(store=house.store, bus=house.bus),
        asked_for=AskedFor(store=house.store, bus=house.bus, clock=house.clock),
        egress_in_force=lambda name: True,
        records=house.records,
        receipts=house.receipts,
        denials=house.denials,
        releases=house.releases,
        packs=packs.releases,
        hydration=packs.hydration,
        works=Works(store=house.store, bus=house.bus, clock=house.clock),
        store=house.store,
        runtime=house.runtime,
        door=door,
        directory=house.directory,
        entrance=house.seating.entrance,
        hosting=HOSTING,
        names=Names(directory=house.directory, hosting=HOSTING, resolve=zone.addresses),
        tools=tools,
        bus=house.bus,
        dormitory=house.dormitory,
        memory=house.memory,
        clock=house.clock,
        data=data,
        body_limit=BODY_LIMIT,
        pack_limit=packs.library.upload_bytes,
        build_image=builds,
        survey=survey,
        doctor=doctor,
        parts=tell_parts,
    )
    await house.record_release()
    loops = house.loops(workers=4)
    supervisor = Supervisor()
    loops.start(supervisor)
    works = [packs.hydration]
    WorkLoops(works, store=house.store, bus=house.bus, clock=house.clock, holder="one").start(supervisor)
    async with supervisor.running():
        yield Bench(
            house=house,
            agent=agent,
            inn=inn,
            app=create_app(inn),
            builds=builds,
            survey=survey,
            findings=findings,
            parts=parts,
            admin_token=admin_token,
            zone=zone,
            secrets=secrets,
            keeping=keeping,
        )
    await tools.close()
    await out.aclose()
