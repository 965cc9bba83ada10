"""The drills' room on Docker: a hardened container each, alone on an internal bridge with two addresses."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from ipaddress import IPv4Network
from typing import Any

from innkeeper.core.errors import ImageMissing, IsolationBroken, RuntimeFault
from innkeeper.core.instance import Execution, Instance, LogLine, Place, absent
from innkeeper.core.ports import Blueprint
from innkeeper.runtimes import docker_labels as labels
from innkeeper.runtimes.bridge_netfilter import assert_bridge_netfilter
from innkeeper.runtimes.docker_container import instance_of, labels_of
from innkeeper.runtimes.docker_engine import ACT_S, Clash, Engine, NotThere
from innkeeper.runtimes.docker_exec import run_inside
from innkeeper.runtimes.docker_logs import read_logs
from innkeeper.runtimes.docker_network import subnets
from innkeeper.runtimes.docker_profile import container_config
from innkeeper.runtimes.drill_firewall import DrillFirewall, drill_bridges
from innkeeper.runtimes.host_net import HostNet

POOL = IPv4Network("198.18.0.0/15")
"""Set aside for tests of networks (RFC 2544): no route leads there, and no tenant gets there either."""
CELL_BITS = 29
TRIES = 8
"""How many ranges are tried when others take them at the same time."""
OUTPUT_LINES = 50
_FIRST = ".first"
NOWHERE = "192.0.2.53"
"""Nobody's address (RFC 5737): the name server that a drill asks in vain."""


class DockerDrillRoom:
    """Throwaway instances as containers; the contract stands in core/ports/drills.py."""

    def __init__(self, *, socket: str, namespace: str, host_net: HostNet | None = None) -> None:
        self.namespace = namespace
        self.host_net = host_net or HostNet()
        self._engine = Engine(socket)
        self._firewall = DrillFirewall(namespace)
        self._lock = asyncio.Lock()

    async def ready(self, drill: str) -> Place:
        """The table first: a network without it would be a way to this host."""
        async with self._lock:
            await assert_bridge_netfilter()
            await self._firewall.hold()
            network = await self._network(drill) or await self._make(drill)
        if not network["Internal"]:
            raise IsolationBroken(f"The network {network['Name']} isn't closed to the outside.")
        return _place(network)

    async def run_once(self, drill: str, blueprint: Blueprint, *, timeout_s: float) -> Execution:
        """Its log is read when it has ended; one that writes on and on is cut off with the deadline."""
        name = self._name(drill) + _FIRST
        await self._start(drill, name, blueprint)
        try:
            async with self._engine.call(f"wait for {name}", timeout_s=None) as docker, asyncio.timeout(timeout_s):
                ended = await docker.containers.container(name).wait()
        except TimeoutError as late:
            raise RuntimeFault(f"{blueprint.command[:1]} didn't end within {timeout_s:g} s.") from late
        lines = [line.text async for line in self._lines(drill, name, OUTPUT_LINES)]
        async with self._engine.call(f"remove {name}", timeout_s=ACT_S) as docker:
            await docker.containers.container(name).delete(force=True, v=True)
        return Execution(exit_code=int(ended["StatusCode"]), output="\n".join(lines).encode())

    async def open(self, drill: str, blueprint: Blueprint) -> None:
        """Never started a second time by the Engine."""
        await self._start(drill, self._name(drill), blueprint)

    async def _start(self, drill: str, name: str, blueprint: Blueprint) -> None:
        """Made by the tenants' own profile, with other labels."""
        place = await self.ready(drill)
        config = container_config(
            blueprint,
            place,
            namespace=self.namespace,
            pool="",
            dns=[NOWHERE],
            host_has_ipv6=self.host_net.has_ipv6(),
        )
        config["Labels"] = self._labels(drill)
        config["HostConfig"]["RestartPolicy"] = {"Name": "no"}
        try:
            async with self._engine.call(f"create {name}", timeout_s=ACT_S) as docker:
                await docker.containers.create(config, name=name)
        except NotThere as missing:
            raise ImageMissing(f"The image {blueprint.image} of {blueprint.tenant} isn't here.") from missing
        except Clash:
            await self._shown(drill, name)  # one of ours, made by a call before this
        async with self._engine.call(f"start {name}", timeout_s=ACT_S) as docker:
            await docker.containers.container(name).start()

    async def state(self, drill: str) -> Instance:
        """As the Engine tells it."""
        shown = await self._engine.inspect(self._name(drill))
        if shown is None or labels_of(shown).get(labels.DRILL) != drill:
            return absent(drill)
        return instance_of(shown)

    def logs(self, drill: str, *, tail: int) -> AsyncIterator[LogLine]:
        """Its last lines."""
        return self._lines(drill, self._name(drill), tail)

    async def _lines(self, drill: str, name: str, tail: int) -> AsyncIterator[LogLine]:
        shown = await self._shown(drill, name)
        async for line in read_logs(self._engine, shown["Id"], follow=False, since=None, tail=tail):
            yield line

    async def run(self, drill: str, command: Sequence[str], *, timeout_s: float) -> Execution:
        """Run a program inside, as the user that the agent is: to prove what is reached from there."""
        shown = await self._shown(drill, self._name(drill))
        return await run_inside(self._engine, shown["Id"], command, timeout_s=timeout_s)

    async def close(self, drill: str) -> None:
        """The container first: a network that somebody is on can't be removed."""
        for container in await self._containers(drill):
            try:
                async with self._engine.call("remove a drill", timeout_s=ACT_S) as docker:
                    await docker.containers.container(container["Id"]).delete(force=True, v=True)
            except (NotThere, Clash):
                continue  # somebody else is removing it
        network = await self._network(drill)
        if network is not None:
            try:
                async with self._engine.call("remove a drill's network", timeout_s=ACT_S) as docker:
                    await (await docker.networks.get(network["Id"])).delete()
            except NotThere:
                return

    async def leftovers(self) -> Sequence[str]:
        """By the labels of containers and networks."""
        found = [*(await self._containers()), *(await self._networks())]
        return sorted({drill for each in found if (drill := (each["Labels"] or {}).get(labels.DRILL))})

    async def release(self) -> None:
        """Let go of the Engine."""
        await self._engine.close()

    async def tear_down(self) -> None:
        """Everything of it, for good."""
        for drill in await self.leftovers():
            await self.close(drill)
        await self._firewall.remove()

    # --- within -------------------------------------------------------------------------------------------------------

    def _name(self, drill: str) -> str:
        # A dot, which no tenant's name has.
        return f"{self.namespace}.drill.{drill}"

    def _labels(self, drill: str) -> dict[str, str]:
        # Not the namespace's own label: by that the runtime knows what is a tenant's.
        return {labels.DRILLS: self.namespace, labels.DRILL: drill}

    def _filter(self, drill: str | None) -> dict[str, list[str]]:
        wanted = [f"{labels.DRILLS}={self.namespace}"]
        return {"label": wanted if drill is None else [*wanted, f"{labels.DRILL}={drill}"]}

    async def _shown(self, drill: str, name: str) -> dict[str, Any]:
        shown = await self._engine.inspect(name)
        if shown is None or labels_of(shown).get(labels.DRILL) != drill:
            raise RuntimeFault(f"The container of the drill {drill} has vanished.")
        return shown

    async def _containers(self, drill: str | None = None) -> list[Any]:
        async with self._engine.call("list the drills") as docker:
            found: list[Any] = await docker.containers.list(all=1, filters=json.dumps(self._filter(drill)))
        return [{"Id": each.id, "Labels": each["Labels"]} for each in found]

    async def _networks(self, drill: str | None = None) -> list[dict[str, Any]]:
        async with self._engine.call("list the drills' networks") as docker:
            return list(await docker.networks.list(filters=self._filter(drill)))

    async def _network(self, drill: str) -> dict[str, Any] | None:
        found = await self._networks(drill)
        return found[0] if found else None

    async def _make(self, drill: str) -> dict[str, Any]:
        async with self._engine.call("list the networks") as docker:
            taken = [subnet for network in await docker.networks.list() for subnet in subnets(network)]
        for cell in cells([*taken, *self.host_net.routes()]):
            try:
                async with self._engine.call("create a drill's network", timeout_s=ACT_S) as docker:
                    await docker.networks.create(self._network_config(drill, cell))
            except Clash:
                continue  # another has just taken the range
            made = await self._network(drill)
            if made is not None:
                return made
        raise RuntimeFault(f"No range within {POOL} could be had for a drill's network.")

    def _network_config(self, drill: str, cell: IPv4Network) -> dict[str, Any]:
        return {
            "Name": self._name(drill),
            "CheckDuplicate": True,
            "Driver": "bridge",
            "Internal": True,
            "EnableIPv6": False,
            "IPAM": {"Config": [{"Subnet": str(cell), "Gateway": str(cell[1])}]},
            "Options": {
                "com.docker.network.bridge.name": drill_bridges(self.namespace) + secrets.token_hex(3),
                "com.docker.network.bridge.enable_icc": "false",
            },
            "Labels": self._labels(drill),
        }


def cells(taken: Sequence[IPv4Network]) -> Iterator[IPv4Network]:
    """A few ranges for one drill each that overlap nothing in `taken`, from anywhere in the pool."""
    size, found = POOL.num_addresses >> (32 - CELL_BITS), 0
    first = secrets.randbelow(size)
    for number in range(size):
        address = int(POOL.network_address) + ((first + number) % size << (32 - CELL_BITS))
        cell = IPv4Network((address, CELL_BITS))
        if not any(cell.overlaps(each) for each in taken if each.prefixlen):
            yield cell
            found += 1
        if found == TRIES:
            return


def _place(network: dict[str, Any]) -> Place:
    cell = IPv4Network(network["IPAM"]["Config"][0]["Subnet"])
    return Place(network=network["Name"], address=str(cell[2]), gateway=str(cell[1]))
