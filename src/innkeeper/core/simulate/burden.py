"""What simulated tenants weigh and how long they take to wake, from the costs of their agent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from innkeeper.core.capacity import left_in_swap
from innkeeper.core.costs import Costs, Figure, Source
from innkeeper.core.ladder import Rung
from innkeeper.core.simulate import fleet


@dataclass(frozen=True, kw_only=True)
class Burden:
    """Weights by place (see fleet.py) in MB, wake times by rung in seconds."""

    resident_mb: tuple[float, ...]
    swap_mb: tuple[float, ...]
    wake_s: Mapping[Rung, float]
    cold_cpu_s: float
    """Processor seconds of one cold start."""


def needed(rungs: Collection[Rung]) -> list[str]:
    """The names of the costs without which nothing can be simulated on those rungs."""
    names = ["awake_mb", "wake_stopped_s"]
    if Rung.PAUSED in rungs:
        names += ["paused_mb", "wake_paused_s"]
    if Rung.PAGED in rungs:
        names += ["paged_mb", "swapped_mb", "wake_paged_s"]
    if Rung.SAVED in rungs:
        names += ["wake_saved_s"]
    return names


def missing(costs: Costs, rungs: Collection[Rung]) -> list[str]:
    """Those of them that nobody has measured or given."""
    return [name for name in needed(rungs) if _figure(costs, name).source is Source.MISSING]


def burden_of(costs: Costs) -> Burden:
    """Weights from costs; what isn't needed and isn't known counts as nothing."""
    awake, paused = _mean(costs.awake_mb), _mean(costs.paused_mb)
    paged, swapped = _mean(costs.paged_mb), _mean(costs.swapped_mb)
    back = awake if costs.returned_mb.mean is None else costs.returned_mb.mean
    left = left_in_swap(swapped, paged, back)
    beside = _mean(costs.keeper_mb)
    resident, swap = [0.0] * fleet.PLACES, [0.0] * fleet.PLACES
    for place, resident_mb, swap_mb in (
        (fleet.STARTING, awake, 0.0),
        (fleet.UP, awake, 0.0),
        (fleet.BACK, back, left),
        (fleet.PAUSED, paused, 0.0),
        (fleet.PAUSED_BACK, min(paused, back), left),
        (fleet.PAGED, paged, swapped),
    ):
        resident[place], swap[place] = resident_mb + beside, swap_mb
    stopped_s = costs.wake_stopped_s.usual or 0.0
    return Burden(
        resident_mb=tuple(resident),
        swap_mb=tuple(swap),
        wake_s={rung: costs.wake_s(rung).usual or 0.0 for rung in Rung if rung is not Rung.RUNNING},
        cold_cpu_s=stopped_s if costs.cold_cpu_s.mean is None else costs.cold_cpu_s.mean,
    )


def _figure(costs: Costs, name: str) -> Figure:
    figure: Figure = getattr(costs, name)
    return figure


def _mean(figure: Figure) -> float:
    return figure.mean or 0.0
