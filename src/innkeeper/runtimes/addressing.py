"""How slots map to networks and addresses: pure arithmetic on one pool, shared by every runtime."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from innkeeper.core.errors import RuntimeFault
from innkeeper.core.instance import Place

SLOTS_PER_NETWORK = 500
NETWORK_BITS = 22
POOL_BITS = 16
"""A pool's size where nothing else is said."""
FIRST_HOST = 16
"""The first tenant's host number; those below are the gateway's and kept free."""


def network_index(slot: int) -> int:
    """The number of the network that a slot lies on."""
    return slot // SLOTS_PER_NETWORK


def places_in(pool: str | None) -> int:
    """How many tenants a pool has addresses for; None: one of the usual size."""
    bits = IPv4Network(pool).prefixlen if pool else POOL_BITS
    return SLOTS_PER_NETWORK << (NETWORK_BITS - bits) if bits <= NETWORK_BITS else 0


def bridge_prefix(namespace: str) -> str:
    """What the names of our bridge devices begin with: short, for Linux allows 15 characters."""
    return "ik" + hashlib.sha256(namespace.encode()).hexdigest()[:6]


@dataclass(frozen=True, kw_only=True)
class Addressing:
    """The tenants' networks of one namespace in one pool."""

    namespace: str
    pool: IPv4Network

    def name(self, index: int) -> str:
        """The runtime's name of network number `index`."""
        return f"{self.namespace}-net-{index}"

    def bridge(self, index: int) -> str:
        """The host's bridge device of that network."""
        return f"{bridge_prefix(self.namespace)}{index}"

    def subnet(self, index: int) -> IPv4Network:
        """The part of the pool that the network has; RuntimeFault when the pool is used up."""
        size = 1 << (32 - NETWORK_BITS)
        if (index + 1) * size > self.pool.num_addresses:
            raise RuntimeFault(
                f"The network pool {self.pool} has no room for network number {index}.",
                hint="Set a larger `network_pool`.",
            )
        return IPv4Network((int(self.pool.network_address) + index * size, NETWORK_BITS))

    def gateway(self, index: int) -> IPv4Address:
        """The host's own address on that network."""
        return self.subnet(index).network_address + 1

    def place(self, slot: int) -> Place:
        """Where a slot lies."""
        index = network_index(slot)
        address = self.subnet(index).network_address + FIRST_HOST + slot % SLOTS_PER_NETWORK
        return Place(network=self.name(index), address=str(address), gateway=str(self.gateway(index)))

    def gate(self, index: int) -> Place:
        """The network itself, with no tenant's address."""
        return Place(network=self.name(index), address="", gateway=str(self.gateway(index)))
