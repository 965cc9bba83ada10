"""The turnstile: so many at once, in the order they came, and nobody for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from innkeeper.core.turnstile import FAVOURS, LONGEST_S, Position, Turnstile


class Hall:
    """A turnstile with a clock, and who was called."""

    def __init__(self, places: int = 2) -> None:
        self.time = 0.0
        self.awaited: set[str] = set()
        self.called: list[str] = []
        self.turnstile = Turnstile(
            places=places,
            is_awaited=self.awaited.__contains__,
            on_turn=self.called.append,
            clock=lambda: self.time,
        )


def test_so_many_at_once_and_the_rest_in_the_order_they_came() -> None:
    hall = Hall()
    assert [hall.turnstile.enter(name) for name in "abcde"] == [True, True, False, False, False]
    assert hall.turnstile.position("d") == Position(place=2, of=3)
    assert hall.turnstile.position("a") is None
    hall.turnstile.leave("b")
    assert hall.called == ["c"]
    assert hall.turnstile.enter("c"), "its place is kept for it"
    assert not hall.turnstile.enter("d")
    hall.turnstile.leave("a")
    hall.turnstile.leave("c")
    assert hall.called == ["c", "d", "e"]


def test_asking_again_changes_nothing() -> None:
    hall = Hall(places=1)
    assert hall.turnstile.enter("a")
    assert hall.turnstile.enter("a")
    assert not hall.turnstile.enter("b")
    assert not hall.turnstile.enter("c")
    assert not hall.turnstile.enter("b")
    assert hall.turnstile.position("b") == Position(place=1, of=2)


def test_whoever_leaves_the_line_is_not_called() -> None:
    hall = Hall(places=1)
    for name in "abc":
        hall.turnstile.enter(name)
    hall.turnstile.leave("b")
    hall.turnstile.leave("nobody")
    hall.turnstile.leave("a")
    assert hall.called == ["c"]


def test_those_whom_a_request_waits_for_go_ahead_but_leave_nobody_for_ever() -> None:
    hall = Hall(places=1)
    hall.turnstile.enter("first")
    late = [f"late{number}" for number in range(2 * FAVOURS)]
    hall.awaited.update(late)
    for name in ("early", "other", *late):
        hall.turnstile.enter(name)
    shown = {name: hall.turnstile.position(name) for name in ("early", "other", *late)}
    holder = "first"
    while hall.turnstile.waiting:
        hall.turnstile.leave(holder)
        holder = hall.called[-1]
    assert hall.called == [*late[:FAVOURS], "early", *late[FAVOURS:], "other"]
    assert [position.place for name in hall.called if (position := shown[name])] == list(range(1, len(shown) + 1))


def test_one_that_is_starting_already_takes_a_place_though_there_be_none() -> None:
    hall = Hall(places=1)
    hall.turnstile.enter("a")
    hall.turnstile.enter("b")
    hall.turnstile.occupy("c")
    hall.turnstile.occupy("a")
    assert hall.turnstile.starting == 2
    hall.turnstile.leave("a")
    assert hall.called == []
    hall.turnstile.leave("c")
    assert hall.called == ["b"]


def test_a_place_is_nobodys_for_ever() -> None:
    hall = Hall(places=1)
    hall.turnstile.enter("stuck")
    hall.turnstile.enter("b")
    hall.time = LONGEST_S + 1
    assert not hall.turnstile.enter("c")
    assert hall.called == ["b"]


@given(st.lists(st.tuples(st.sampled_from("el"), st.sampled_from("abcdefgh")), max_size=60), st.integers(1, 3))
def test_never_more_inside_than_places_and_every_place_is_used(deeds: list[tuple[str, str]], places: int) -> None:
    hall = Hall(places)
    inside: set[str] = set()
    for deed, name in deeds:
        called = len(hall.called)
        if deed == "e" and hall.turnstile.enter(name):
            inside.add(name)
        elif deed == "l":
            hall.turnstile.leave(name)
            inside.discard(name)
        inside.update(hall.called[called:])
        assert hall.turnstile.starting == len(inside) <= places
        assert not hall.turnstile.waiting or len(inside) == places
