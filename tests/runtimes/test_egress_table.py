"""The table of the ways out: rendered, taken by nft, held, and filled."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from innkeeper.core.errors import IsolationBroken
from innkeeper.core.uses import EgressMode
from innkeeper.runtimes import egress_table
from innkeeper.runtimes.egress_table import AGAIN_S, FRESH_S, EgressRules, EgressTable, egress_table_name, render
from innkeeper.runtimes.firewall import is_closed
from tests.support.docker_bench import nft

LEARN, ENFORCE = EgressMode.LEARN, EgressMode.ENFORCE
ALICE, BOB = IPv4Address("10.64.0.16"), IPv4Address("10.64.0.17")
MINE = str(ALICE)

TEXT = """\
flush chain inet innkeeper_my_inn_EGRESS names
flush chain inet innkeeper_my_inn_EGRESS floods
flush chain inet innkeeper_my_inn_EGRESS forward
flush chain inet innkeeper_my_inn_EGRESS enforced
table inet innkeeper_my_inn_EGRESS {
	chain names {
		iifname "ikd54c52*" ip saddr @learners meta l4proto { tcp, udp } th dport 53 redirect to :8702
		iifname "ikd54c52*" ip saddr { 10.64.0.17 } meta l4proto { tcp, udp } th dport 53 redirect to :8702
	}

	chain floods {
		iifname "ikd54c52*" meta l4proto { tcp, udp } th dport 8702 update @askers { ip saddr limit rate over \
100/second burst 300 packets } drop
	}

	chain forward {
		iifname "ikd54c52*" ip saddr { 10.64.0.17 } jump enforced
	}

	chain enforced {
		ip saddr . ip daddr @reachable update @reachable { ip saddr . ip daddr timeout 1h } accept
		reject with icmp admin-prohibited
	}
}
flush set inet innkeeper_my_inn_EGRESS learners
add element inet innkeeper_my_inn_EGRESS learners { 10.64.0.16 }
"""


def rules(namespace: str = "my-inn", **modes: EgressMode) -> EgressRules:
    addresses = {"alice": ALICE, "bob": BOB}
    return EgressRules(namespace=namespace, port=8702, modes={addresses[name]: mode for name, mode in modes.items()})


def test_the_rules() -> None:
    assert render(rules(bob=ENFORCE, alice=LEARN)).endswith(TEXT)
    assert "jump enforced" not in render(rules(alice=LEARN))
    assert "add element" not in render(rules(bob=ENFORCE))


@pytest.mark.parametrize(
    ("address", "closed"),
    [("10.1.2.3", True), ("169.254.169.254", True), ("100.64.0.1", True), ("203.0.113.7", False), ("8.8.8.8", False)],
)
def test_what_is_closed_to_everybody(address: str, closed: bool) -> None:
    assert is_closed(IPv4Address(address)) is closed


class Clock:
    """Monotonic seconds, turned by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def namespace() -> Iterator[str]:
    namespace = f"ik-test-{secrets.token_hex(4)}"
    yield namespace
    nft("delete", "table", "inet", egress_table_name(namespace))


def listed(namespace: str, *what: str) -> str | None:
    return nft("--stateless", "list", *(what or ("table",)), "inet", egress_table_name(namespace))


def reachable(namespace: str) -> str:
    return nft("--stateless", "list", "set", "inet", egress_table_name(namespace), "reachable") or ""


@pytest.mark.docker
async def test_it_is_held_and_goes_with_the_last_who_is_watched(namespace: str) -> None:
    table = EgressTable(namespace)
    await table.hold(rules(namespace))
    assert listed(namespace) is None, "nobody needs it"
    await table.hold(rules(namespace, alice=ENFORCE))
    whole = listed(namespace)
    assert whole
    for spoil in (["delete", "table"], ["flush", "table"]):
        nft(*spoil, "inet", egress_table_name(namespace))
        await table.hold(rules(namespace, alice=ENFORCE))
        assert listed(namespace) == whole
    await table.hold(rules(namespace))
    assert listed(namespace) is None
    await table.remove()


def learning(namespace: str) -> bool:
    return MINE in (nft("--stateless", "list", "set", "inet", egress_table_name(namespace), "learners") or "")


@pytest.mark.docker
async def test_who_learns_is_let_go_unless_it_is_said_again(namespace: str) -> None:
    clock = Clock()
    table = EgressTable(namespace, clock=clock)
    wanted = rules(namespace, alice=LEARN, bob=ENFORCE)
    await table.hold(wanted)
    assert learning(namespace)
    listed_set = nft("list", "set", "inet", egress_table_name(namespace), "learners") or ""
    assert "expires 1m" in listed_set or "expires 2m" in listed_set
    nft("flush", "set", "inet", egress_table_name(namespace), "learners")
    await table.hold(wanted)
    assert not learning(namespace), "said a moment ago"
    clock.now += AGAIN_S + 1
    await table.hold(wanted)
    assert learning(namespace)
    await table.let_go()
    assert not learning(namespace)
    assert "jump enforced" in (listed(namespace) or ""), "what is enforced stays so"
    await table.hold(wanted)
    assert learning(namespace)


@pytest.mark.docker
async def test_what_is_open_outlives_rules_and_processes(namespace: str) -> None:
    table = EgressTable(namespace)
    await table.hold(rules(namespace, alice=ENFORCE))
    await table.open(MINE, "a.example", ["203.0.113.1", "203.0.113.2"])
    await table.open(MINE, 'odd".example', ["203.0.113.3"])
    await table.hold(rules(namespace, alice=ENFORCE, bob=LEARN))
    assert reachable(namespace).count("10.64.0.16 . 203.0.113.") == 3
    later = EgressTable(namespace)
    await later.hold(rules(namespace, alice=ENFORCE))
    await later.shut(MINE, but=lambda name: name == "a.example")
    assert reachable(namespace).count("10.64.0.16 . 203.0.113.") == 2, "what nobody can explain is shut"
    assert "203.0.113.3" not in reachable(namespace)
    await later.hold(rules(namespace, alice=LEARN))
    assert "elements" not in reachable(namespace), "nothing is left for when it is enforced again"


@pytest.mark.docker
async def test_an_address_of_two_names_stays_while_one_is_left(namespace: str) -> None:
    table = EgressTable(namespace)
    await table.hold(rules(namespace, alice=ENFORCE))
    await table.open(MINE, "a.example", ["203.0.113.1"])
    await table.open(MINE, "b.example", ["203.0.113.1"])
    await table.shut(MINE, but=lambda name: name == "a.example")
    assert "203.0.113.1" in reachable(namespace)
    await table.shut(MINE, but=lambda name: name == "b.example")
    assert "203.0.113.1" not in reachable(namespace)


@pytest.mark.docker
async def test_what_was_opened_lately_costs_nothing_and_later_is_renewed(namespace: str) -> None:
    clock = Clock()
    table = EgressTable(namespace, clock=clock)
    await table.hold(rules(namespace, alice=ENFORCE))
    await table.open(MINE, "a.example", ["203.0.113.1"])
    nft("flush", "set", "inet", egress_table_name(namespace), "reachable")
    await table.open(MINE, "a.example", ["203.0.113.1"])
    assert "203.0.113.1" not in reachable(namespace), "known to be open: nft isn't asked again"
    clock.now += FRESH_S + 1
    await table.open(MINE, "a.example", ["203.0.113.1"])
    assert "203.0.113.1" in reachable(namespace)


@pytest.mark.docker
async def test_the_first_gives_way_to_one_more(namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress_table, "OPEN_MAX", 3)
    table = EgressTable(namespace)
    await table.hold(rules(namespace, alice=ENFORCE))
    for number in range(5):
        await table.open(MINE, "a.example", [f"203.0.113.{number}"])
    left = reachable(namespace)
    assert [number for number in range(5) if f"203.0.113.{number}" in left] == [2, 3, 4]


@pytest.mark.docker
async def test_a_way_that_cant_be_opened_is_said_to_everybody_who_waits(namespace: str) -> None:
    table = EgressTable(namespace)
    with pytest.raises(IsolationBroken):
        await table.open(MINE, "a.example", ["203.0.113.1"])
    await table.hold(rules(namespace, alice=ENFORCE))
    await table.open(MINE, "a.example", ["203.0.113.1"])
    assert "203.0.113.1" in reachable(namespace)
