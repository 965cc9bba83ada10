"""The firewall's table: rendered, and accepted by nft."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv4Network

import pytest

from innkeeper.runtimes.firewall import Lan, Rules, render, table_name

RULES = Rules(
    namespace="my-inn",
    broker_port=8701,
    names_port=8702,
    lans=(
        Lan(bridge="ikd54c520", subnet=IPv4Network("10.64.0.0/22"), gateway=IPv4Address("10.64.0.1")),
        Lan(bridge="ikd54c521", subnet=IPv4Network("10.64.4.0/22"), gateway=IPv4Address("10.64.4.1")),
    ),
    resolvers=(IPv4Address("10.0.0.53"),),
)

TABLE = """\
table inet innkeeper_my_inn
delete table inet innkeeper_my_inn
table inet innkeeper_my_inn {
	set homes {
		type ifname . ipv4_addr
		flags interval
		elements = { "ikd54c520" . 10.64.0.0/22, "ikd54c521" . 10.64.4.0/22 }
	}

	set gateways {
		type ifname . ipv4_addr
		elements = { "ikd54c520" . 10.64.0.1, "ikd54c521" . 10.64.4.1 }
	}

	set closed {
		type ipv4_addr
		flags interval
		elements = { 0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, \
192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/4, 240.0.0.0/4 }
	}

	chain input {
		type filter hook input priority -10; policy accept;
		iifname "ikd54c52*" jump to_host
	}

	chain forward {
		type filter hook forward priority -10; policy accept;
		iifname "ikd54c52*" jump to_world
		oifname "ikd54c52*" jump to_tenant
	}

	chain to_host {
		meta nfproto != ipv4 drop
		iifname . ip saddr != @homes drop
		ct state established,related accept
		iifname . ip daddr @gateways tcp dport 8701 accept
		iifname . ip daddr @gateways ct status dnat meta l4proto { tcp, udp } th dport 8702 accept
		ip daddr { 10.0.0.53 } meta l4proto { tcp, udp } th dport 53 accept
		drop
	}

	chain to_world {
		meta nfproto != ipv4 drop
		iifname . ip saddr != @homes drop
		oifname "ikd54c52*" drop
		ct state established,related accept
		ip daddr { 10.0.0.53 } meta l4proto { tcp, udp } th dport 53 accept
		ip daddr @closed drop
	}

	chain to_tenant {
		ct state established,related accept
		drop
	}
}
"""


def test_the_whole_table() -> None:
    assert render(RULES) == TABLE


def test_without_resolvers_port_53_stays_shut() -> None:
    shut = render(Rules(namespace="my-inn", broker_port=8701, names_port=8702, lans=RULES.lans, resolvers=()))
    assert "dport 53" not in shut


def test_hyphens_are_not_for_nftables() -> None:
    assert table_name("my-inn") == "innkeeper_my_inn"


@pytest.mark.docker
@pytest.mark.parametrize(
    "rules", [RULES, Rules(namespace="x", broker_port=1, names_port=2, lans=RULES.lans[:1], resolvers=())]
)
async def test_nft_takes_it(rules: Rules) -> None:
    nft = await asyncio.create_subprocess_exec(
        "/usr/sbin/nft", "--check", "-f", "-", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, complaint = await nft.communicate(render(rules).encode())
    assert (nft.returncode, complaint) == (0, b"")
