"""What was measured of a tenant before: the ground for what is expected of it, never a constant where a figure is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median

from innkeeper.core.ladder import Rung

KEPT = 8
"""So many of the latest figures of each kind: enough to see the worst of the usual, few enough to forget a bad day."""

Figures = tuple[float, ...]
ByRung = Mapping[Rung, Figures]


@dataclass(frozen=True, kw_only=True)
class Past:
    """The latest figures of one tenant, oldest first."""

    wakes_s: ByRung = field(default_factory=dict)
    """From being told to come up until ready, by the rung it came from; without the wait for its turn."""
    awake_mb: ByRung = field(default_factory=dict)
    """The most of its memory that was resident while it was up, by the rung it had come from: after a page-out it
    needs only a part again."""
    asleep_mb: ByRung = field(default_factory=dict)
    """What stayed resident on that rung."""
    swapped_mb: ByRung = field(default_factory=dict)
    """What lay in swap on that rung, before compression; for RUNNING after a trim."""

    def with_wake(self, rung: Rung, seconds: float) -> Past:
        """It has just come up from that rung."""
        return replace(self, wakes_s=_with(self.wakes_s, rung, round(seconds, 3)))

    def with_peak(self, rung: Rung, resident_mb: float, *, same_stay: bool) -> Past:
        """So much was resident while it was up; within the same stay the highest figure counts."""
        figures = self.awake_mb.get(rung, ())
        if same_stay and figures:
            highest = max(figures[-1], round(resident_mb))
            return self if highest == figures[-1] else replace(self, awake_mb=_with(self.awake_mb, rung, highest, 1))
        return replace(self, awake_mb=_with(self.awake_mb, rung, round(resident_mb)))

    def with_rest(self, rung: Rung, resident_mb: float, swapped_mb: float) -> Past:
        """So much stayed, and so much went to swap, on that rung."""
        return replace(
            self,
            asleep_mb=_with(self.asleep_mb, rung, round(resident_mb)),
            swapped_mb=_with(self.swapped_mb, rung, round(swapped_mb)),
        )


NOTHING = Past()


def usual(figures: Figures) -> float | None:
    """The middle of them; None of none."""
    return median(figures) if figures else None


def worst(figures: Figures) -> float | None:
    """The highest; None of none."""
    return max(figures, default=None)


def together(pasts: Iterable[Past]) -> Past:
    """Many tenants' figures as one past, to tell what one of their kind may be expected to need."""
    kinds: dict[str, dict[Rung, list[float]]] = {name: {} for name in _KINDS}
    for past in pasts:
        for name, found in kinds.items():
            for rung, figures in getattr(past, name).items():
                found.setdefault(rung, []).extend(figures)
    return Past(**{name: {rung: tuple(all_) for rung, all_ in found.items()} for name, found in kinds.items()})


_KINDS = ("wakes_s", "awake_mb", "asleep_mb", "swapped_mb")


def _with(by_rung: ByRung, rung: Rung, figure: float, instead_of: int = 0) -> ByRung:
    figures = by_rung.get(rung, ())
    return {**by_rung, rung: (*figures[: len(figures) - instead_of], figure)[-KEPT:]}
