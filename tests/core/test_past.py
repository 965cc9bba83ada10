"""What was measured before: the latest figures count, and only so many of them."""

from __future__ import annotations

from innkeeper.core.ladder import Rung
from innkeeper.core.past import KEPT, NOTHING, Past, together, usual, worst


def test_old_figures_are_forgotten() -> None:
    past = NOTHING
    for seconds in range(KEPT + 3):
        past = past.with_wake(Rung.STOPPED, seconds)
    assert past.wakes_s[Rung.STOPPED] == tuple(range(3, KEPT + 3))
    assert (usual(past.wakes_s[Rung.STOPPED]), worst(past.wakes_s[Rung.STOPPED])) == (6.5, KEPT + 2)


def test_within_a_stay_the_highest_counts_and_each_stay_by_itself() -> None:
    past = NOTHING.with_peak(Rung.PAGED, 200, same_stay=False)
    past = past.with_peak(Rung.PAGED, 300.4, same_stay=True).with_peak(Rung.PAGED, 250, same_stay=True)
    assert past.awake_mb[Rung.PAGED] == (300,)
    assert past.with_peak(Rung.PAGED, 100, same_stay=False).awake_mb[Rung.PAGED] == (300, 100)
    assert past.with_peak(Rung.PAGED, 100, same_stay=True) is past
    assert past.with_peak(Rung.STOPPED, 900, same_stay=True).awake_mb == {Rung.PAGED: (300,), Rung.STOPPED: (900,)}


def test_the_figures_of_a_kind_together() -> None:
    one = NOTHING.with_rest(Rung.PAGED, 30, 900).with_wake(Rung.PAGED, 0.5)
    other = NOTHING.with_rest(Rung.PAGED, 50, 800)
    assert together([one, other, Past()]) == Past(
        wakes_s={Rung.PAGED: (0.5,)}, asleep_mb={Rung.PAGED: (30, 50)}, swapped_mb={Rung.PAGED: (900, 800)}
    )


def test_of_nothing_nothing_is_known() -> None:
    assert usual(()) is None
    assert worst(()) is None
