"""What is read of the host's network, from made-up files."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from innkeeper.runtimes.host_net import HostNet

ROUTES = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0101A8C0	0003	0	0	0	00000000	0	0	0
docker0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
eth0	0001A8C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
tun0	0000400A	00000000	0001	0	0	0	0000C0FF	0	0	0
"""
TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.168.1.0
        /24 link UNICAST
     |-- 192.168.1.7
        /32 host LOCAL
Local:
     |-- 192.168.1.7
        /32 host LOCAL
     |-- 172.17.0.1
        /32 host LOCAL
"""
IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
fe8000000000000000fc00fffe000001 03 40 20 80     eth0
"""


@pytest.fixture
def host_net(tmp_path: Path) -> HostNet:
    for name in ("net", "etc", "systemd/resolve"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "net/route").write_text(ROUTES)
    (tmp_path / "net/fib_trie").write_text(TRIE)
    (tmp_path / "net/if_inet6").write_text(IF_INET6)
    return HostNet(proc=tmp_path, etc=tmp_path / "etc", run=tmp_path)


def test_routes_without_the_default_one(host_net: HostNet) -> None:
    expected = ["172.17.0.0/16", "192.168.1.0/24", "10.64.0.0/10"]
    assert host_net.routes() == [IPv4Network(text) for text in expected]


def test_addresses_without_loopback(host_net: HostNet) -> None:
    assert host_net.addresses() == [IPv4Address("172.17.0.1"), IPv4Address("192.168.1.7")]


def test_link_local(host_net: HostNet) -> None:
    assert host_net.link_local("eth0") == "fe80::fc:ff:fe00:1"
    assert host_net.link_local("eth1") is None


def test_resolvers_that_a_container_can_ask(host_net: HostNet) -> None:
    resolv = host_net.etc / "resolv.conf"
    resolv.write_text("# mine\nsearch x\nnameserver 10.0.0.53\nnameserver fd00::1\nnameserver 127.0.0.1\n")
    assert host_net.resolvers() == [IPv4Address("10.0.0.53")]


def test_resolvers_behind_systemds_stub(host_net: HostNet) -> None:
    (host_net.etc / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    assert host_net.resolvers() == []
    (host_net.run / "systemd/resolve/resolv.conf").write_text("nameserver 10.0.0.54\n")
    assert host_net.resolvers() == [IPv4Address("10.0.0.54")]


def test_no_resolver_file_is_no_resolver(host_net: HostNet) -> None:
    assert host_net.resolvers() == []


def test_whom_the_host_itself_asks(host_net: HostNet) -> None:
    assert host_net.name_servers() == []
    (host_net.etc / "resolv.conf").write_text("nameserver fd00::1\nnameserver nonsense\nnameserver 127.0.0.1\n")
    assert [str(address) for address in host_net.name_servers()] == ["fd00::1", "127.0.0.1"]


@pytest.mark.parametrize(
    ("lines", "behind_the_stub", "asks"),
    [
        ("nameserver 10.0.0.53\n", "", False),
        ("nameserver 127.0.0.1\n", "", True),
        ("nameserver ::1\nnameserver 10.0.0.53\n", "", True),
        ("nameserver 127.0.0.53\n", "nameserver 10.0.0.53\n", False),
        ("nameserver 127.0.0.53\n", "nameserver 127.0.0.1\n", True),
        ("", "", False),
    ],
)
def test_a_name_server_on_loopback_is_asked_past_us(
    host_net: HostNet, lines: str, behind_the_stub: str, asks: bool
) -> None:
    (host_net.etc / "resolv.conf").write_text(lines)
    (host_net.run / "systemd/resolve/resolv.conf").write_text(behind_the_stub)
    assert host_net.asks_loopback() is asks
