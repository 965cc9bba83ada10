"""How many fit: checked by adding up what they take, and by what may never happen when a host gets larger."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from innkeeper.core.capacity import (
    SHARES,
    Demand,
    Resource,
    Row,
    cold_starts_per_day,
    cold_starts_per_minute,
    row,
    rungs_of,
    table,
)
from innkeeper.core.claims import HOST_CLAIMS, MEMORY_CLAIMS, beside, memory_beside
from innkeeper.core.costs import UNKNOWN, Costs, Figure, Source, stated
from innkeeper.core.hosts import Host, Resize, resized
from innkeeper.core.ladder import PRESETS, Rung

DEMAND = Demand()
RATIO = stated(Source.MEASURED, 2.5)
HOST = Host(
    memory_mb=16384,
    system_mb=746,
    reserve_mb=1638,
    cpus=4,
    zram_mb=0,
    zram_ratio=Figure(source=Source.MISSING),
    swap_mb=100_000,
    disk_mb=1_000_000,
    places=32_000,
    tasks=1_000_000,
    inotify=1_000_000,
)
OPENCLAW = {
    "awake_mb": 1000.0,
    "returned_mb": 300.0,
    "paused_mb": 1000.0,
    "paged_mb": 30.0,
    "swapped_mb": 970.0,
    "unit_mb": 100.0,
    "keeper_mb": 0.0,
    "tasks": 40.0,
    "inotify": 2.0,
    "wake_stopped_s": 6.0,
    "cold_cpu_s": 12.0,
}
COSTS = UNKNOWN.with_given(OPENCLAW, cpus=4)
RUNGS = (Rung.PAUSED, Rung.PAGED, Rung.STOPPED)


def fits(costs: Costs, host: Host, share: float, rung: Rung | None) -> int:
    found = row(costs, host, share=share, rung=rung, demand=DEMAND).fits
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("share", "rung", "tenants"),
    [
        (1.0, None, 14),  # 14,000 MB, 1,000 each
        (0.2, Rung.PAUSED, 14),  # a freeze gives nothing back
        (0.2, Rung.PAGED, 118),  # 0.2 * 300 + 0.8 * 30 = 84 MB until swap is full at 110, then 1,000
        (0.1, Rung.PAGED, 111),  # 57 MB until swap is full at 106
        (0.2, Rung.STOPPED, 70),
        (0.1, Rung.STOPPED, 140),
    ],
)
def test_by_hand(share: float, rung: Rung | None, tenants: int) -> None:
    out_mb = share * 700 + (1 - share) * 970
    resident_mb = share * 300 + (1 - share) * 30
    if rung is Rung.PAGED:
        full = 100_000 / out_mb
        tenants = int(full + (14_000 - full * resident_mb) / 1000)
    assert fits(COSTS, HOST, share, rung) == tenants


def test_zram_takes_memory_and_is_used_first() -> None:
    host = replace(HOST, zram_mb=97_000, zram_ratio=RATIO, swap_mb=0)
    each_mb = 0.1 * 300 + 0.9 * 30 + (0.1 * 700 + 0.9 * 970) / 2.5
    assert fits(COSTS, host, 0.1, Rung.PAGED) == int(14_000 / each_mb)


def test_the_tightest_limit_is_named_first_and_where_swap_is_full() -> None:
    host = replace(HOST, swap_mb=9_700, inotify=100)
    found = row(COSTS, host, share=0.1, rung=Rung.PAGED, demand=DEMAND)
    assert [limit.resource for limit in found.limits][:3] == [Resource.SWAP, Resource.MEMORY, Resource.INOTIFY]
    assert [limit.tenants for limit in found.limits][:3] == [10, 23, 50]
    assert found.fits == 23


def test_cold_starts_limit_those_that_are_stopped() -> None:
    assert cold_starts_per_minute(COSTS, HOST) == 20
    demand = Demand(wakes_per_day=10, burst=24)
    assert cold_starts_per_day(COSTS, HOST, demand) == 1200
    found = row(COSTS, HOST, share=0.1, rung=Rung.STOPPED, demand=demand)
    assert (found.fits, found.limits[0].resource) == (120, Resource.CPU)
    paged = row(COSTS, HOST, share=0.1, rung=Rung.PAGED, demand=demand)
    assert Resource.CPU not in [limit.resource for limit in paged.limits]


def test_what_isnt_measured_isnt_made_up() -> None:
    unpaged = replace(COSTS, paged_mb=UNKNOWN.paged_mb)
    found = row(unpaged, HOST, share=0.1, rung=Rung.PAGED, demand=DEMAND)
    assert (found.fits, found.limits) == (None, ())
    assert found.notes == ("paged_mb isn't measured yet",)
    blind = row(UNKNOWN.with_given({"awake_mb": 1000}, cpus=1), HOST, share=0.1, rung=Rung.STOPPED, demand=DEMAND)
    assert blind.fits == 140
    assert {note.split()[0] for note in blind.notes} >= {"keeper_mb", "unit_mb", "tasks", "inotify", "cold_cpu_s"}
    assert Resource.DISK not in [limit.resource for limit in blind.limits]
    assumed = replace(COSTS, awake_mb=stated(Source.ASSUMED, 2048, "its limit"))
    assert "awake_mb is assumed" in row(assumed, HOST, share=1, rung=None, demand=DEMAND).notes


def test_the_table_has_the_rungs_of_the_policy_that_this_host_has() -> None:
    assert rungs_of(PRESETS["balanced"]) == list(RUNGS)
    assert rungs_of(PRESETS["balanced"], [Rung.PAGED]) == [Rung.PAUSED, Rung.STOPPED]
    assert rungs_of(PRESETS["snappy"]) == [Rung.PAUSED, Rung.PAGED]
    rows = table(COSTS, HOST, RUNGS, DEMAND)
    assert [(each.awake_share, each.rung) for each in rows] == [
        (1.0, None),
        *((share, rung) for share in SHARES for rung in RUNGS),
    ]
    assert [each.rung for each in rows if each.leads_to] == [Rung.STOPPED, Rung.STOPPED]


def test_another_size_grows_what_goes_with_memory() -> None:
    half = resized(replace(HOST, zram_mb=8000, zram_ratio=RATIO), Resize(memory_mb=8192))
    assert (half.reserve_mb, half.swap_mb, half.zram_mb, half.system_mb, half.cpus) == (1638, 50_000, 4000, 746, 4)
    said = resized(HOST, Resize(cpus=1, zram_mb=1000, zram_ratio=3, swap_mb=0, reserve_mb=0))
    assert (said.cpus, said.zram_mb, said.zram_ratio.mean, said.swap_mb, said.reserve_mb) == (1, 1000, 3, 0, 0)
    assert said.zram_ratio.source is Source.GIVEN
    assert resized(HOST, Resize(zram_mb=1000)).zram_ratio.source is Source.ASSUMED
    assert resized(HOST, Resize(memory_mb=500)).room_mb == 0


def test_claims_stand_beside_what_is_reckoned_for_their_size() -> None:
    claim = HOST_CLAIMS[0]
    rows = beside(claim, COSTS, HOST, RUNGS, DEMAND)
    assert claim.always_on == 8
    assert rows[0].fits == 1  # 4,096 MB, without 746 of the system's and 1,638 that are kept
    assert memory_beside(MEMORY_CLAIMS[-1], COSTS) == 1_000_000
    assert memory_beside(MEMORY_CLAIMS[-1], UNKNOWN) is None


# --- what may never happen --------------------------------------------------------------------------------------------


@st.composite
def sane_costs(draw: st.DrawFn) -> Costs:
    """Figures as they can be: what is paged out is what isn't resident, and a part of it comes back."""
    awake = draw(st.floats(1, 4000))
    paged = draw(st.floats(0, 1)) * awake
    returned = paged + draw(st.floats(0, 1)) * (awake - paged)
    return UNKNOWN.with_given(
        {
            "awake_mb": awake,
            "paused_mb": awake,
            "paged_mb": paged,
            "swapped_mb": awake - paged,
            "returned_mb": returned,
            "keeper_mb": draw(st.floats(0, 10)),
            "unit_mb": draw(st.floats(0, 2000)),
            "tasks": draw(st.floats(0, 200)),
            "inotify": draw(st.floats(0, 10)),
            "cold_cpu_s": draw(st.floats(0.1, 60)),
        },
        cpus=1,
    )


hosts = st.builds(
    Host,
    memory_mb=st.floats(1000, 1_000_000),
    system_mb=st.floats(0, 2000),
    reserve_mb=st.floats(0, 2000),
    cpus=st.floats(0.5, 128),
    zram_mb=st.floats(0, 500_000),
    zram_ratio=st.floats(1, 6).map(lambda ratio: stated(Source.MEASURED, ratio)),
    swap_mb=st.floats(0, 1_000_000),
    disk_mb=st.none() | st.floats(0, 10_000_000),
    places=st.integers(500, 32_000),
    tasks=st.none() | st.integers(0, 4_000_000),
    inotify=st.none() | st.integers(0, 100_000),
)
shares = st.floats(0.01, 1)
rungs = st.sampled_from(RUNGS)


@given(costs=sane_costs(), host=hosts, share=shares, rung=rungs, more=st.floats(1, 4))
def test_more_of_anything_never_fits_fewer(costs: Costs, host: Host, share: float, rung: Rung, more: float) -> None:
    before = fits(costs, host, share, rung)
    for name in ("memory_mb", "swap_mb", "cpus", "disk_mb"):
        if (has := getattr(host, name)) is not None:
            assert fits(costs, replace(host, **{name: has * more}), share, rung) >= before, name


@given(costs=sane_costs(), host=hosts, share=shares)
def test_a_deeper_rung_never_fits_fewer_by_memory_where_those_awake_weigh_the_same(
    costs: Costs, host: Host, share: float
) -> None:
    same = replace(costs, returned_mb=costs.awake_mb)
    found = [_by_memory(row(same, host, share=share, rung=rung, demand=DEMAND)) for rung in RUNGS]
    assert found == sorted(found)
    assert found[0] >= _by_memory(row(same, host, share=1, rung=None, demand=DEMAND))


def _by_memory(found: Row) -> int:
    return next(limit.tenants for limit in found.limits if limit.resource is Resource.MEMORY)


@given(costs=sane_costs(), host=hosts, share=shares, rung=rungs)
def test_fewer_awake_never_fit_fewer(costs: Costs, host: Host, share: float, rung: Rung) -> None:
    assume(share <= 0.5)
    assert fits(costs, host, share, rung) >= fits(costs, host, share * 2, rung)


@given(costs=sane_costs(), host=hosts, share=shares, rung=rungs)
def test_the_limit_named_is_really_the_smallest(costs: Costs, host: Host, share: float, rung: Rung) -> None:
    found = row(costs, host, share=share, rung=rung, demand=DEMAND)
    assert list(found.limits) == sorted(found.limits, key=lambda limit: limit.tenants)
    assert found.fits == min(limit.tenants for limit in found.limits if limit.hard)


@given(costs=sane_costs(), host=hosts, share=shares, rung=rungs)
def test_what_fits_by_memory_takes_no_more_than_there_is_and_one_more_does(
    costs: Costs, host: Host, share: float, rung: Rung
) -> None:
    tenants = _by_memory(row(costs, host, share=share, rung=rung, demand=DEMAND))
    assume(tenants < 10**8)
    assert _takes_mb(costs, host, share, rung, tenants) <= host.room_mb * (1 + 1e-9) + 1e-6
    assert _takes_mb(costs, host, share, rung, tenants + 1) > host.room_mb * (1 - 1e-9) - 1e-6


def _takes_mb(costs: Costs, host: Host, share: float, rung: Rung, tenants: int) -> float:
    """The same sum from the other end: so many tenants, what of them is in swap, and what that leaves resident."""
    awake, paused, paged, out, back, keeper = (
        getattr(costs, name).mean
        for name in ("awake_mb", "paused_mb", "paged_mb", "swapped_mb", "returned_mb", "keeper_mb")
    )
    if rung is Rung.STOPPED:
        return float(tenants * share * (awake + keeper))
    unpaged_mb = share * awake + (1 - share) * paused + keeper
    if rung is Rung.PAUSED:
        return float(tenants * unpaged_mb)
    out_mb = share * max(0.0, out + paged - back) + (1 - share) * out
    if out_mb == 0:
        return float(tenants * (share * back + (1 - share) * paged + keeper))
    swapped = min(tenants, (host.zram_mb + host.swap_mb) / out_mb)
    in_zram_mb = min(swapped * out_mb, host.zram_mb)
    resident_mb = swapped * (share * back + (1 - share) * paged + keeper)
    return float(resident_mb + in_zram_mb / (host.zram_ratio.mean or 1) + (tenants - swapped) * unpaged_mb)
