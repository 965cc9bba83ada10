"""The tenants' firewall: one nftables table of our own, made by a pure function and replaced in one transaction.

Docker's own rules are never edited. A drop here is final; an accept only ends our part, and Docker's rules go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from innkeeper.core.errors import IsolationBroken
from innkeeper.runtimes.addressing import bridge_prefix
from innkeeper.runtimes.nft import Refused, nft

CLOSED = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
"""Where no tenant gets: private, carrier-grade NAT, loopback, link-local with the metadata address, protocol
assignments, benchmarks, multicast and reserved. Tenants have no IPv6, so that is closed as a whole."""

_TEMPLATE = """\
table inet {table}
delete table inet {table}
table inet {table} {{
	set homes {{
		type ifname . ipv4_addr
		flags interval
		elements = {{ {homes} }}
	}}

	set gateways {{
		type ifname . ipv4_addr
		elements = {{ {gateways} }}
	}}

	set closed {{
		type ipv4_addr
		flags interval
		elements = {{ {closed} }}
	}}

	chain input {{
		type filter hook input priority -10; policy accept;
		iifname "{bridges}" jump to_host
	}}

	chain forward {{
		type filter hook forward priority -10; policy accept;
		iifname "{bridges}" jump to_world
		oifname "{bridges}" jump to_tenant
	}}

	chain to_host {{
		meta nfproto != ipv4 drop
		iifname . ip saddr != @homes drop
		ct state established,related accept
		iifname . ip daddr @gateways tcp dport {broker_port} accept
		iifname . ip daddr @gateways ct status dnat meta l4proto {{ tcp, udp }} th dport {names_port} accept
{resolvers}		drop
	}}

	chain to_world {{
		meta nfproto != ipv4 drop
		iifname . ip saddr != @homes drop
		oifname "{bridges}" drop
		ct state established,related accept
{resolvers}		ip daddr @closed drop
	}}

	chain to_tenant {{
		ct state established,related accept
		drop
	}}
}}
"""
_RESOLVERS = "\t\tip daddr {{ {addresses} }} meta l4proto {{ tcp, udp }} th dport 53 accept\n"


_CLOSED = tuple(map(IPv4Network, CLOSED))


def is_closed(address: IPv4Address) -> bool:
    """Whether no tenant gets there, whatever its list says."""
    return any(address in network for network in _CLOSED)


@dataclass(frozen=True, kw_only=True)
class Lan:
    """One of the tenants' networks, as the firewall sees it."""

    bridge: str
    subnet: IPv4Network
    gateway: IPv4Address


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Everything that the table depends on."""

    namespace: str
    broker_port: int
    names_port: int
    """Where our name server listens; only what `egress_table.py` has sent there gets through."""
    lans: tuple[Lan, ...]
    resolvers: tuple[IPv4Address, ...]
    """Name servers that containers ask themselves; on many hosts they lie in a private range."""


def table_name(namespace: str) -> str:
    """The table's name: nftables allows no hyphen in it."""
    return "innkeeper_" + namespace.replace("-", "_")


def render(rules: Rules) -> str:
    """The transaction that puts the table in place of whatever stood there."""
    return _TEMPLATE.format(
        table=table_name(rules.namespace),
        bridges=bridge_prefix(rules.namespace) + "*",
        homes=_listed(f'"{lan.bridge}" . {lan.subnet}' for lan in rules.lans),
        gateways=_listed(f'"{lan.bridge}" . {lan.gateway}' for lan in rules.lans),
        closed=_listed(CLOSED),
        broker_port=rules.broker_port,
        names_port=rules.names_port,
        resolvers=_RESOLVERS.format(addresses=_listed(map(str, rules.resolvers))) if rules.resolvers else "",
    )


def _listed(elements: Iterable[str]) -> str:
    return ", ".join(elements)


class Firewall:
    """Keeps the table as it should be."""

    def __init__(self, namespace: str) -> None:
        self._table = table_name(namespace)
        self._standing: tuple[Rules, str] | None = None

    async def hold(self, rules: Rules) -> None:
        """See that the table stands, complete: whoever flushed or edited it is undone."""
        if self._standing is not None:
            held, as_set = self._standing
            if held == rules and await self._listing() == as_set:
                return
        await nft("-f", "-", stdin=render(rules))
        listing = await self._listing()
        if listing is None:
            raise IsolationBroken("The firewall table vanished as soon as it was set.")
        self._standing = rules, listing

    async def remove(self) -> None:
        """Take the table away; one that isn't there is fine."""
        await nft("-f", "-", stdin=f"table inet {self._table}\ndelete table inet {self._table}\n")
        self._standing = None

    async def _listing(self) -> str | None:
        """The table as it stands; None when it doesn't."""
        try:
            return await nft("--stateless", "list", "table", "inet", self._table)
        except Refused:
            return None
