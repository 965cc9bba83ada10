"""The tenants' firewall: one nftables table of our own, made by a pure function and replaced in one transaction.

Docker's own rules are never edited. A drop here is final; an accept only ends our part, and Docker's rules go on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from innkeeper.core.errors import IsolationBroken
from innkeeper.runtimes.addressing import bridge_prefix

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

DEADLINE_S = 15.0

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
        await _nft("-f", "-", stdin=render(rules))
        listing = await self._listing()
        if listing is None:
            raise IsolationBroken("The firewall table vanished as soon as it was set.")
        self._standing = rules, listing

    async def remove(self) -> None:
        """Take the table away; one that isn't there is fine."""
        await _nft("-f", "-", stdin=f"table inet {self._table}\ndelete table inet {self._table}\n")
        self._standing = None

    async def _listing(self) -> str | None:
        """The table as it stands; None when it doesn't."""
        try:
            return await _nft("--stateless", "list", "table", "inet", self._table)
        except _Refused:
            return None


class _Refused(IsolationBroken):
    """nft ran, and said no."""


async def _nft(*arguments: str, stdin: str = "") -> str:
    try:
        nft = await asyncio.create_subprocess_exec(
            "nft",
            *arguments,
            # Without input no pipe: nft may be gone before an empty one is written, which uvloop takes amiss.
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin", "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise IsolationBroken(
            "nft isn't there, so the tenants' firewall can't be set.", hint="Install it: `apt-get install nftables`."
        ) from error
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, complaint = await nft.communicate(stdin.encode() if stdin else None)
    except TimeoutError as error:
        nft.kill()
        raise IsolationBroken(f"nft didn't end within {DEADLINE_S:g} s.") from error
    if nft.returncode != 0:
        words = complaint.decode(errors="replace").strip()
        raise _Refused(
            f"nft refused ({nft.returncode}): {words[:500]}",
            hint="The control plane sets firewall rules: run it as root, on a kernel with nf_tables.",
        )
    return output.decode(errors="replace")
