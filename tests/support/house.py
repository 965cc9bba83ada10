"""A whole control plane in memory, for tests of the core and the loops: real use cases, real reconciler, no Docker."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import httpx2

from innkeeper.core.access import SYSTEM
from innkeeper.core.activate import Activator
from innkeeper.core.closing import Closing
from innkeeper.core.control import Control
from innkeeper.core.deliveries import Deliveries
from innkeeper.core.denials import Denials
from innkeeper.core.directory import Directory
from innkeeper.core.erasure import Erasure
from innkeeper.core.events import Bus, Event
from innkeeper.core.former_snapshots import FormerSnapshots
from innkeeper.core.hosting import Hosting
from innkeeper.core.inbox import Inbox, InboxLimits
from innkeeper.core.integration import Integration
from innkeeper.core.integration_tokens import IntegrationTokens
from innkeeper.core.integrations import Integrations
from innkeeper.core.keys import Keys
from innkeeper.core.ladder import Rung
from innkeeper.core.ledger import Ledger
from innkeeper.core.missing_units import MissingUnits
from innkeeper.core.openings import InboxPath
from innkeeper.core.operations import Operation
from innkeeper.core.ports import (
    Agent,
    Blueprint,
    ConfigFile,
    Consent,
    Entrance,
    Extent,
    MemoryNow,
    Moves,
    Probe,
    Seat,
    SecretKeeping,
    Store,
)
from innkeeper.core.ports.snapshots import SnapshotStore
from innkeeper.core.ports.traces import Traces
from innkeeper.core.receipt_book import ReceiptBook
from innkeeper.core.reconcile import Nap, Reconciler
from innkeeper.core.records import Records
from innkeeper.core.releases import Releases
from innkeeper.core.rungs import Rungs
from innkeeper.core.seating import Seating
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import Limits, Spec, Tenant
from innkeeper.core.vault import Vault
from innkeeper.core.works import Works
from innkeeper.integrations.authorization import OAuthServers
from innkeeper.keyring.signatures import Ed25519Signer
from innkeeper.loops.dormitory import Dormitory, SleepSettings, Surroundings
from innkeeper.loops.queue import KeyedQueue
from innkeeper.loops.reconciler import ReconcilerLoops
from innkeeper.runtimes.memory import MemoryRuntime
from innkeeper.store.memory import MemoryStore
from innkeeper.units.layout import FolderUnits
from tests.support.courier import MemoryCourier
from tests.support.links import LINKS
from tests.support.people import PlainKeys, PlainSeals, PlainTokens, QuickPasswords, plain_reception
from tests.support.secrets import NamedSecrets
from tests.support.token_service import TokenService

LIMITS = InboxLimits(messages=50, bytes=1 << 20)


class TurnedClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 20, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def seconds(self) -> float:
        return self.time.timestamp()

    def turn(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class PlainAgent:
    """The least agent there can be."""

    name = "plain"
    title = "Plain"
    limits = Limits(memory_mb=128, cpus=1.0)
    floor_mb = 64
    minimum_version: str | None = "1.0"
    own_image = False
    stop_grace_s = 5
    start_timeout_s = 60
    hopeless_exits = frozenset({78})
    workspace = "workspace"
    can_be_asked = False
    runs_at: datetime | None = None
    channels: tuple[str, ...] = ()
    leave_until: datetime | None = None
    was_due: Mapping[str, int] = MappingProxyType({})
    under_way: Collection[str] = ()
    takes: tuple[InboxPath, ...] = ()

    def config_paths(self) -> Sequence[str]:
        return ("plain.json",)

    def render(self, seat: Seat, existing: Mapping[str, bytes]) -> Sequence[ConfigFile]:
        told = f"\n{json.dumps(seat.config)}" if seat.config else ""
        return [ConfigFile(path="plain.json", content=(seat.gateway_token + told).encode())]

    def caches(self) -> Sequence[str]:
        return ("cache",)

    def check_config(self, config: Mapping[str, Any]) -> None:
        """Whatever it says."""

    def keeps_secret(self, path: tuple[str, ...]) -> bool:
        return path[-1] == "token"

    def command(self, spec: Spec) -> tuple[str, ...]:
        return ()

    def env(self, spec: Spec) -> Mapping[str, str]:
        return {}

    def fence(self, spec: Spec) -> Mapping[str, str]:
        return {"FENCED": "1"}

    def examination(self, spec: Spec) -> Sequence[str]:
        return ("examine",)

    def examined(self, output: bytes) -> int | None:
        return int(output) if output.isdigit() else None

    def sessions(self, spec: Spec, gateway_token: str) -> Probe | None:
        return Probe(port=80, path="/sessions", headers={"Authorization": gateway_token})

    def sessions_told(self, status: int, body: bytes) -> int | None:
        return int(body) if status == 200 and body.isdigit() else None

    def mount(self, spec: Spec) -> str:
        return "/data"

    def probe(self, spec: Spec) -> Probe:
        return Probe(port=80, path="/health")

    def is_ready(self, status: int, body: bytes) -> bool:
        return status == 200

    def health_command(self, spec: Spec) -> Sequence[str]:
        return ()

    def entrance(self, spec: Spec, gateway_token: str) -> Entrance:
        return Entrance(port=80, headers={"Authorization": f"Bearer {gateway_token}"})

    def listens_to(self, existing: Mapping[str, bytes]) -> Sequence[str]:
        return self.channels

    def webhooks(self, existing: Mapping[str, bytes]) -> Sequence[InboxPath]:
        return self.takes

    def suspend(self, spec: Spec, gateway_token: str, rung: Rung) -> Probe | None:
        return Probe(port=80, path="/suspend", json={"rung": rung}) if self.can_be_asked else None

    def consent(self, status: int, body: bytes) -> Consent:
        return Consent(objection=body.decode() or None, suspension="nap", until=self.leave_until)

    def next_run(self, spec: Spec, gateway_token: str) -> Probe | None:
        return Probe(port=80, path="/cron", json={}) if self.runs_at else None

    def run_at(self, status: int, body: bytes) -> datetime | None:
        return self.runs_at

    def jobs(self, spec: Spec, gateway_token: str) -> Probe | None:
        return Probe(port=80, path="/jobs", json={}) if self.was_due else None

    def missed(self, status: int, body: bytes, since: datetime, until: datetime) -> Mapping[str, int]:
        return self.was_due

    def jobs_at_rest(self, status: int, body: bytes, now: datetime) -> Mapping[str, bool]:
        return dict.fromkeys(self.was_due, True) | dict.fromkeys(self.under_way, False)

    def run_job(self, spec: Spec, gateway_token: str, job: str, now: datetime) -> Probe | None:
        return Probe(port=80, path=f"/run/{job}", json={})

    def resume(self, spec: Spec, gateway_token: str, suspension: str) -> Probe | None:
        return Probe(port=80, path="/resume", json={"suspension": suspension}) if self.can_be_asked else None

    def chat_model(self, spec: Spec) -> str | None:
        return "plain"


class MemoryUnits:
    """Folders that are only remembered."""

    def __init__(self) -> None:
        self.folders: dict[str, dict[str, bytes]] = {}

    def persistence(self, tenant: str) -> str:
        return f"/units/{tenant}/persistence"

    async def exists(self, tenant: str) -> bool:
        return tenant in self.folders

    async def read(self, tenant: str, paths: Sequence[str]) -> Mapping[str, bytes]:
        return {path: data for path, data in self.folders.get(tenant, {}).items() if path in paths}

    async def write(
        self,
        tenant: str,
        files: Sequence[ConfigFile],
        *,
        compose: str,
        env: str,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        folder = self.folders.setdefault(tenant, {})
        folder.update({file.path: file.content for file in files})

    async def erase(self, tenant: str) -> None:
        self.folders.pop(tenant, None)

    async def extent(self, tenant: str) -> Extent | None:
        folder = self.folders.get(tenant)
        return None if folder is None else Extent(len(folder), 0, sum(map(len, folder.values())))

    async def names(self) -> Sequence[str]:
        return list(self.folders)


class MemoryProber:
    """Answers for instances: 200, unless told otherwise."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] | None = (200, b"{}")
        self.asked = 0
        self.paths: list[str] = []
        self.deaf_to: set[str] = set()

    async def ask(self, address: str, probe: Probe) -> tuple[int, bytes] | None:
        self.asked += 1
        self.paths.append(probe.path)
        return None if probe.path in self.deaf_to else self.answer


class StillWire:
    """What moves on the tenants' connections: nothing, unless told otherwise."""

    def __init__(self) -> None:
        self.bytes_at: set[str] = set()
        self.awaited: set[str] = set()

    async def look(self) -> Moves:
        return Moves(in_use=self.bytes_at, knocked_at=self.bytes_at, awaited=self.awaited)


class PlentyOfMemory:
    """A host's memory that a test sets."""

    def __init__(self) -> None:
        self.found = MemoryNow(total_mb=64_000, available_mb=60_000, swap_mb=64_000, swap_free_mb=64_000)

    async def now(self) -> MemoryNow:
        return self.found


def plain_compose(blueprint: Blueprint, *, port: int) -> tuple[str, str]:
    """A compose file of no use."""
    return "services: {}\n", ""


HOSTING = Hosting(domain="localhost", port=8080)


@dataclass
class House:
    """What survives a crash (store, runtime, folders), and the control plane of the moment."""

    clock: TurnedClock = field(default_factory=TurnedClock)
    units: MemoryUnits = field(default_factory=MemoryUnits)
    prober: MemoryProber = field(default_factory=MemoryProber)
    agent: PlainAgent = field(default_factory=PlainAgent)
    furnish: Callable[[Tenant], Awaitable[None]] | None = None
    """What is put into a tenant's folder at each start."""
    real_units: FolderUnits | None = None
    """Folders on a disk, instead of those that are only remembered."""
    more_agents: Mapping[str, Agent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store: Store = MemoryStore(self.clock, links=LINKS)
        self.runtime = MemoryRuntime(now=self.clock.now)
        self.happened: list[Event] = []
        self.wire = StillWire()
        self.memory = PlentyOfMemory()
        self.addresses: dict[str, str] = {}
        self.calls: Counter[str] = Counter()
        self.sleep_settings = SleepSettings(reserve_mb=0, boost_cpus=0)
        self.courier = MemoryCourier()
        self.data_keys = PlainKeys()
        self.signer = Ed25519Signer(b"s" * 32)
        self.copies: SnapshotStore | None = None
        self.traces: list[Traces] = []
        self.worked_on: list[str] = []
        self.should_be_there: dict[str, int] = {}
        self.named_secrets = NamedSecrets()
        self.token_service = TokenService()
        self.services = {"google": self.token_service.integration()}
        self.start()

    def start(self, holder: str = "one") -> None:
        """A new process: nothing is left of what the last one had in memory."""
        self.bus = Bus()
        self.bus.on_event(self.happened.append)
        agents: Mapping[str, Agent] = {"plain": self.agent, **self.more_agents}
        units = self.real_units or self.units
        self.works = Works(store=self.store, bus=self.bus, clock=self.clock)
        self.closing = Closing(store=self.store, runtime=self.runtime, bus=self.bus)
        self.records = Records(store=self.store, links=LINKS, clock=self.clock)
        self.releases = Releases(store=self.store, runtime=self.runtime, clock=self.clock)
        self.control = Control(
            store=self.store,
            agents=agents,
            units=units,
            releases=self.releases,
            bus=self.bus,
            clock=self.clock,
            domain=HOSTING.domain,
        )
        self.rungs = Rungs(store=self.store, bus=self.bus)
        self.keys = Keys(store=self.store, bus=self.bus, clock=self.clock)
        self.directory = Directory(store=self.store, bus=self.bus, hosting=HOSTING)
        self.hidden: set[str] = set()
        self.vault = Vault(
            store=self.store,
            seals=PlainSeals(),
            keys=self.data_keys,
            bus=self.bus,
            clock=self.clock,
            hide=self.hidden.add,
            hide_chosen=self.hidden.add,
            time_s=self.clock.seconds,
        )
        self.seating = Seating(
            agents=agents,
            runtime=self.runtime,
            units=units,
            tokens=PlainTokens(),
            secrets=self.vault,
            keys=self.data_keys,
            hosting=HOSTING,
            compose=plain_compose,
            broker_port=8701,
            model="default",
            furnish=self.furnish,
            check_unit=MissingUnits(store=self.store, units=self.real_units or self.units).check,
        )
        self.passwords = QuickPasswords()
        self.people = plain_reception(self.store, self.bus, self.clock, self.passwords)
        self.identities = self.people.identities
        self.ledger = Ledger(store=self.store, bus=self.bus, clock=self.clock, seconds=self.clock.seconds)
        self.denials = Denials(store=self.store, directory=self.directory, clock=self.clock)
        self.activator = Activator(directory=self.directory, rouse=self.rungs.rouse, hold_limit=100)
        self.queue = KeyedQueue(longest_delay_s=10)
        self.dormitory = Dormitory(
            Surroundings(
                directory=self.directory,
                rungs=self.rungs,
                offer=self.control.offer,
                activator=self.activator,
                runtime=self.runtime,
                seating=self.seating,
                prober=self.prober,
                movements=self.wire,
                memory=self.memory,
                queue=self.queue,
                bus=self.bus,
                clock=self.clock,
                at_address=self.addresses.get,
                calling=lambda: [name for name, calls in self.calls.items() if calls],
                listens_to=self.seating.listens_to,
                time_s=self.clock.seconds,
            ),
            self.sleep_settings,
        )
        self.holds = self.dormitory.holds
        seals = PlainSeals()
        self.integrations = self.make_integrations()
        former = FormerSnapshots(self.copies, recorded=self.recorded)
        self.erasure = Erasure(
            store=self.store,
            units=self.units,
            keys=self.data_keys,
            signer=self.signer,
            clock=self.clock,
            disconnect=self.integrations.give_all_back,
            snapshots=former,
            traces=self.traces,
            quiet=self.quiet,
        )
        self.receipts = ReceiptBook(
            store=self.store,
            snapshots=former,
            signer=self.signer,
            bus=self.bus,
            clock=self.clock,
        )
        self.reconciler = self.make_reconciler(holder)
        self.inbox = Inbox(store=self.store, seals=seals, clock=self.clock, limits=LIMITS)
        self.deliveries = Deliveries(store=self.store, seals=seals, clock=self.clock, limits=LIMITS, chance=lambda: 0.5)

    async def recorded(self, tenant_id: str) -> Mapping[str, int]:
        """How many snapshots there should be."""
        return self.should_be_there

    async def quiet(self, name: str) -> bool:
        """Whether nobody works on it."""
        return name not in self.worked_on

    def make_reconciler(self, holder: str) -> Reconciler:
        """Another worker on the same world."""
        return Reconciler(
            store=self.store,
            runtime=self.runtime,
            units=self.real_units or self.units,
            agents={"plain": self.agent, **self.more_agents},
            prober=self.prober,
            seating=self.seating,
            suspensions=self.dormitory.suspensions,
            boarding=self.dormitory.boarding,
            erasure=self.erasure,
            paging=self.dormitory.paging,
            bus=self.bus,
            clock=self.clock,
            holder=holder,
        )

    def make_integrations(
        self,
        client: httpx2.AsyncClient | None = None,
        secret: str | None = None,
        vault: SecretKeeping | None = None,
        hosting: Hosting = HOSTING,
    ) -> Integrations:
        """Another control plane's, on the same store and secrets; the service is in this process, unless a client goes
        elsewhere."""
        client = client or httpx2.AsyncClient(transport=httpx2.ASGITransport(self.token_service))

        async def client_secret(_: Integration) -> str | None:
            return secret

        servers = OAuthServers(client, client_secret=client_secret)
        tokens = IntegrationTokens(
            store=self.store, vault=vault or self.named_secrets, servers=servers, bus=self.bus, clock=self.clock
        )
        return Integrations(
            self.services,
            store=self.store,
            vault=vault or self.named_secrets,
            servers=servers,
            tokens=tokens,
            seals=PlainSeals(),
            hosting=hosting,
            clock=self.clock,
        )

    def loops(self, *, tick_s: float = 30, workers: int = 2) -> ReconcilerLoops:
        """The loops around the reconciler; not started."""
        return ReconcilerLoops(
            reconciler=self.reconciler,
            queue=self.queue,
            directory=self.directory,
            store=self.store,
            runtime=self.runtime,
            bus=self.bus,
            clock=self.clock,
            tick_s=tick_s,
            workers=workers,
            let_lie=self.rungs.let_lie,
            keep_up=self.rungs.keep_up,
            on_instances=self.dormitory.warmup.adopt,
        )

    async def record_release(self, version: str = "1.0") -> None:
        """There is an image that tenants can run."""
        await self.releases.record(
            agent="plain", version=version, image=f"sha256:{version}", source="packages", size_mb=1, actor=SYSTEM
        )

    async def create(self, name: str = "alice", patch: SpecPatch | None = None) -> Operation:
        """Ask for a tenant, without anything being done for it yet."""
        await self.record_release()
        _, operation = await self.control.create(name, "plain", patch or SpecPatch(), actor=SYSTEM)
        return operation

    async def settle(self, name: str = "alice") -> None:
        """Let the reconciler do all that there is to do for a tenant."""
        await self.reconciler.work(name, self.nap)

    async def tenant(self, name: str = "alice") -> Tenant:
        """The tenant as the store has it."""
        return await self.control.tenant(name)

    @property
    def nap(self) -> Nap:
        """Waiting turns the clock, and takes no time."""

        async def wait(seconds: float) -> None:
            self.clock.turn(seconds)
            await asyncio.sleep(0)

        return wait
