"""What counts as movement between two readings of the socket table, as properties."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from innkeeper.host.sock_diag import Connection
from innkeeper.host.sockets import Reading

ALICE, BOB, CAROL = "10.0.0.1", "10.0.0.2", "10.0.0.3"
ADDRESSES = st.sampled_from([ALICE, BOB, CAROL])
BYTES = st.integers(0, 2**40)
RATES = st.floats(0, 2**30)
AT_S, LATER_S = 1000.0, 1001.0  # a second apart: bytes are bytes per second


def moved(before: Reading, after: Reading, *, quiet_bytes_per_s: float = 0.0) -> frozenset[str]:
    return after.moved_since(before, quiet_bytes_per_s=quiet_bytes_per_s)


@st.composite
def connections(draw: st.DrawFn) -> list[Connection]:
    cookies = count(1)
    each = st.builds(Connection, st.builds(lambda: next(cookies)), st.just(1), ADDRESSES, BYTES, BYTES)
    return draw(st.lists(each, max_size=12))


def grown(connection: Connection, by: int) -> Connection:
    return connection._replace(bytes_in=connection.bytes_in + by)


@given(connections(), st.data())
def test_whatever_closes_nothing_moves(before: list[Connection], data: st.DataObject) -> None:
    left = [connection for connection in before if data.draw(st.booleans())]
    assert moved(Reading(before, at_s=AT_S), Reading(left, at_s=LATER_S)) == frozenset()


@given(connections().filter(bool), st.integers(1, 2**40), st.data())
def test_what_moved_is_found_among_all_that_closed_or_stayed(
    before: list[Connection], by: int, data: st.DataObject
) -> None:
    chosen = data.draw(st.sampled_from(before))
    left = [connection for connection in before if connection is not chosen and data.draw(st.booleans())]
    after = Reading([*left, grown(chosen, by)], at_s=LATER_S)
    assert moved(Reading(before, at_s=AT_S), after) == {chosen.remote}
    assert moved(Reading(before, at_s=AT_S), after, quiet_bytes_per_s=by - 1) == {chosen.remote}
    assert moved(Reading(before, at_s=AT_S), after, quiet_bytes_per_s=by) == frozenset()


@given(connections(), ADDRESSES, BYTES, BYTES, RATES)
def test_a_new_connection_moves_if_it_carried_anything(
    before: list[Connection], address: str, bytes_in: int, bytes_out: int, rate: float
) -> None:
    new = Connection(2**60, 1, address, bytes_in, bytes_out)
    after = Reading([new, *before], at_s=LATER_S)
    expected = {address} if bytes_in or bytes_out else frozenset()
    assert moved(Reading(before, at_s=AT_S), after, quiet_bytes_per_s=rate) == expected


@given(connections(), connections(), RATES, RATES)
def test_a_higher_rate_never_finds_more(
    before: list[Connection], gains: list[Connection], low: float, high: float
) -> None:
    after = [grown(then, gain.bytes_in) for then, gain in zip(before, gains, strict=False)]
    low, high = sorted((low, high))
    first, second = Reading(before, at_s=AT_S), Reading(after, at_s=LATER_S)
    assert moved(first, second, quiet_bytes_per_s=high) <= moved(first, second, quiet_bytes_per_s=low)


@given(connections())
def test_a_connection_named_twice_counts_once(listed: list[Connection]) -> None:
    reading = Reading([*listed, *listed], at_s=AT_S)
    assert sum(traffic.connections for traffic in reading.values()) == len(listed)
    assert sum(traffic.bytes_in for traffic in reading.values()) == sum(each.bytes_in for each in listed)
    assert sum(traffic.bytes_out for traffic in reading.values()) == sum(each.bytes_out for each in listed)
