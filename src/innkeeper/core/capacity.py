"""How many tenants of an agent fit on a host, and what limits them first: arithmetic on what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from innkeeper.core.costs import Costs, Figure, Source
from innkeeper.core.hosts import Host
from innkeeper.core.ladder import WINDOWS, Rung, SleepPolicy

SHARES = (0.2, 0.1)
"""Of the tenants, so many are awake at a time: the range in which OCMT's table is meant, too."""
ENDLESS = 10**9
"""More than anybody asks for: what doesn't limit."""


class Resource(StrEnum):
    """What can run out."""

    MEMORY = "memory"
    SWAP = "swap"
    DISK = "disk"
    NETWORK = "network"
    TASKS = "tasks"
    INOTIFY = "inotify"
    CPU = "cpu"


@dataclass(frozen=True, kw_only=True)
class Demand:
    """How tenants are used, for what depends on it; said by whoever asks."""

    wakes_per_day: float = 2.0
    """Cold starts of one tenant."""
    burst: float = 10.0
    """How many times the average rate the busiest minutes see."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How many tenants one resource allows."""

    resource: Resource
    tenants: int
    hard: bool = True
    """False: beyond it they cost more, but fit."""
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """How many tenants fit, with so many awake and the others on one rung."""

    awake_share: float
    rung: Rung | None
    """Where the sleepers are; None: there are none."""
    leads_to: bool = False
    """Whether it is where the policy leads to in the end."""
    fits: int | None = None
    """None: the memory that it takes isn't known."""
    limits: tuple[Limit, ...] = ()
    """The tightest first."""
    notes: tuple[str, ...] = ()
    """What isn't known, and what was assumed; the costs say why, and how to get them measured."""


def rungs_of(policy: SleepPolicy, missing: Sequence[Rung] = ()) -> list[Rung]:
    """The rungs that sleepers rest on, the deepest last."""
    return [rung for name, rung in WINDOWS.items() if getattr(policy, name) is not None and rung not in missing]


def table(costs: Costs, host: Host, rungs: Sequence[Rung], demand: Demand) -> list[Row]:
    """All awake, then with sleepers on each rung."""
    rows = [row(costs, host, share=1.0, rung=None, demand=demand)]
    for share in SHARES:
        for rung in rungs:
            found = row(costs, host, share=share, rung=rung, demand=demand)
            rows.append(replace(found, leads_to=rung is rungs[-1]))
    return rows


def row(costs: Costs, host: Host, *, share: float, rung: Rung | None, demand: Demand) -> Row:
    """One line of the table."""
    notes: list[str] = []
    weights = _weights(costs, share, rung, notes)
    if weights is None:
        return Row(awake_share=share, rung=rung, notes=tuple(notes))
    if weights.swapped_mb and host.zram_mb:
        _told("zram_ratio", host.zram_ratio, notes)
    limits = [
        *_memory(weights, host),
        *_disk(costs, host, rung, notes),
        Limit(resource=Resource.NETWORK, tenants=host.places, says=f"{host.places} addresses"),
        *_kernel(costs, host, weights.live, notes),
        *_cpu(costs, host, rung, demand, notes),
    ]
    limits.sort(key=lambda limit: limit.tenants)
    fits = min(limit.tenants for limit in limits if limit.hard)
    return Row(awake_share=share, rung=rung, fits=fits, limits=tuple(limits), notes=tuple(notes))


@dataclass(frozen=True, kw_only=True)
class _Weights:
    """What a tenant weighs on average, over those awake and those asleep."""

    resident_mb: float
    swapped_mb: float
    kept_mb: float
    """What it weighs where swap is full."""
    live: float
    """Which part of the tenants has a container that runs or is frozen."""


def _weights(costs: Costs, share: float, rung: Rung | None, notes: list[str]) -> _Weights | None:
    keeper = costs.keeper_mb.mean
    if keeper is None:
        notes.append(_unknown("keeper_mb"))
    awake = _told("awake_mb", costs.awake_mb, notes)
    paused = _told("paused_mb", costs.paused_mb, notes) if rung in (Rung.PAUSED, Rung.PAGED) else 0.0
    if awake is None or paused is None:
        return None
    asleep, swapped = (paused, 0.0) if rung is Rung.PAUSED else (0.0, 0.0)
    up = awake
    if rung is Rung.PAGED:
        paged, out = _told("paged_mb", costs.paged_mb, notes), _told("swapped_mb", costs.swapped_mb, notes)
        if paged is None or out is None:
            return None
        asleep = paged
        if (back := costs.returned_mb.mean) is None:
            notes.append("returned_mb isn't measured yet: awake_mb stands in for it")
            back = awake
        up = back
        swapped = share * left_in_swap(out, paged, up) + (1 - share) * out
    live = 1.0 if rung in (None, Rung.PAUSED, Rung.PAGED) else share
    beside = live * (keeper or 0.0)
    return _Weights(
        resident_mb=share * up + (1 - share) * asleep + beside,
        swapped_mb=swapped,
        kept_mb=share * awake + (1 - share) * paused + beside,
        live=live,
    )


def left_in_swap(swapped_mb: float, paged_mb: float, returned_mb: float) -> float:
    """What one that is awake again hasn't fetched back."""
    return max(0.0, swapped_mb + paged_mb - returned_mb)


def _memory(weights: _Weights, host: Host) -> Iterator[Limit]:
    room, tenants = host.room_mb, 0.0
    ratio = host.zram_ratio.mean or 1.0
    if weights.swapped_mb > 0:
        full = (host.zram_mb + host.swap_mb) / weights.swapped_mb
        # First into zram, which takes memory itself; then to disk; and whoever finds no place stays paused.
        for size_mb, each_mb in (
            (host.zram_mb, weights.resident_mb + weights.swapped_mb / ratio),
            (host.swap_mb, weights.resident_mb),
        ):
            some = _at_most(size_mb / weights.swapped_mb, room, each_mb)
            room, tenants = room - some * each_mb, tenants + some
        tenants += _at_most(ENDLESS, room, weights.kept_mb)
        says = "whoever finds no place there stays paused"
        yield Limit(resource=Resource.SWAP, tenants=_whole(full), hard=False, says=says)
    else:
        tenants = _at_most(ENDLESS, room, weights.resident_mb)
    each = f"{host.room_mb / tenants:.0f} MB each" if tenants else "not even one"
    yield Limit(resource=Resource.MEMORY, tenants=_whole(tenants), says=f"{host.room_mb:.0f} MB for tenants, {each}")


def _at_most(tenants: float, room_mb: float, each_mb: float) -> float:
    return min(tenants, room_mb / each_mb) if each_mb > 0 else tenants


def _disk(costs: Costs, host: Host, rung: Rung | None, notes: list[str]) -> Iterator[Limit]:
    if rung is Rung.SAVED:
        notes.append("how much disk a saved image takes isn't measured: its limit isn't known")
    elif host.disk_mb is None:
        notes.append("how much disk is free can't be told")
    elif (unit := costs.unit_mb.mean) is None:
        notes.append(_unknown("unit_mb"))
    else:
        says = f"{host.disk_mb:.0f} MB for folders of {unit:.1f} MB"
        yield Limit(resource=Resource.DISK, tenants=_share(host.disk_mb, unit), says=says)


def _kernel(costs: Costs, host: Host, live: float, notes: list[str]) -> Iterator[Limit]:
    for resource, allowed, name in (
        (Resource.TASKS, host.tasks, "tasks"),
        (Resource.INOTIFY, host.inotify, "inotify"),
    ):
        figure: Figure = getattr(costs, name)
        if allowed is None:
            notes.append(f"how many {name} the kernel allows can't be told")
        elif figure.mean is None:
            notes.append(_unknown(name))
        else:
            says = f"the kernel allows {allowed}, a live one has {figure.mean:.1f}"
            yield Limit(resource=resource, tenants=_share(allowed, figure.mean * live), says=says)


def _cpu(costs: Costs, host: Host, rung: Rung | None, demand: Demand, notes: list[str]) -> Iterator[Limit]:
    if rung is not Rung.STOPPED:
        return
    starts = cold_starts_per_day(costs, host, demand)
    if starts is None:
        notes.append(_unknown("cold_cpu_s"))
        return
    says = f"{starts:.0f} cold starts a day at a burst of {demand.burst:g}, {demand.wakes_per_day:g} a tenant"
    yield Limit(resource=Resource.CPU, tenants=_share(starts, demand.wakes_per_day), says=says)


def cold_starts_per_minute(costs: Costs, host: Host) -> float | None:
    """As many as the processors can do when they do nothing else."""
    each_s = costs.cold_cpu_s.mean
    return 60 * host.cpus / each_s if each_s else None


def cold_starts_per_day(costs: Costs, host: Host, demand: Demand) -> float | None:
    """As many as keep within that in the busiest minutes, too."""
    per_minute = cold_starts_per_minute(costs, host)
    return None if per_minute is None else per_minute * 1440 / demand.burst


def _told(name: str, figure: Figure, notes: list[str]) -> float | None:
    if figure.mean is None:
        notes.append(_unknown(name))
    elif figure.source is Source.ASSUMED:
        notes.append(f"{name} is assumed")
    return figure.mean


def _unknown(name: str) -> str:
    return f"{name} isn't measured yet"


def _share(whole: float, each: float) -> int:
    return _whole(whole / each) if each > 0 else ENDLESS


def _whole(tenants: float) -> int:
    return math.floor(min(ENDLESS, tenants + 1e-9))
