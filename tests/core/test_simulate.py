"""Virtual time: by hand, beside a simulator that looks at one tenant at a time, and under pressure."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innkeeper.core.costs import UNKNOWN
from innkeeper.core.giving_way import GivingWay
from innkeeper.core.idle import counted_s
from innkeeper.core.ladder import PRESETS, Rung, SleepPolicy, rung_after
from innkeeper.core.simulate import Report, Request, Run, Terms, burden_of, missing, simulate
from innkeeper.core.simulate import fleet as at
from innkeeper.core.simulate.arrivals import Arrivals
from innkeeper.core.simulate.house import House
from innkeeper.core.simulate.ledger import BUCKETS_MAX
from innkeeper.core.simulate.ports import AtTheTurnstile, Idle
from innkeeper.core.simulate.report import PLACES_OF
from innkeeper.core.simulate.waits import Waits

COSTS = UNKNOWN.with_given(
    {
        "awake_mb": 1000,
        "returned_mb": 300,
        "paused_mb": 1000,
        "paged_mb": 50,
        "swapped_mb": 950,
        "wake_paused_s": 0.5,
        "wake_paged_s": 2,
        "wake_saved_s": 1,
        "wake_stopped_s": 10,
        "cold_cpu_s": 12,
    },
    cpus=2,
)
POLICY = SleepPolicy(pause_after_s=60, page_after_s=120, stop_after_s=600)
SAVING = replace(POLICY, save_after_s=200, stop_after_s=None)
TERMS = Terms(policy=POLICY, sweep_s=15, zram_ratio=2.0, deadline_s=30)
RUN = Run(terms=TERMS, burden=burden_of(COSTS), cpus=2, slots=1, every_s=60)


def run(requests: list[Request], **different: object) -> Report:
    return simulate(requests, replace(RUN, **different))  # type: ignore[arg-type]


def terms(**different: object) -> Terms:
    return replace(TERMS, **different)  # type: ignore[arg-type]


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_one_tenant_waits_as_long_as_it_takes_from_where_it_is() -> None:
    report = run(
        [
            (0, 0, 5),  # cold: waits 10, busy until 15
            (4, 0, 5),  # while it starts: waits 6
            (20, 0, 0),  # awake; idle from 20 on
            (90, 0, 0),  # paused at the sweep of 90, which comes first: waits 0.5, idle from 90.5
            (300, 0, 0),  # paged out at 225: waits 2, idle from 302
            (1000, 0, 0),  # stopped at 915: waits 10
        ]
    )
    assert report.wakes == {"paused": 1, "paged": 1, "stopped": 2}
    spread = {rung: (waits.number, waits.p50_s, waits.max_s) for rung, waits in report.waits.items()}
    assert spread == {
        "running": (1, 0.0, 0.0),
        "paused": (1, 0.5, 0.5),
        "paged": (1, 2.0, 2.0),
        "stopped": (3, 10.0, 10.0),
    }
    assert (report.requests, report.answered, report.waited, report.refused) == (6, 6, 5, 0)


def test_one_tenants_memory_over_time() -> None:
    report = run([(0, 0, 5), (2000, 0, 0)])
    first = report.series[0]
    # Starting from 0 to 10, running until it is paused at 75 (idle from 15), paged out at 135, stopped at 615.
    assert first.tenants == pytest.approx({**_nobody(), "starting": 10 / 60, "running": 50 / 60})
    assert (first.ram_mb, first.ram_most_mb) == (1000, 1000)
    assert (first.cold_starts, first.cpu_share) == (1, 12 / (2 * 60))
    assert report.series[1].tenants["paused"] == pytest.approx(45 / 60)
    third = report.series[2]
    assert third.ram_mb == pytest.approx((15 * 1000 + 45 * (50 + 950 / 2)) / 60)
    assert third.swap_mb == pytest.approx(45 * 950 / 60)
    assert report.series[11].tenants == {**_nobody(), "stopped": 1}
    assert report.series[11].ram_mb == 0
    whole = report.whole.tenants
    # It is woken once more at 2,000, and the clock goes on until it is up, 10 s later.
    assert {name: round(mean * 2010) for name, mean in whole.items()} == {
        **_nobody(),
        "starting": 20,
        "running": 65,
        "paused": 60,
        "paged": 480,
        "stopped": 2010 - 625,
    }


def _nobody() -> dict[str, float]:
    return dict.fromkeys(PLACES_OF, 0.0)


def test_starts_wait_for_their_turn_in_order() -> None:
    report = run([(0, 0, 0), (1, 1, 0), (2, 2, 0), (3, 1, 0)])
    assert (report.queue.number, report.queue.max_s) == (3, 18.0)  # 0, 9 and 18
    assert report.waits["stopped"].max_s == 28.0
    assert (report.over_deadline, report.waited) == (0, 4)
    assert run([(0, tenant, 0) for tenant in range(5)]).over_deadline == 2
    assert run([(0, tenant, 0) for tenant in range(5)], slots=5).waits["stopped"].max_s == 10


def test_whoever_was_idle_longest_makes_room() -> None:
    small = terms(room_mb=2700, zram_mb=950)
    asked = [(0.0, 0, 0.0), (20, 1, 0), (40, 2, 0), (60, 1, 0), (80, 0, 0)]
    report = run(asked, terms=small)
    # The third finds 2,000 of 2,700 MB taken: the first goes out (525 MB are left of it), and comes back to 650.
    assert report.evictions == {"paged": 1}
    assert report.waits["paged"].number == 1
    assert (report.refused, report.whole.ram_most_mb) == (0, 2650)
    swapless = terms(room_mb=2700, zram_mb=0)
    assert run(asked, terms=swapless).evictions == {"stopped": 2}


def test_nobody_who_is_busy_makes_room() -> None:
    report = run([(0, 0, 1000), (100, 1, 0), (200, 0, 0)], terms=terms(room_mb=1500))
    assert (report.requests, report.refused, report.answered) == (3, 1, 2)
    assert report.whole.ram_most_mb == 1000
    free_again = run([(0, 0, 50), (50, 1, 0), (100, 1, 0)], terms=terms(room_mb=1500, zram_mb=0))
    assert (free_again.refused, free_again.evictions) == (1, {"stopped": 1})


def test_one_that_came_back_holds_less_and_so_it_does_when_it_pauses_again() -> None:
    report = run([(0, 0, 0), (300, 0, 0), (375, 0, 0)])
    # Paged out at 135, back at 300 with 300 MB and 700 MB in swap, paused so at 375, and awake so afterwards.
    assert report.wakes == {"stopped": 1, "paged": 1, "paused": 1}
    assert report.series[5].ram_mb == pytest.approx(300 + 700 / 2)
    assert report.series[6].ram_mb == pytest.approx(300 + 700 / 2)


def test_who_is_saved_waits_for_a_turn_too_and_goes_back_there_when_there_is_no_room() -> None:
    saving = replace(RUN, terms=terms(policy=SAVING))
    asked: list[Request] = [(0, 0, 0), (1000, 0, 0)]
    report = simulate(asked, saving)
    assert (report.wakes, report.waits["saved"].max_s) == ({"stopped": 1, "saved": 1}, 1)
    assert report.whole.cold_starts == 1
    # The other one is busy and fills the house when the saved one is asked for, and is gone when it is asked again.
    crowded = replace(saving, terms=replace(saving.terms, room_mb=1500))
    report = simulate([(0, 0, 0), (1000, 1, 500), (1100, 0, 0), (3000, 0, 0)], crowded)
    assert (report.refused, report.waits["saved"].number, report.wakes["saved"]) == (1, 1, 1)


def test_whoever_waits_longest_keeps_it_busy_and_was_first() -> None:
    report = run([(0, 0, 0), (1, 1, 5), (2, 1, 200), (3, 1, 0), (250, 1, 0)])
    # The second starts at 10, is up at 20 and busy until 220: at 250 it is still awake.
    assert (report.queue.max_s, report.waits["stopped"].max_s) == (9, 19)
    assert report.waits["running"].number == 1
    assert report.wakes == {"stopped": 2}


def test_the_paused_make_room_before_those_that_still_run() -> None:
    # Paused since 75: the first. Idle since 74 and still up at the sweep of 120: the second.
    asked: list[Request] = [(0, 0, 0), (54, 1, 10), (110, 2, 0), (125, 1, 0)]
    report = run(asked, terms=terms(room_mb=2600, zram_mb=0))
    assert report.evictions == {"stopped": 1}
    assert report.waits["running"].number == 1


def test_being_asked_for_in_vain_is_a_sign_of_life() -> None:
    # Paged out at 135; at 500 the other one is busy and fills the house. So it is stopped at 1,110 and not at 615.
    asked: list[Request] = [(0, 0, 0), (200, 1, 2000), (500, 0, 0)]
    report = run(asked, terms=terms(room_mb=1600), ends_s=2000.0)
    assert report.refused == 1
    assert report.whole.tenants["paged"] * 2000 == pytest.approx(1110 - 135)


class NoRoom:
    """Puts nobody down."""

    def choose(self, idle: Idle) -> None:
        return None


def test_whoever_was_asked_for_in_vain_holds_up_nobody_who_has_been_idle_for_longer() -> None:
    # The second is idle from 148 on, the first was asked for in vain at 200, and lies deeper until 270.
    refusing = replace(RUN, terms=terms(room_mb=1600), ends_s=2000.0)
    report = simulate([(0, 0, 0), (138, 1, 0), (200, 0, 0)], refusing, room=NoRoom())
    assert report.refused == 1
    assert report.whole.tenants["paged"] * 2000 == pytest.approx((810 - 135) + (750 - 270))


def test_without_room_in_swap_the_rung_above_serves() -> None:
    report = run([(0, 0, 0), (500, 0, 0)], terms=terms(zram_mb=900))
    assert report.waits["paused"].number == 1
    assert report.whole.tenants["paged"] == 0


def test_a_missing_rung_is_passed_over() -> None:
    report = run([(0, 0, 0), (500, 0, 0)], terms=terms(missing=(Rung.PAGED,)))
    assert report.wakes == {"stopped": 1, "paused": 1}


def test_ocmts_policy_counts_in_whole_minutes() -> None:
    ocmt = terms(policy=PRESETS["ocmt"])
    # Idle from 10 on, 1,800 s are over at 1,810: the check at 1,860 finds that.
    assert run([(0, 0, 0), (1859, 0, 0)], terms=ocmt).wakes == {"stopped": 1}
    assert run([(0, 0, 0), (1861, 0, 0)], terms=ocmt).wakes == {"stopped": 1, "paused": 1}


def test_a_trace_begins_where_its_first_request_is() -> None:
    epoch = 1_800_000_000.0
    report = run([(epoch, 0, 0), (epoch + 100, 0, 0)])
    assert (report.series[0].begins_s, len(report.series)) == (epoch, 2)


def test_waits_are_told_to_three_digits() -> None:
    waits = Waits(limit_s=123.4)
    for hundredths in range(1, 101):
        waits.add(hundredths / 100)
    waits.add(123.456)
    spread = waits.spread()
    assert (spread.number, spread.p50_s, spread.p95_s, spread.p99_s, spread.max_s) == (101, 0.51, 0.96, 1.0, 123.456)
    assert waits.too_long == 1
    waits.add(7.777)
    waits.add(7.779)
    assert waits.number_at(7.78) == 2


def test_no_request_is_no_trouble() -> None:
    report = run([], tenants=3, ends_s=120.0)
    assert (report.requests, report.whole.lasts_s, report.whole.tenants["stopped"]) == (0, 120, 3)
    assert len(report.series) == 2


def test_what_has_to_be_known_depends_on_the_ladder() -> None:
    assert missing(UNKNOWN, [Rung.STOPPED]) == ["awake_mb", "wake_stopped_s"]
    assert "swapped_mb" in missing(UNKNOWN, [Rung.PAUSED, Rung.PAGED])
    assert missing(COSTS, list(Rung)) == []
    assert missing(UNKNOWN, [Rung.SAVED])[-1] == "wake_saved_s"


# --- beside a simulator that knows no queue, no memory, no heap and no lists ------------------------------------------


Spent = dict[str, float]


def alone(requests: list[tuple[float, float]], policy: SleepPolicy, until_s: float) -> tuple[list[float], Spent]:
    """One tenant's waits and its seconds on each rung, found by looking at every sweep."""
    wake_s = {Rung.PAUSED: 0.5, Rung.PAGED: 2.0, Rung.STOPPED: 10.0}
    waits: list[float] = []
    spent: Spent = defaultdict(float)
    rung, ready_s, busy_until, now = Rung.STOPPED, 0.0, 0.0, 0.0
    is_cold = False
    events = sorted([*((when, 1, busy) for when, busy in requests), *((n * 15.0, 0, 0.0) for n in range(200))])
    for when, kind, busy in events:
        if when > until_s:
            break
        starting_s = max(0.0, min(ready_s, when) - now) if is_cold else 0.0
        spent["starting"] += starting_s
        spent[rung] += when - now - starting_s
        now = when
        if kind:
            if rung is not Rung.RUNNING:
                is_cold = rung is Rung.STOPPED
                ready_s = when + wake_s[rung]
                rung = Rung.RUNNING
            waits.append(max(0.0, ready_s - when))
            busy_until = max(busy_until, max(ready_s, when) + busy)
        elif busy_until <= when and rung is not Rung.STOPPED:
            idle_s = counted_s(when - busy_until, when, policy.check_every_s)
            rung = max(rung, rung_after(policy, idle_s), key=lambda each: each.depth)
    return waits, spent


traces = st.lists(
    st.tuples(st.integers(0, 2900).map(lambda tenth: tenth / 2), st.integers(0, 3), st.sampled_from([0, 1, 30, 200])),
    max_size=25,
).map(lambda asked: sorted((when, tenant, float(busy)) for when, tenant, busy in asked))
policies = st.sampled_from([POLICY, replace(POLICY, check_every_s=60), replace(POLICY, stop_after_s=None)])


@given(requests=traces, policy=policies)
def test_with_enough_of_everything_each_tenant_is_alone(requests: list[Request], policy: SleepPolicy) -> None:
    until_s = 1500.0
    report = run(requests, terms=terms(policy=policy), slots=10, ends_s=until_s, tenants=4)
    waits: list[float] = []
    spent: Spent = defaultdict(float)
    for tenant in range(4):
        its_waits, its_time = alone([(r[0], r[2]) for r in requests if r[1] == tenant], policy, report.whole.lasts_s)
        waits += its_waits
        for where, seconds in its_time.items():
            spent[where] += seconds
    assert report.answered == len(waits)
    assert report.waited == sum(wait > 0 for wait in waits)
    assert max((spread.max_s or 0 for spread in report.waits.values()), default=0) == max(waits, default=0)
    lasts_s = report.whole.lasts_s
    if lasts_s == until_s:
        means = {name: mean * lasts_s for name, mean in report.whole.tenants.items() if mean}
        assert means == pytest.approx({name: seconds for name, seconds in spent.items() if seconds}, abs=1e-6)


# --- under pressure ---------------------------------------------------------------------------------------------------

pressed = st.builds(
    terms,
    policy=policies | st.just(SAVING),
    room_mb=st.sampled_from([900, 1000, 1700, 2500, 6000]),
    zram_mb=st.sampled_from([0, 950, 3000]),
    swap_mb=st.sampled_from([0, 2000]),
    missing=st.sampled_from([(), (Rung.PAGED,)]),
)


def crowd(seed: int, number: int = 200) -> Iterator[Request]:
    chance = random.Random(seed)
    now = 0.0
    for _ in range(number):
        now += chance.expovariate(chance.choice([0.5, 0.05, 0.01]))
        yield now, chance.randrange(12), chance.choice([0.0, 5.0, 100.0])


@given(terms=pressed, seed=st.integers(0, 10_000), slots=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_the_books_are_right_at_every_moment(terms: Terms, seed: int, slots: int) -> None:
    house = House(
        terms,
        RUN.burden,
        turnstile=AtTheTurnstile(slots),
        room=GivingWay(terms.missing),
        begins_s=0,
        every_s=100,
    )
    taken = 0
    for request in crowd(seed):
        house.take(request)
        taken += 1
        ledger, fleet = house.ledger, house.fleet
        # Everybody is in one place, and the ledger knows in which.
        assert Counter(fleet.places) == Counter({place: n for place, n in enumerate(ledger.counts) if n})
        assert ledger.counts[at.STARTING] <= slots
        weights = RUN.burden
        resident = sum(weights.resident_mb[place] for place in fleet.places)
        swapped = sum(weights.swap_mb[place] for place in fleet.places)
        assert ledger.ram_mb == pytest.approx(resident + min(swapped, terms.zram_mb) / terms.zram_ratio, abs=1e-3)
        assert swapped <= terms.zram_mb + terms.swap_mb + 1e-6
        assert ledger.ram_mb <= terms.room_mb + 1e-6
        for place in at.LISTS:
            _in_order(house, place)
        assert not any(fleet.is_idle(each) for each in range(len(fleet)) if fleet.places[each] <= at.STARTING)
    house.drain()
    waiting = house.ledger.counts[at.QUEUED]
    answered = sum(waits.spread().number for waits in house.waits.values())
    buckets = house.ledger.finish(house.now)
    refused = sum(bucket.refused for bucket in buckets)
    assert waiting == 0
    assert answered + refused == taken == sum(bucket.requests for bucket in buckets)


def _in_order(house: House, place: int) -> None:
    """Whoever is on a list is on that rung, idle, and has been so for no longer than those before it."""
    fleet, found = house.fleet, []
    link = fleet._after[place]
    while link >= at.PLACES:
        found.append(link - at.PLACES)
        link = fleet._after[link]
    assert len(found) == len(set(found))
    on_it = [tenant for tenant in range(len(fleet)) if at.LIST_OF[fleet.places[tenant]] == place]
    if place == at.UP:  # the others are busy
        on_it = [tenant for tenant in on_it if fleet.is_idle(tenant)]
    assert sorted(found) == on_it
    since = [fleet.busy_until[tenant] for tenant in found]
    assert all(when <= house.now for when in since)
    assert since == sorted(since)


@given(terms=pressed, seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_series_adds_up_to_the_whole(terms: Terms, seed: int) -> None:
    report = run(list(crowd(seed)), terms=terms)
    assert report.requests == report.answered + report.refused == sum(each.requests for each in report.series)
    assert report.refused == sum(each.refused for each in report.series)
    assert report.wakes.get("stopped", 0) == sum(each.cold_starts for each in report.series)
    assert sum(each.lasts_s for each in report.series) == pytest.approx(report.whole.lasts_s)
    assert all(one.begins_s + one.lasts_s == pytest.approx(two.begins_s) for one, two in pairwise(report.series))
    for name, mean in report.whole.tenants.items():
        total = sum(each.tenants[name] * each.lasts_s for each in report.series)
        assert total == pytest.approx(mean * report.whole.lasts_s, abs=1e-6)
    ram = sum(each.ram_mb * each.lasts_s for each in report.series)
    assert ram == pytest.approx(report.whole.ram_mb * report.whole.lasts_s)
    for each in report.series:
        assert each.ram_least_mb - 1e-6 <= each.ram_mb <= each.ram_most_mb + 1e-6


# --- large ------------------------------------------------------------------------------------------------------------

FLEET = Arrivals(tenants=20_000, per_day=4, hours=24, busy_s=20, spread=1.0)


def test_twenty_thousand_tenants_take_a_bounded_number_of_steps() -> None:
    asked = replace(RUN, terms=Terms(policy=PRESETS["balanced"]), slots=64, every_s=3600, tenants=20_000)
    report = simulate(FLEET.requests(), replace(asked, ends_s=FLEET.ends_s))
    sweeps = 86_400 / 15
    # At most: the request, the end of a start and of its work, and three rungs down.
    assert report.events <= 6 * report.requests + 2 * sweeps
    assert 78_000 < report.requests < 82_000
    assert report.refused == 0
    assert sum(report.whole.tenants.values()) == pytest.approx(20_000)


def test_the_same_seed_gives_the_same_report_and_another_one_another() -> None:
    few = replace(FLEET, tenants=500)
    pressed = replace(RUN, terms=terms(room_mb=20_000, zram_mb=9_500), slots=2, tenants=500, ends_s=few.ends_s)
    one, again = (simulate(few.requests(), pressed) for _ in range(2))
    assert asdict(one) == asdict(again)
    assert asdict(one) != asdict(simulate(replace(few, seed=2).requests(), pressed))


def test_no_span_of_time_fills_the_memory() -> None:
    report = run([(0, 0, 0), (9 * 365 * 86_400.0, 0, 0)])
    assert len(report.series) < BUCKETS_MAX
    assert report.every_s > 60
    assert report.events < 100
    assert sum(each.lasts_s for each in report.series) == pytest.approx(report.whole.lasts_s)
