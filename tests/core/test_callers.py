"""Who opened what: nothing that may be open is forgotten, and nothing is kept for ever."""

from __future__ import annotations

import pytest

from innkeeper.core.callers import Callers, Pass, endpoint_of
from innkeeper.core.ports import Endpoint

ONE, TWO = b"203.0.113.7:1001", b"203.0.113.7:1002"
FROM_ONE, FROM_TWO = Endpoint("203.0.113.7", 1001), Endpoint("203.0.113.7", 1002)
KEY, OTHER = Pass("key_1", "alice"), Pass("key_2", "alice")


def pruned(callers: Callers, *open_now: Endpoint, times: int = 2) -> Callers:
    for _ in range(times):
        callers.prune(open_now, since=callers.mark())
    return callers


@pytest.mark.parametrize(
    ("raw", "endpoint"),
    [
        (b"203.0.113.7:1", Endpoint("203.0.113.7", 1)),
        (b"2001:db8::1:65535", Endpoint("2001:db8::1", 65535)),
        (b"[2001:DB8:0::1]:80", Endpoint("2001:db8::1", 80)),
        (b"::ffff:203.0.113.7:80", Endpoint("203.0.113.7", 80)),
        (b"fe80::1%eth0:80", Endpoint("fe80::1", 80)),
    ],
)
def test_ends_go_by_the_name_that_the_kernel_has_for_them(raw: bytes, endpoint: Endpoint) -> None:
    assert endpoint_of(raw) == endpoint


def test_a_credential_is_known_by_all_ends_that_it_was_used_from() -> None:
    callers = Callers()
    for raw in (ONE, TWO, ONE):
        callers.note(raw, KEY)
    assert callers.passes() == {KEY}
    assert callers.ends([KEY]) == {FROM_ONE, FROM_TWO}
    assert callers.ends([OTHER]) == frozenset()


def test_a_connection_that_carries_several_is_known_by_each() -> None:
    callers = Callers()
    for given in (KEY, OTHER, KEY, Pass("key_1", "bob"), OTHER):
        callers.note(ONE, given)
    callers.note(TWO, OTHER)
    assert callers.passes() == {KEY, OTHER, Pass("key_1", "bob")}
    assert callers.ends([KEY]) == callers.ends([Pass("key_1", "bob")]) == {FROM_ONE}
    assert callers.ends([OTHER]) == {FROM_ONE, FROM_TWO}


def test_what_is_closed_is_forgotten_with_its_passes() -> None:
    callers = Callers()
    callers.note(ONE, KEY)
    callers.note(TWO, OTHER)
    assert len(pruned(callers, FROM_TWO)) == 1
    assert callers.passes() == {OTHER}
    assert len(pruned(callers)) == 0
    assert callers.passes() == frozenset()


def test_one_look_may_miss_a_connection() -> None:
    callers = Callers()
    callers.note(ONE, KEY)
    pruned(callers, times=1)
    pruned(callers, FROM_ONE, times=1)
    pruned(callers, times=1)
    assert callers.ends([KEY]) == {FROM_ONE}


def test_who_comes_while_the_kernel_is_being_asked_stays() -> None:
    callers = Callers()
    callers.note(ONE, KEY)
    pruned(callers, times=1)
    mark = callers.mark()
    callers.note(ONE, KEY)  # a new connection from an end that was used before
    callers.note(TWO, KEY)
    callers.prune((), since=mark)
    pruned(callers, times=1)
    assert callers.ends([KEY]) == {FROM_ONE, FROM_TWO}


def test_beyond_its_bound_the_oldest_are_known_as_being_somewhere() -> None:
    callers = Callers(most=10)
    crowded = []
    for port in range(1, 13):
        callers.note(b"203.0.113.7:%d" % port, Pass(f"key_{port}", "alice"))
        crowded.append(callers.crowded)
    assert len(callers) == 10
    assert crowded == [False] * 9 + [True] * 3
    every = callers.passes()
    assert len(every) == 12
    assert callers.elsewhere(every) == {Pass("key_1", "alice"), Pass("key_2", "alice")}
    assert {endpoint.port for endpoint in callers.ends(every)} == set(range(3, 13))


def test_what_has_no_end_is_known_until_it_was_ended() -> None:
    callers = Callers(most=2)
    callers.note_elsewhere(KEY)
    callers.note(b"", OTHER)
    pruned(callers)
    assert callers.elsewhere([KEY, OTHER]) == callers.passes() == {KEY, OTHER}
    callers.forget_elsewhere([KEY])
    assert callers.passes() == {OTHER}
    for number in range(3):
        callers.note_elsewhere(Pass(f"key_{number}", "bob"))
    assert callers.passes() == {Pass("key_1", "bob"), Pass("key_2", "bob")}
