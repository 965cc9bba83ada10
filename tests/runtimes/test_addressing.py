"""Slots, networks and pools: arithmetic."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.core.errors import RuntimeFault
from innkeeper.runtimes.addressing import SLOTS_PER_NETWORK, Addressing, bridge_prefix, network_index, places_in
from innkeeper.runtimes.docker_pool import first_free_pool

ADDRESSING = Addressing(namespace="innkeeper", pool=IPv4Network("10.64.0.0/16"))
LAST_SLOT = 64 * SLOTS_PER_NETWORK - 1


@given(st.integers(0, LAST_SLOT), st.integers(0, LAST_SLOT))
def test_two_slots_never_share_an_address_and_each_lies_in_its_network(one: int, other: int) -> None:
    place = ADDRESSING.place(one)
    subnet = ADDRESSING.subnet(network_index(one))
    assert IPv4Address(place.address) in subnet
    assert IPv4Address(place.gateway) in subnet
    assert place.address not in (place.gateway, str(subnet.network_address), str(subnet.broadcast_address))
    assert (ADDRESSING.place(other).address == place.address) == (one == other)


def test_the_first_and_the_last_place() -> None:
    assert ADDRESSING.place(0).address == "10.64.0.16"
    assert ADDRESSING.place(0).gateway == "10.64.0.1"
    assert ADDRESSING.place(0).network == "innkeeper-net-0"
    assert ADDRESSING.place(LAST_SLOT).address == "10.64.254.3"


def test_a_full_pool_says_so() -> None:
    with pytest.raises(RuntimeFault, match=r"10\.64\.0\.0/16 has no room"):
        ADDRESSING.place(LAST_SLOT + 1)


@pytest.mark.parametrize("namespace", ["a", "innkeeper", "a-name-of-twenty-abc"])
def test_bridge_names_fit_linux(namespace: str) -> None:
    assert len(Addressing(namespace=namespace, pool=ADDRESSING.pool).bridge(63)) <= 15


def test_namespaces_have_bridges_of_their_own() -> None:
    assert bridge_prefix("one") != bridge_prefix("two")


def test_the_first_free_pool_overlaps_nothing() -> None:
    assert first_free_pool([]) == IPv4Network("10.64.0.0/16")
    taken = [IPv4Network("10.64.3.0/24"), IPv4Network("10.65.0.0/16"), IPv4Network("10.66.1.1/32")]
    assert first_free_pool(taken) == IPv4Network("10.67.0.0/16")


def test_no_pool_left_says_what_to_do() -> None:
    with pytest.raises(RuntimeFault) as caught:
        first_free_pool([IPv4Network("10.0.0.0/8")])
    assert "network_pool" in caught.value.hint


@pytest.mark.parametrize(
    ("pool", "places"), [(None, 32_000), ("10.64.0.0/16", 32_000), ("10.0.0.0/22", 500), ("10.0.0.0/24", 0)]
)
def test_a_pool_has_places_for_so_many(pool: str | None, places: int) -> None:
    assert places_in(pool) == places
