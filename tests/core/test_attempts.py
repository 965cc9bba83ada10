"""How often somebody may try."""

from __future__ import annotations

import pytest

from innkeeper.core.attempts import ADDRESS_FAILURES, BUCKETS, EVERY_S, FAILURES, Attempts
from innkeeper.core.people_errors import TooManyAttempts


class Time:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def test_failures_run_out_and_come_back_one_by_one() -> None:
    time = Time()
    attempts = Attempts(clock=time)
    for _ in range(FAILURES):
        attempts.begin(account="ann", address=None)
    with pytest.raises(TooManyAttempts):
        attempts.begin(account="ann", address=None)
    attempts.begin(account="bob", address=None)
    time.s += EVERY_S
    attempts.begin(account="ann", address=None)
    with pytest.raises(TooManyAttempts):
        attempts.begin(account="ann", address=None)


def test_whoever_succeeds_is_never_held_up() -> None:
    attempts = Attempts(clock=Time())
    for _ in range(10 * ADDRESS_FAILURES):
        attempts.begin(account="ann", address="192.0.2.1")
        attempts.succeeded(account="ann", address="192.0.2.1")


def test_those_who_try_at_once_count_before_they_have_failed() -> None:
    attempts = Attempts(clock=Time())
    let = 0
    for number in range(1000):
        try:
            attempts.begin(account=f"guess{number}", address="192.0.2.1")
        except TooManyAttempts:
            continue
        let += 1
    assert let == ADDRESS_FAILURES


def test_a_network_of_ipv6_is_one_place() -> None:
    attempts = Attempts(clock=Time())
    for number in range(ADDRESS_FAILURES):
        attempts.begin(account=None, address=f"2001:db8::{number:x}")
    with pytest.raises(TooManyAttempts):
        attempts.begin(account=None, address="2001:db8::ffff:1")
    attempts.begin(account=None, address="2001:db8:0:1::1")


def test_memory_is_bounded() -> None:
    attempts = Attempts(clock=Time())
    for number in range(2 * BUCKETS):
        attempts.begin(account=f"a{number}", address=f"b{number}")
    assert len(attempts._levels) == BUCKETS
