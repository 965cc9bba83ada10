"""Requests as they would come by chance: each tenant's on their own, some tenants' much more often than others'."""

from __future__ import annotations

from array import array
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from math import isfinite
from random import Random

from innkeeper.core.errors import Invalid
from innkeeper.core.simulate.house import Request

TENANTS_MAX = 10_000_000
FORM = "tenants=1000,per_day=8,hours=24[,busy_s=0][,spread=0][,seed=1]"
_FIELD = "poisson"


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """A fleet's requests."""

    tenants: int
    per_day: float
    """Requests of one tenant, on average over all."""
    hours: float
    busy_s: float = 0.0
    """How long each keeps its tenant busy."""
    spread: float = 0.0
    """How much tenants differ: the standard deviation of the logarithm of their rates. 0: not at all; 1: the busiest
    tenth makes two fifths of all requests."""
    seed: int = 1
    """The same seed gives the same requests."""

    @property
    def ends_s(self) -> float:
        """When it is over."""
        return self.hours * 3600

    def requests(self) -> Iterator[Request]:
        """All of them in the order of time. Many Poisson streams are one, whose requests fall to tenants by rate."""
        chance = Random(self.seed)  # noqa: S311 - nothing is secret here
        pick = self._picker(chance)
        rate = self.tenants * self.per_day / 86400
        now = chance.expovariate(rate)
        while now < self.ends_s:
            yield now, pick(), self.busy_s
            now += chance.expovariate(rate)

    def _picker(self, chance: Random) -> Callable[[], int]:
        if not self.spread:
            return lambda: int(chance.random() * self.tenants)
        weights = (chance.lognormvariate(0.0, self.spread) for _ in range(self.tenants))
        reached = array("d", accumulate(weights))
        return lambda: min(bisect(reached, chance.random() * reached[-1]), self.tenants - 1)


def arrivals_from(text: str) -> Arrivals:
    """Read the form above; Invalid says what doesn't hold."""
    said: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or name not in _READ:
            raise _wrong(f"{part.strip()[:60]!r} is nothing that can be said there")
        if name in said:
            raise _wrong(f"{name} is said twice")
        said[name] = _number(name, value)
    for name in ("tenants", "per_day", "hours"):
        if name not in said:
            raise _wrong(f"{name} is missing")
    whole = {name: int(said.pop(name)) for name in ("tenants", "seed") if name in said}
    return Arrivals(**whole, **said)  # type: ignore[arg-type]  # each by its name


_READ = {
    "tenants": (1.0, float(TENANTS_MAX)),
    "per_day": (1e-6, 86400.0),
    "hours": (1e-6, 10 * 365 * 24.0),
    "busy_s": (0.0, 86400.0),
    "spread": (0.0, 5.0),
    "seed": (0.0, 2.0**53),
}
"""What can be said, each from the least to the most."""


def _number(name: str, text: str) -> float:
    least, most = _READ[name]
    try:
        value = float(text)
    except ValueError:
        raise _wrong(f"{name} takes a number, not {text[:40]!r}") from None
    if not isfinite(value) or not least <= value <= most:
        raise _wrong(f"{name} can't be {text[:40]}: it goes from {least:g} to {most:g}")
    if name in ("tenants", "seed") and value != int(value):
        raise _wrong(f"{name} is a whole number, not {text[:40]}")
    return value


def _wrong(why: str) -> Invalid:
    return Invalid(f"--poisson: {why}.", field=_FIELD, hint=f"It has the form `{FORM}`.")
