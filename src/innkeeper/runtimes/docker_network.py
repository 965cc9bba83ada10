"""The tenants' networks on the Engine: chosen, made, held isolated, and removed when nobody needs them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import Any

from innkeeper.core.errors import ForeignInstance, RuntimeFault
from innkeeper.core.instance import Place
from innkeeper.core.uses import EgressMode
from innkeeper.runtimes import docker_labels as labels
from innkeeper.runtimes.addressing import Addressing, network_index
from innkeeper.runtimes.bridge_netfilter import assert_bridge_netfilter
from innkeeper.runtimes.docker_engine import ACT_S, Clash, Engine, NotThere
from innkeeper.runtimes.docker_pool import first_free_pool
from innkeeper.runtimes.egress_table import EgressRules, EgressTable
from innkeeper.runtimes.firewall import Firewall, Lan, Rules
from innkeeper.runtimes.host_net import HostNet

TRIES = 8
"""How many pools are tried when other control planes take them at the same time."""
APPEARS_LOOKS, APPEARS_PAUSE_S = 30, 0.1
"""How long a taken range may be that of a network which is just being made: a busy Engine needs seconds for one."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the operator set about the tenants' networks."""

    namespace: str
    pool: str | None
    dns: tuple[str, ...]
    broker_port: int
    names_port: int


@dataclass(frozen=True, kw_only=True)
class Berth:
    """A place whose network stands and isolates just now."""

    place: Place
    pool: str
    network_id: str


class Networks:
    """One namespace's networks and their firewall; everything here may be called again at any time."""

    def __init__(self, engine: Engine, wishes: Wishes, host_net: HostNet) -> None:
        self._engine = engine
        self._wishes = wishes
        self._host_net = host_net
        self._firewall = Firewall(wishes.namespace)
        self.egress = EgressTable(wishes.namespace)
        self.watched: Mapping[int, EgressMode] | None = None
        """Whose way out is watched, by slot; None while nobody has said so: then all stays as a former process left
        it."""
        self._addressing: Addressing | None = None
        self._lock = asyncio.Lock()

    async def place(self, slot: int) -> Place:
        """Where a slot lies; the first call of all claims the pool by making the slot's network."""
        if self._addressing is None:
            async with self._lock:
                await self._find_addressing(claim=network_index(slot))
        return self._known.place(slot)

    async def address(self, slot: int) -> str | None:
        """A slot's address; None where no network stands yet, and none is made for it."""
        if self._addressing is None:
            async with self._lock:
                await self._find_addressing()
        return None if self._addressing is None else self._addressing.place(slot).address

    async def ensure(self, slot: int) -> Berth:
        """See that the slot's network stands and isolates; IsolationBroken when it doesn't."""
        index = network_index(slot)
        async with self._lock:
            await self._find_addressing(claim=index)
            standing = await self._standing()
            if index not in standing:
                await self._make(self._known, index)
                standing = await self._standing()
            await self._hold(standing)
            known = self._known
            return Berth(place=known.place(slot), pool=str(known.pool), network_id=standing[index]["Id"])

    async def attach_again(self, container_id: str, berth: Berth) -> None:
        """Move a stopped container from a network that somebody removed to the one that stands in its place."""
        network = berth.place.network
        endpoint = {"Container": container_id, "EndpointConfig": {"IPAMConfig": {"IPv4Address": berth.place.address}}}
        async with self._engine.call(f"attach a container to {network}", timeout_s=ACT_S) as docker:
            standing = await docker.networks.get(berth.network_id)
            await standing.disconnect({"Container": container_id, "Force": True})
            await standing.connect(endpoint)

    async def hold(self) -> None:
        """Put the firewall back where somebody flushed it: Docker starts instances without asking us."""
        async with self._lock:
            standing = await self._standing()
            if standing:
                await self._hold(standing)

    async def standing(self) -> list[Place]:
        """The networks that stand now."""
        async with self._lock:
            await self._find_addressing()
            return [self._known.gate(index) for index in await self._standing()] if self._addressing else []

    async def prune(self, used: set[int]) -> None:
        """Remove the networks whose numbers nobody uses; with the last of them go the table and the pool."""
        async with self._lock:
            for index, network in (await self._standing()).items():
                if index not in used:
                    await self._remove(network["Id"])
            left = await self._standing()
            if left:
                await self._hold(left)
            else:
                await self._firewall.remove()
                await self.egress.remove()
                self._addressing = None

    # --- within, under the lock ---------------------------------------------------------------------------------------

    @property
    def _known(self) -> Addressing:
        if self._addressing is None:
            raise RuntimeFault("The tenants' networks were removed meanwhile.", hint="Try again.")
        return self._addressing

    async def _find_addressing(self, *, claim: int | None = None) -> None:
        """Learn the pool: from what is there, from the settings, or by claiming a free one with a first network."""
        if self._addressing is not None:
            return
        pool = await self._labelled_pool() or self._wishes.pool
        if pool is None and claim is not None:
            pool = await self._claim_pool(claim)
        if pool is not None:
            self._addressing = self._within(IPv4Network(pool))

    async def _claim_pool(self, index: int) -> str:
        """Make the first network, in a pool that nobody has; another control plane may be after the same."""
        refused: list[IPv4Network] = []
        while len(refused) < TRIES:
            pool = await self._free_pool(refused)
            try:
                await self._make(self._within(pool), index)
            except Clash:
                refused.append(pool)
            else:
                return await self._labelled_pool() or str(pool)
        raise RuntimeFault(f"None of {', '.join(map(str, refused))} could be had for the tenants' networks.")

    def _within(self, pool: IPv4Network) -> Addressing:
        return Addressing(namespace=self._wishes.namespace, pool=pool)

    async def _labelled_pool(self) -> str | None:
        ours = labels.ours(self._wishes.namespace)
        async with self._engine.call("list the tenants' networks") as docker:
            networks = await docker.networks.list(filters=ours)
        for network in networks:
            return str(network["Labels"][labels.POOL])
        async with self._engine.call("list the tenants' containers") as docker:
            containers = await docker.containers.list(all=1, limit=1, filters=json.dumps(ours))
        for container in containers:
            return str(container["Labels"][labels.POOL])
        return None

    async def _free_pool(self, refused: Sequence[IPv4Network]) -> IPv4Network:
        async with self._engine.call("list the networks") as docker:
            networks = await docker.networks.list()
        taken = [subnet for network in networks for subnet in subnets(network)]
        resolvers = [IPv4Network(address) for address in self._resolvers()]
        return first_free_pool([*taken, *self._host_net.routes(), *resolvers, *refused])

    async def _standing(self) -> dict[int, dict[str, Any]]:
        """Our networks by number."""
        async with self._engine.call("list the tenants' networks") as docker:
            networks = await docker.networks.list(filters=labels.ours(self._wishes.namespace))
        found = {labels.number(network["Labels"], labels.NETWORK): network for network in networks}
        return dict(sorted(found.items()))

    async def _make(self, addressing: Addressing, index: int) -> None:
        try:
            async with self._engine.call("create the tenants' network", timeout_s=ACT_S) as docker:
                await docker.networks.create(_network_config(addressing, index))
        except Clash as clash:
            if await self._appears(index):
                return
            name = addressing.name(index)
            if await self._foreign(name):
                raise ForeignInstance(f"A network that isn't ours is called {name!r} already.") from clash
            raise

    async def _appears(self, index: int) -> bool:
        """Whether another process of this namespace is just making the network: it takes the range, then shows."""
        for _ in range(APPEARS_LOOKS):
            if index in await self._standing():
                return True
            await asyncio.sleep(APPEARS_PAUSE_S)
        return False

    async def _foreign(self, name: str) -> bool:
        """Whether a network of this name is somebody else's; one of ours may have come up after the last look."""
        async with self._engine.call("list the networks") as docker:
            named = [found for found in await docker.networks.list(filters={"name": name}) if found["Name"] == name]
        return any((found["Labels"] or {}).get(labels.NAMESPACE) != self._wishes.namespace for found in named)

    async def _hold(self, standing: Mapping[int, Mapping[str, Any]]) -> None:
        await assert_bridge_netfilter()
        await self._firewall.hold(
            Rules(
                namespace=self._wishes.namespace,
                broker_port=self._wishes.broker_port,
                names_port=self._wishes.names_port,
                lans=tuple(_lan(network) for network in standing.values()),
                resolvers=tuple(self._resolvers()),
            )
        )
        if self.watched is not None:
            await self._find_addressing()
            modes = {IPv4Address(self._known.place(slot).address): mode for slot, mode in self.watched.items()}
            rules = EgressRules(namespace=self._wishes.namespace, port=self._wishes.names_port, modes=modes)
            await self.egress.hold(rules)

    async def _remove(self, network_id: str) -> None:
        try:
            async with self._engine.call("remove a tenants' network", timeout_s=ACT_S) as docker:
                await (await docker.networks.get(network_id)).delete()
        except NotThere:
            pass
        except Clash:
            # Somebody is attached to it, so it is in use whatever the slots say; the next prune looks again.
            pass

    def _resolvers(self) -> list[IPv4Address]:
        if not self._wishes.dns:
            return self._host_net.resolvers()
        addresses = (ip_address(text) for text in self._wishes.dns)
        return [address for address in addresses if isinstance(address, IPv4Address)]


def _network_config(addressing: Addressing, index: int) -> dict[str, Any]:
    return {
        "Name": addressing.name(index),
        "CheckDuplicate": True,
        "Driver": "bridge",
        "EnableIPv6": False,
        "IPAM": {
            "Config": [{"Subnet": str(addressing.subnet(index)), "Gateway": str(addressing.gateway(index))}],
        },
        "Options": {
            "com.docker.network.bridge.name": addressing.bridge(index),
            "com.docker.network.bridge.enable_icc": "false",
        },
        "Labels": {
            labels.NAMESPACE: addressing.namespace,
            labels.NETWORK: str(index),
            labels.POOL: str(addressing.pool),
        },
    }


def _lan(network: Mapping[str, Any]) -> Lan:
    config = network["IPAM"]["Config"][0]
    return Lan(
        bridge=network["Options"]["com.docker.network.bridge.name"],
        subnet=IPv4Network(config["Subnet"]),
        gateway=IPv4Address(config["Gateway"]),
    )


def subnets(network: Mapping[str, Any]) -> Sequence[IPv4Network]:
    """The ranges that a listed network has."""
    configs = network["IPAM"]["Config"] or []
    return [IPv4Network(config["Subnet"]) for config in configs if ":" not in config.get("Subnet", ":")]
