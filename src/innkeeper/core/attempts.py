"""How often somebody may try who has to prove who they are: by account and by address, in bounded memory.

A bucket holds so many failures and loses one every few seconds (a leaky bucket). Successes count for nothing, so that
whoever signs in rightly is never held up by it; a stranger who fails for somebody's account holds it up for some
seconds, and only for those who come with a password.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_network

from innkeeper.core.people_errors import TooManyAttempts

FAILURES = 10
"""In a row, then one more every …"""
EVERY_S = 6.0
"""… so that an account sees ten guesses a minute: five million a year, against passwords of twelve characters."""
BUCKETS = 10_000
"""What is remembered at most; who comes from more places than that pays with Argon2's own slowness."""
ADDRESS_FAILURES = 30
"""An office behind one address has many who mistype."""


class Attempts:
    """Counts failures."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def begin(self, *, account: str | None, address: str | None) -> None:
        """Somebody tries: it counts as a failure from here on, so that a thousand at once are no way round. Raises
        TooManyAttempts where it was tried in vain too often lately."""
        buckets = _buckets(account, address)
        if any(self._level(key) >= most for key, most in buckets):
            raise TooManyAttempts("That was tried too often.")
        for key, _ in buckets:
            self._set(key, self._level(key) + 1)
        while len(self._levels) > BUCKETS:
            self._levels.popitem(last=False)

    def succeeded(self, *, account: str | None, address: str | None) -> None:
        """It was no failure after all."""
        for key, _ in _buckets(account, address):
            self._set(key, max(0.0, self._level(key) - 1))

    def _set(self, key: str, level: float) -> None:
        self._levels[key] = level, self._clock()
        self._levels.move_to_end(key)

    def _level(self, key: str) -> float:
        level, at = self._levels.get(key, (0.0, 0.0))
        return max(0.0, level - (self._clock() - at) / EVERY_S)


def _buckets(account: str | None, address: str | None) -> list[tuple[str, int]]:
    found = [(f"account {account}", FAILURES)] if account is not None else []
    return found + ([(f"address {_place(address)}", ADDRESS_FAILURES)] if address is not None else [])


def _place(address: str) -> str:
    """Whoever has one IPv6 address has the whole /64 (RFC 4291, 2.5.4)."""
    return str(ip_network(f"{address}/64", strict=False)) if ":" in address else address
