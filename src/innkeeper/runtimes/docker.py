"""The Docker runtime: instances are containers of one Engine, spoken to over its unix socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import structlog

from innkeeper.core.errors import ForeignInstance, ImageMissing, IsolationBroken, RuntimeFault
from innkeeper.core.instance import Execution, Instance, LogLine, PagedOut, Place, RuntimeEvent, State, Usage, absent
from innkeeper.core.ladder import Rung
from innkeeper.core.ports import Blueprint
from innkeeper.runtimes import docker_labels as labels
from innkeeper.runtimes.addressing import bridge_prefix, network_index
from innkeeper.runtimes.cgroups import Cgroups
from innkeeper.runtimes.docker_container import container_name, instance_of, is_leaving, is_ours, labels_of, network_of
from innkeeper.runtimes.docker_endings import Endings
from innkeeper.runtimes.docker_engine import ACT_S, Clash, Engine, NotThere
from innkeeper.runtimes.docker_events import follow_events
from innkeeper.runtimes.docker_exec import run_inside
from innkeeper.runtimes.docker_logs import read_logs
from innkeeper.runtimes.docker_network import Networks, Wishes
from innkeeper.runtimes.docker_profile import container_config, nano_cpus
from innkeeper.runtimes.docker_ways_out import DockerWaysOut
from innkeeper.runtimes.host_net import HostNet

NO_PAGER = "nothing on this host pages out"
LOOKS_AT_ONCE = 8
"""How many containers `all` inspects at the same time."""
APPEARING_LOOKS, LEAVING_LOOKS, PAUSE_S = 40, 200, 0.05
"""How often, and with which pause, to look for a container that another hand is just making or removing."""

log = structlog.get_logger(__name__)


SETTLING_S = 1.0
"""How long the Engine may still show the state before a pause or unpause that it has done: here some ten ms."""


class Pager(Protocol):
    """Pushes containers' memory to swap: `host/pageout.py`."""

    async def page_out(self, pid: int) -> PagedOut:
        """That of the container whose first process has this pid."""
        ...

    async def capability(self) -> str | None:
        """Why this host can't; None: it can."""
        ...


class DockerRuntime:
    """Instances as hardened containers on isolated bridges; the contract stands in core/ports.py."""

    name = "docker"

    def __init__(
        self,
        *,
        socket: str,
        namespace: str,
        pool: str | None,
        dns: Sequence[str],
        broker_port: int,
        names_port: int = 8702,
        pager: Pager | None = None,
        cgroups: Cgroups | None = None,
        host_net: HostNet | None = None,
    ) -> None:
        self.namespace = namespace
        self.broker_port = broker_port
        self.host_net = host_net or HostNet()
        self._dns = tuple(dns)
        self._pager = pager
        self._cgroups = cgroups or Cgroups()
        self._engine = Engine(socket)
        self._endings = Endings()
        self._seen: dict[str, tuple[str, str | None]] = {}
        """Whose the containers are that were looked at."""
        wishes = Wishes(namespace=namespace, pool=pool, dns=self._dns, broker_port=broker_port, names_port=names_port)
        self._networks = Networks(self._engine, wishes, self.host_net)
        self.ways_out = DockerWaysOut(self._networks)

    # --- looking ------------------------------------------------------------------------------------------------------

    async def get(self, tenant: str) -> Instance:
        shown = await self._settled(container_name(self.namespace, tenant))
        if shown is None or not is_ours(shown, self.namespace, tenant):
            return absent(tenant)
        return self._note(self._endings.recall(instance_of(shown)))

    async def all(self) -> Sequence[Instance]:
        """Every instance of ours. Puts the firewall back, too: Docker restarts containers without asking us."""
        try:
            await self._networks.hold()
        except IsolationBroken as problem:
            log.warning("the tenants' network isn't isolated", problem=problem.message, hint=problem.hint)
        async with self._engine.call("list the tenants' containers") as docker:
            filters = json.dumps(labels.ours(self.namespace))
            listed = await docker.containers.list(all=1, filters=filters)
        turns = asyncio.Semaphore(LOOKS_AT_ONCE)

        async def look(container_id: str) -> dict[str, Any] | None:
            async with turns:
                return await self._engine.inspect(container_id)

        found = await asyncio.gather(*(look(container.id) for container in listed))
        return [self._note(self._endings.recall(instance_of(shown))) for shown in found if shown is not None]

    async def usage(self, instance: Instance) -> Usage:
        shown = await self._pinned(instance)
        pid = shown["State"]["Pid"]
        if not pid:
            raise RuntimeFault(f"{instance.tenant} isn't running, so it uses nothing.")
        return await asyncio.to_thread(self._cgroups.usage, pid)

    async def page_out(self, instance: Instance) -> PagedOut:
        shown = await self._pinned(instance)
        pid = shown["State"]["Pid"]
        if self._pager is None or not pid:
            skipped = NO_PAGER if pid else "it isn't running"
            return PagedOut(before_bytes=0, after_bytes=0, swapped_bytes=0, seconds=0, skipped=skipped)
        return await self._pager.page_out(pid)

    async def lacks(self) -> Mapping[Rung, str]:
        missing = {Rung.SAVED: "this version of Innkeeper writes no checkpoints"}
        if not self._cgroups.can_freeze():
            cannot = "the kernel has no cgroup freezer"
            return {Rung.PAUSED: cannot, Rung.PAGED: cannot, **missing}
        why_not = await self._pager.capability() if self._pager else NO_PAGER
        return missing if why_not is None else {Rung.PAGED: why_not, **missing}

    async def set_cpus(self, instance: Instance, cpus: float) -> None:
        shown = await self._pinned(instance)
        path = f"containers/{shown['Id']}/update"
        await self._engine.post(f"limit {instance.tenant}", path, {"NanoCpus": nano_cpus(cpus)})

    async def run(self, instance: Instance, command: Sequence[str], *, timeout_s: float) -> Execution:
        shown = await self._pinned(instance)
        return await run_inside(self._engine, shown["Id"], command, timeout_s=timeout_s)

    async def logs(
        self, instance: Instance, *, follow: bool = False, since: datetime | None = None, tail: int | None = None
    ) -> AsyncIterator[LogLine]:
        shown = await self._pinned(instance)
        async for line in read_logs(self._engine, shown["Id"], follow=follow, since=since, tail=tail):
            yield line

    def events(self) -> AsyncIterator[RuntimeEvent]:
        """See the contract; an event without a tenant means that some may have been lost: look at everything."""
        return follow_events(self._engine, self.namespace, self._endings.hear)

    async def resolve_image(self, image: str) -> str | None:
        try:
            async with self._engine.call(f"look at the image {image}") as docker:
                return str((await docker.images.inspect(image))["Id"])
        except NotThere:
            return None

    async def check(self) -> str:
        async with self._engine.call("tell its version") as docker:
            version = await docker.version()
        return f"Docker Engine {version['Version']} (API {version['ApiVersion']})"

    # --- acting -------------------------------------------------------------------------------------------------------

    async def create(self, blueprint: Blueprint) -> Instance:
        name = container_name(self.namespace, blueprint.tenant)
        existing = await self._settled(name)
        if existing is None:
            existing = await self._create(name, blueprint)
        if not is_ours(existing, self.namespace, blueprint.tenant):
            raise ForeignInstance(f"A container that isn't ours is called {name!r} already.")
        return instance_of(existing)

    async def _create(self, name: str, blueprint: Blueprint) -> dict[str, Any]:
        berth = await self._networks.ensure(blueprint.slot)
        config = container_config(
            blueprint,
            berth.place,
            namespace=self.namespace,
            pool=berth.pool,
            dns=self._dns,
            host_has_ipv6=self.host_net.has_ipv6(),
        )
        try:
            async with self._engine.call(f"create {name}", timeout_s=ACT_S) as docker:
                await docker.containers.create(config, name=name)
        except NotThere as missing:
            raise ImageMissing(f"The image {blueprint.image} of {blueprint.tenant} isn't here.") from missing
        except Clash:
            # Another control plane was quicker: the Engine takes the name first and shows the container later.
            pass
        return await self._appears(name)

    async def start(self, instance: Instance) -> None:
        shown = await self._pinned(instance)
        if instance_of(shown).state is State.RUNNING:
            return
        berth = await self._networks.ensure(labels.number(labels_of(shown), labels.SLOT))
        if network_of(shown, berth.place.network) not in ("", berth.network_id):
            await self._networks.attach_again(shown["Id"], berth)
        async with self._engine.call(f"start {instance.tenant}", timeout_s=ACT_S) as docker:
            await docker.containers.container(shown["Id"]).start()

    async def stop(self, instance: Instance, *, grace_s: int) -> None:
        shown = await self._pinned(instance)
        if instance_of(shown).state is State.STOPPED:
            return
        async with self._engine.call(f"stop {instance.tenant}", timeout_s=grace_s + ACT_S) as docker:
            await docker.containers.container(shown["Id"]).stop(t=grace_s)

    async def pause(self, instance: Instance) -> None:
        container_id = await self._ours(instance)
        try:
            async with self._engine.call(f"pause {instance.tenant}", timeout_s=ACT_S) as docker:
                await docker.containers.container(container_id).pause()
        except Clash:
            if not await self._becomes(instance, State.PAUSED):
                raise

    async def unpause(self, instance: Instance) -> None:
        container_id = await self._ours(instance)
        try:
            async with self._engine.call(f"unpause {instance.tenant}", timeout_s=ACT_S) as docker:
                await docker.containers.container(container_id).unpause()
        except RuntimeFault:
            if not await self._becomes(instance, State.RUNNING):
                raise

    async def remove(self, instance: Instance) -> None:
        shown = await self._engine.inspect(instance.id) if instance.id else None
        if shown is None:
            return
        self._check_owner(shown, instance)
        try:
            async with self._engine.call(f"remove {instance.tenant}", timeout_s=ACT_S) as docker:
                await docker.containers.container(shown["Id"]).delete(force=True, v=True)
            self._seen.pop(shown["Id"], None)
        except NotThere:
            return
        except Clash:
            # Somebody else is removing it just now.
            if await self._wait_while(lambda _shown: True, shown["Id"]) is not None:
                raise

    # --- the network --------------------------------------------------------------------------------------------------

    async def place(self, slot: int) -> Place:
        return await self._networks.place(slot)

    async def place_of(self, instance: Instance) -> Place:
        """Where an instance lies, by its own labels."""
        return await self.place(labels.number(labels_of(await self._pinned(instance)), labels.SLOT))

    async def bridge_of(self, instance: Instance) -> str:
        """The host's bridge device that an instance hangs on."""
        slot = labels.number(labels_of(await self._pinned(instance)), labels.SLOT)
        return bridge_prefix(self.namespace) + str(network_index(slot))

    async def places(self) -> Sequence[Place]:
        return await self._networks.standing()

    async def prune(self, used_slots: Sequence[int]) -> None:
        await self._networks.prune({network_index(slot) for slot in used_slots})

    async def close(self) -> None:
        """Let go of the Engine; instances run on."""
        await self._engine.close()

    def _note(self, instance: Instance) -> Instance:
        if instance.id is not None:
            self._seen[instance.id] = instance.tenant, instance.tenant_id
        return instance

    # --- within -------------------------------------------------------------------------------------------------------

    async def _pinned(self, instance: Instance) -> dict[str, Any]:
        """The very container that `instance` names, looked at again; RuntimeFault when it has vanished."""
        shown = await self._engine.inspect(instance.id) if instance.id else None
        if shown is None:
            raise RuntimeFault(f"The container of {instance.tenant} has vanished.")
        self._check_owner(shown, instance)
        return shown

    async def _ours(self, instance: Instance) -> str:
        """The id of a container that was seen to be this tenant's. Neither it nor its labels ever change, so whoever
        was seen once needn't be looked at again, which takes as long as what follows."""
        if instance.id is None or self._seen.get(instance.id) != (instance.tenant, instance.tenant_id):
            return str((await self._pinned(instance))["Id"])
        return instance.id

    def _check_owner(self, shown: dict[str, Any], instance: Instance) -> None:
        if not is_ours(shown, self.namespace, instance.tenant):
            raise ForeignInstance(f"The container {shown['Id'][:12]} isn't {instance.tenant}'s.")
        if labels_of(shown).get(labels.TENANT_ID) != instance.tenant_id:
            raise ForeignInstance(f"The container {shown['Id'][:12]} is of a former {instance.tenant}.")

    async def _settled(self, name_or_id: str) -> dict[str, Any] | None:
        """A container as it is once the Engine has done with removing it."""
        return await self._wait_while(is_leaving, name_or_id)

    async def _wait_while(self, unsettled: Callable[[dict[str, Any]], bool], name_or_id: str) -> dict[str, Any] | None:
        """Look until the container is gone or `unsettled` no longer holds, for a while at most."""
        shown = await self._engine.inspect(name_or_id)
        for _ in range(LEAVING_LOOKS):
            if shown is None or not unsettled(shown):
                break
            await asyncio.sleep(PAUSE_S)
            shown = await self._engine.inspect(name_or_id)
        return shown

    async def _appears(self, name: str) -> dict[str, Any]:
        """A container that was created just now."""
        for _ in range(APPEARING_LOOKS):
            shown = await self._engine.inspect(name)
            if shown is not None:
                return shown
            await asyncio.sleep(PAUSE_S)
        raise RuntimeFault(f"{name} vanished as soon as it was created.")

    async def _becomes(self, instance: Instance, state: State) -> bool:
        """Whether the instance is as wanted after all: somebody else was quicker, and the Engine tells it late."""
        patience = asyncio.get_running_loop().time() + SETTLING_S
        while instance_of(await self._pinned(instance)).state is not state:
            if asyncio.get_running_loop().time() > patience:
                return False
            await asyncio.sleep(0.02)
        return True
