"""The part of the composition root that answers for the house: what it relies on, and its host as a doctor sees it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from innkeeper.agents import AGENTS
from innkeeper.api.deps import Part
from innkeeper.broker.listener import BrokerListeners
from innkeeper.core.activate import is_open
from innkeeper.core.backups import Backups
from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem
from innkeeper.core.events import utc_now
from innkeeper.core.hosts import Premises
from innkeeper.core.keyring_facts import KeyringFacts
from innkeeper.core.ladder import Rung
from innkeeper.core.ports import Runtime
from innkeeper.core.ports.snapshots import REMOTE
from innkeeper.core.records import Records
from innkeeper.core.secrets import PLATFORM
from innkeeper.core.tenant import NAME, Tenant
from innkeeper.core.uses import EgressMode
from innkeeper.edge.caddy import Caddy
from innkeeper.edge.caddy_admin import listener_pid
from innkeeper.edge.caddy_config import EdgePlan
from innkeeper.edge.caddy_launch import find_binary
from innkeeper.edge.certificates import CertificateShelf
from innkeeper.host.doctor.clock import kernel_synchronised
from innkeeper.host.doctor.host import (
    BackupAges,
    BackupFacts,
    EgressFacts,
    Host,
    Isolation,
    IsolationProbe,
    LeftOver,
    Port,
    TenantFacts,
    Trail,
    engine_at,
)
from innkeeper.host.keepers import Footprint, footprints
from innkeeper.host.premises import premises
from innkeeper.host.sever import ways
from innkeeper.host.swap import MB, Advice, SwapFacts, advice, swap_facts
from innkeeper.host.swap_setup import OwnSwap
from innkeeper.keyring import Keyring
from innkeeper.keyring.choice import master_source
from innkeeper.keyring.data_keys import without_key
from innkeeper.restic import ResticStore
from innkeeper.runtimes.addressing import places_in
from innkeeper.runtimes.docker import DockerRuntime
from innkeeper.runtimes.host_net import HostNet
from innkeeper.runtimes.isolation import Answer, probe_isolation
from innkeeper.settings import Settings
from innkeeper.units.layout import FolderUnits


async def parts(runtime: Runtime, caddy: Caddy | None, listeners: BrokerListeners) -> Sequence[Part]:
    """What the control plane relies on, and whether it is there."""
    found = []
    try:
        found.append(Part(name=runtime.name, up=True, version=await runtime.check()))
    except Problem as problem:
        found.append(Part(name=runtime.name, up=False, says=problem.message))
    if caddy is not None:
        status = await caddy.status()
        found.append(Part(name="caddy", up=status.running, version=status.version))
    where = ", ".join(listeners.addresses)
    found.append(Part(name="broker", up=True, says=None if where else "no tenants' network to listen on yet"))
    return found


def doctor_host(
    settings: Settings,
    plan: EdgePlan,
    directory: Directory | None = None,
    runtime: Runtime | None = None,
    missing_rungs: Mapping[Rung, str] | None = None,
    records: Records | None = None,
    in_force: Callable[[str], bool] | None = None,
    deposit: ResticStore | None = None,
    backups: Backups | None = None,
) -> Host:
    """This host as the doctor looks at it; without what only a control plane that runs can tell."""
    return Host(
        data=settings.data,
        engine=engine_at(settings.docker_socket),
        ports=(
            *_edge_ports(settings),
            Port(number=settings.api_port, purpose="the API", setting="INNKEEPER_API"),
            Port(number=settings.broker_port, purpose="the broker", setting="INNKEEPER_BROKER_PORT"),
            Port(number=settings.names_port, purpose="the tenants' name server", setting="INNKEEPER_NAMES_PORT"),
        ),
        tenants=None if directory is None else tuple(_facts(tenant) for tenant in directory),
        isolation=None if directory is None else _isolation(directory, runtime),
        egress=_egress(settings, directory, in_force) if directory and in_force else None,
        missing_rungs=missing_rungs,
        trail=None if records is None else partial(_trail, records),
        keyring=partial(_keyring, settings) if any((settings.data / each).exists() for each in _USED) else None,
        keyless=None if directory is None else _keyless(settings, directory),
        left_over=None if directory is None else partial(_left_over, settings, directory),
        backups=_backups(settings, deposit),
        backup_ages=None if backups is None else partial(_backup_ages, backups),
        caddy=find_binary(settings.caddy_binary) if settings.edge else None,
        caddy_admin=plan.admin_socket,
        ways_to_sever=(lambda: ways(listener_pid(plan.admin_socket))) if settings.edge else None,
        certificates=CertificateShelf(plan).look if settings.edge and plan.tls else None,
        ntp_synchronised=kernel_synchronised,
    )


async def _backup_ages(backups: Backups) -> BackupAges | None:
    if not backups.targets:
        return None
    now = utc_now()
    found = [*await backups.overview(), await backups.how_control()]
    named = {each.tenant or "the database": each for each in found}
    good = [each.standing.last_good for each in found if each.standing.last_good is not None]
    return BackupAges(
        failing={name: each.error.message for name, each in named.items() if each.error is not None},
        late=tuple(name for name, each in named.items() if each.standing.late),
        oldest_h=max(((now - at).total_seconds() / 3600 for at in good), default=None),
        never=len(found) - len(good),
    )


def _edge_ports(settings: Settings) -> Iterator[Port]:
    yield Port(number=settings.http_port, purpose="the edge", setting="INNKEEPER_EDGE_PORT")
    if settings.has_tls:
        yield Port(number=settings.edge_https_port, purpose="the edge's HTTPS", setting="INNKEEPER_EDGE_HTTPS_PORT")


async def _trail(records: Records) -> Trail:
    fault, checked = await records.glance(), records.checked
    if fault is None and checked is not None and not checked.verdict.ok:
        first = checked.verdict.faults[0]
        where = "" if first.number is None else f"number {first.number}: "
        fault = f"the check at {checked.at:%Y-%m-%d %H:%M} UTC has found {where}{first.says}"
    return Trail(fault=fault, checked=None if checked is None else checked.at)


_USED = ("keyring", "keys", "innkeeper.db")
"""Where one of these lies in the data directory, there has to be a keyring."""


def _keyring(settings: Settings) -> KeyringFacts:
    """As it lies there now, whatever a control plane that runs has in memory."""
    return Keyring.open(settings.data, master_source(settings, settings.data), make=False).facts()


def _keyless(settings: Settings, directory: Directory) -> Callable[[], Sequence[str]]:
    owners = {tenant.id: tenant.name for tenant in directory if tenant.seen.instance_id is not None}
    return lambda: [owners[each] for each in without_key(settings.data / "keys", list(owners))]


def _left_over(settings: Settings, directory: Directory) -> LeftOver:
    there = {tenant.name for tenant in directory}
    ids = {tenant.id for tenant in directory} | {PLATFORM}
    units, keys = settings.data / "tenants", settings.data / "keys"
    folders = [each.name for each in units.iterdir() if NAME.fullmatch(each.name)] if units.is_dir() else []
    owners = {path.stem for path in keys.glob("[!.]*.key")}
    return LeftOver(folders=sorted(set(folders) - there), keys=len(owners - ids))


def _backups(settings: Settings, deposit: ResticStore | None) -> BackupFacts:
    """Far targets, only a control plane that runs has the credentials for."""
    programs = {name: shutil.which(program) for name, program in (("restic", "restic"), ("bubblewrap", "bwrap"))}
    local, remote = settings.backup_local, settings.backup_remote
    folders = [] if local == "off" else [local or settings.data / "backups"]
    is_far = remote is not None and not remote.startswith("/")
    if remote is not None and not is_far:
        folders.append(Path(remote))
    return BackupFacts(
        programs={name: None if path is None else Path(path) for name, path in programs.items()},
        folders=folders,
        far={REMOTE: partial(deposit.reach, REMOTE)} if is_far and deposit is not None else {},
        elsewhere=remote is not None,
        unseen=is_far and deposit is None,
    )


def _egress(settings: Settings, directory: Directory, in_force: Callable[[str], bool]) -> Callable[[], EgressFacts]:
    def look() -> EgressFacts:
        watched = [tenant.name for tenant in directory if tenant.spec.uses.egress.mode is not EgressMode.OFF]
        return EgressFacts(
            watched=len(watched),
            behind=tuple(name for name in watched if not in_force(name)),
            past_us=not settings.dns and HostNet().asks_loopback(),
        )

    return look


def _facts(tenant: Tenant) -> TenantFacts:
    spec = tenant.spec
    return TenantFacts(
        name=tenant.name,
        agent=spec.agent,
        release=spec.release,
        image=spec.image,
        memory_mb=spec.limits.memory_mb,
    )


def _isolation(directory: Directory, runtime: Runtime | None) -> IsolationProbe | None:
    if not isinstance(runtime, DockerRuntime):
        return None

    async def probe() -> Isolation | None:
        awake = [tenant for tenant in directory if is_open(tenant)]
        if not awake:
            return None
        neighbours = [
            f"{(await runtime.place(tenant.slot)).address}:{AGENTS[tenant.spec.agent].probe(tenant.spec).port}"
            for tenant in awake[1:3]
        ]
        reached = await probe_isolation(runtime, await runtime.get(awake[0].name), others=neighbours)
        wrong = [reach for reach in reached if not reach.right]
        return Isolation(
            tenant=awake[0].name,
            leaks=tuple(str(reach.target) for reach in wrong if reach.target.wanted is Answer.SILENT),
            missing=tuple(str(reach.target) for reach in wrong if reach.target.wanted is Answer.OPEN),
        )

    return probe


class HostSurvey:
    """This host, for whoever asks how many tenants it can hold."""

    def __init__(self, settings: Settings, units: FolderUnits) -> None:
        self._data = settings.data
        self._places = places_in(settings.network_pool)
        self._units = units

    async def premises(self) -> Premises:
        """The host as it is now."""
        return await premises(self._data, places=self._places)

    async def units_mb(self, tenants: Sequence[str]) -> Sequence[float]:
        """What those of the folders take that aren't too large to be looked through."""
        sizes = [await self._units.disk_bytes(tenant) for tenant in tenants]
        return [size / MB for size in sizes if size is not None]

    async def footprints(self, instance_ids: Collection[str]) -> Mapping[str, Footprint]:
        """Of those of the containers that can be looked at."""
        return await asyncio.to_thread(footprints, instance_ids)


# --- the host's swap, looked at and changed from the command line -----------------------------------------------------


async def look_at_swap(settings: Settings) -> tuple[SwapFacts, Advice]:
    """What swap this host has, and what would be good to add."""
    facts = await swap_facts(_nearest_folder(settings.data))
    return facts, advice(facts)


async def set_up_swap(settings: Settings) -> None:
    """Make what is advised; it lasts until a reboot, and asking again afterwards makes it anew."""
    _, advised = await look_at_swap(settings)
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    await OwnSwap().set_up(advised, file=settings.data / SWAP_FILE)


async def take_down_swap(settings: Settings) -> None:
    """Give up the swap that was set up so, and no other."""
    await OwnSwap().take_down(file=settings.data / SWAP_FILE)


SWAP_FILE = "swapfile"


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
