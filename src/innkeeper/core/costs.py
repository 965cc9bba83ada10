"""What a tenant of one agent costs on this host, each figure with where it comes from: measured, or said not to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from statistics import fmean

from innkeeper.core.ladder import Rung
from innkeeper.core.past import Figures, Past, usual, worst


class Source(StrEnum):
    """Where a figure comes from."""

    MEASURED = "measured"  # on this host, on tenants of this agent
    BOUND = "bound"  # reckoned from what was measured so that it can't be more
    GIVEN = "given"  # said by whoever asks
    ASSUMED = "assumed"
    MISSING = "missing"  # not measured yet


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure: the mean is for what adds up over many tenants, the usual and the worst for what one of them sees."""

    source: Source
    mean: float | None = None
    usual: float | None = None
    worst: float | None = None
    samples: int = 0
    says: str | None = None
    """How it gets measured, or what it rests on."""


def measured(figures: Sequence[float], how: str) -> Figure:
    """From samples; `how` tells what to do where there are none."""
    if not figures:
        return Figure(source=Source.MISSING, says=how)
    samples: Figures = tuple(figures)
    return Figure(
        source=Source.MEASURED, mean=fmean(samples), usual=usual(samples), worst=worst(samples), samples=len(samples)
    )


def stated(source: Source, value: float, says: str | None = None) -> Figure:
    """One value that isn't measured."""
    return Figure(source=source, mean=value, usual=value, worst=value, says=says)


@dataclass(frozen=True, kw_only=True)
class Costs:
    """All figures of one agent; what is awake or asleep in MB, what takes time in seconds."""

    awake_mb: Figure
    """The most of its memory that is resident after a cold start."""
    returned_mb: Figure
    """The same after it came back from swap, where a part of it stays."""
    trimmed_mb: Figure
    """The same after it was trimmed while it ran."""
    paused_mb: Figure
    paged_mb: Figure
    """What stays resident when it is paged out."""
    swapped_mb: Figure
    """What it occupies in swap then, before compression."""
    zram_mb: Figure
    """What that takes of the memory, where it lies in zram."""
    unit_mb: Figure
    """Its folder on the disk."""
    keeper_mb: Figure
    """What the runtime's own process beside each live container takes."""
    tasks: Figure
    """Processes and threads, the keeper's included."""
    inotify: Figure
    """Kernel watchers of files; all tenants run under one user id, and share its allowance."""
    wake_paused_s: Figure
    wake_paged_s: Figure
    wake_saved_s: Figure
    wake_stopped_s: Figure
    cold_cpu_s: Figure
    """Processor seconds of a cold start."""

    def wake_s(self, rung: Rung) -> Figure:
        """How long it takes to come up from that rung."""
        figure: Figure = getattr(self, f"wake_{rung}_s")
        return figure

    def with_given(self, given: Mapping[str, float], *, cpus: float) -> Costs:
        """The same with what somebody says, by name, over it; `cpus` is what a start can use at most."""
        changed = {name: stated(Source.GIVEN, value) for name, value in given.items()}
        if "wake_stopped_s" in changed and "cold_cpu_s" not in changed:
            changed["cold_cpu_s"] = _at_most(changed["wake_stopped_s"], cpus)
        found = replace(self, **changed)
        if "zram_mb" in given and found.swapped_mb.source is Source.MISSING:
            gone_mb = max(given["zram_mb"], (found.awake_mb.mean or 0.0) - (found.paged_mb.mean or 0.0))
            return replace(found, swapped_mb=stated(Source.ASSUMED, gone_mb, "what isn't resident any more"))
        return found


NAMES = tuple(field.name for field in fields(Costs))

USE_IT = "`innkeeper tenant wake NAME` and use it"
HOW: Mapping[str, str] = {
    "awake_mb": f"stop one (`innkeeper tenant sleep NAME --tier stop`), then {USE_IT}",
    "returned_mb": f"page one out (`innkeeper tenant sleep NAME --tier page`), then {USE_IT}",
    "trimmed_mb": "nobody has been trimmed while it ran",
    "paused_mb": "pause one: `innkeeper tenant sleep NAME --tier pause`",
    "paged_mb": "page one out: `innkeeper tenant sleep NAME --tier page`",
    "swapped_mb": "page one out: `innkeeper tenant sleep NAME --tier page`",
    "zram_mb": "needs zram (`innkeeper host swap`) with somebody paged out to it",
    "unit_mb": "create a tenant; folders of very many files aren't measured",
    "keeper_mb": "needs a tenant that runs or is paused, on Docker, and root",
    "tasks": "needs a tenant that runs or is paused",
    "inotify": "needs a tenant that runs or is paused, on Docker, and root",
    "wake_paused_s": "wake one from there: `innkeeper tenant sleep NAME --tier pause`, `innkeeper tenant wake NAME`",
    "wake_paged_s": "wake one from there: `innkeeper tenant sleep NAME --tier page`, `innkeeper tenant wake NAME`",
    "wake_saved_s": "wake one from there: `innkeeper tenant sleep NAME --tier save`, `innkeeper tenant wake NAME`",
    "wake_stopped_s": "wake one from there: `innkeeper tenant sleep NAME --tier stop`, `innkeeper tenant wake NAME`",
    "cold_cpu_s": "needs wake_stopped_s",
}
"""How to get each figure measured."""

UNKNOWN = Costs(**{name: Figure(source=Source.MISSING, says=HOW[name]) for name in NAMES})


@dataclass(frozen=True, kw_only=True)
class Sightings:
    """What was looked at just now, beside what is kept in the tenants' past."""

    units_mb: Sequence[float] = ()
    keepers_mb: Sequence[float] = ()
    tasks: Sequence[float] = ()
    inotify: Sequence[float] = ()


def costs_of(past: Past, seen: Sightings, *, limit_mb: float, cpus: float, zram_ratio: Figure) -> Costs:
    """The costs of an agent from all its tenants' past; `cpus` is what a start can use at most of this host."""
    found = {
        "awake_mb": past.awake_mb.get(Rung.STOPPED, ()),
        "returned_mb": past.awake_mb.get(Rung.PAGED, ()),
        "trimmed_mb": past.awake_mb.get(Rung.RUNNING, ()),
        "paused_mb": past.asleep_mb.get(Rung.PAUSED, ()),
        "paged_mb": past.asleep_mb.get(Rung.PAGED, ()),
        "swapped_mb": past.swapped_mb.get(Rung.PAGED, ()),
        "unit_mb": seen.units_mb,
        "keeper_mb": seen.keepers_mb,
        "tasks": seen.tasks,
        "inotify": seen.inotify,
        **{f"wake_{rung}_s": past.wakes_s.get(rung, ()) for rung in Rung if rung is not Rung.RUNNING},
    }
    figures = {name: measured(values, HOW[name]) for name, values in found.items()}
    for name in ("awake_mb", "paused_mb"):
        if figures[name].source is Source.MISSING:
            figures[name] = stated(
                Source.ASSUMED, limit_mb, f"its limit, as if it used all of it; to measure it, {HOW[name]}"
            )
    figures["zram_mb"] = _compressed(figures["swapped_mb"], zram_ratio)
    figures["cold_cpu_s"] = _at_most(figures["wake_stopped_s"], cpus)
    return Costs(**figures)


def _compressed(swapped: Figure, ratio: Figure) -> Figure:
    if swapped.source is Source.MISSING or ratio.source is Source.MISSING:
        return Figure(source=Source.MISSING, says=HOW["zram_mb"])
    return _scaled(swapped, 1 / (ratio.mean or 1), ratio.source, f"swapped_mb, compressed {ratio.mean:.2f} to 1")


def _at_most(wake: Figure, cpus: float) -> Figure:
    if wake.source is Source.MISSING:
        return Figure(source=Source.MISSING, says=HOW["cold_cpu_s"])
    return _scaled(wake, cpus, Source.BOUND, f"an upper bound: wake_stopped_s on {cpus:g} processors")


def _scaled(figure: Figure, by: float, source: Source, says: str) -> Figure:
    def times(value: float | None) -> float | None:
        return None if value is None else value * by

    return Figure(
        source=source,
        mean=times(figure.mean),
        usual=times(figure.usual),
        worst=times(figure.worst),
        samples=figure.samples,
        says=says,
    )
