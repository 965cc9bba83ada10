"""Choosing the tenants' pool: the first /16 that clashes with nothing."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from innkeeper.core.errors import RuntimeFault

FIRST, LAST = 64, 255
"""10.64.0.0/16 and up: below lie the ranges that offices, clouds and VPNs like best."""


def first_free_pool(taken: Iterable[IPv4Network]) -> IPv4Network:
    """The first pool that overlaps nothing in `taken`; RuntimeFault when none is left."""
    taken = tuple(taken)
    for number in range(FIRST, LAST + 1):
        pool = IPv4Network(f"10.{number}.0.0/16")
        if not any(pool.overlaps(network) for network in taken):
            return pool
    raise RuntimeFault(
        f"No /16 between 10.{FIRST}.0.0 and 10.{LAST}.0.0 is free for the tenants' networks.",
        hint="Set `network_pool` to a private range that nothing here uses.",
    )
