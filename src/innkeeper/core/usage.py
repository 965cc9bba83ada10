"""What calls used: tokens of each kind and money, by day, tenant, provider and model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from typing import NamedTuple

MICRO = 1_000_000
"""Money is whole millionths of a US dollar: sums of it are exact."""
MODEL_MAX = 120


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What a call used. Each token is counted once: cached input isn't in `input` too."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            input=self.input + other.input,
            output=self.output + other.output,
            cache_read=self.cache_read + other.cache_read,
            cache_write=self.cache_write + other.cache_write,
        )

    @property
    def total(self) -> int:
        """All kinds together, which is what a budget in tokens counts."""
        return self.input + self.output + self.cache_read + self.cache_write


class Amount(NamedTuple):
    """What counts against a budget."""

    tokens: int = 0
    micro_usd: int = 0

    def plus(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(self.tokens + other.tokens, self.micro_usd + other.micro_usd)

    def at_least(self, other: Amount) -> Amount:
        """Of each the larger one."""
        return Amount(max(self.tokens, other.tokens), max(self.micro_usd, other.micro_usd))


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What some calls used together."""

    calls: int = 0
    unmeasured: int = 0
    """Calls whose provider didn't say what they used, in part or at all: it was estimated."""
    unpriced: int = 0
    """Calls of models that the price table doesn't have: its rule for those decided."""
    tokens: Tokens = Tokens()
    micro_usd: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            calls=self.calls + other.calls,
            unmeasured=self.unmeasured + other.unmeasured,
            unpriced=self.unpriced + other.unpriced,
            tokens=self.tokens + other.tokens,
            micro_usd=self.micro_usd + other.micro_usd,
        )

    @property
    def amount(self) -> Amount:
        """What of it counts against a budget."""
        return Amount(self.tokens.total, self.micro_usd)


class UsageKey(NamedTuple):
    """One line of the book: what is counted together."""

    tenant_id: str
    period: str
    """A day, `2026-11-20`; where months are asked for, `2026-11`."""
    provider: str
    model: str


@dataclass(frozen=True, kw_only=True)
class UsageRow:
    """A line of the book with what is counted there; it outlives its tenant, unless that is purged."""

    key: UsageKey
    tenant: str
    """The tenant's name."""
    counts: Counts


@dataclass(frozen=True, kw_only=True)
class UsageSought:
    """Which lines are asked for: those to which all of this applies."""

    tenant: str | None = None
    tenant_id: str | None = None
    provider: str | None = None
    model: str | None = None
    since: date | None = None
    until: date | None = None
    """That day included."""
    by_month: bool = False
    """Sums of whole months in place of days."""


def day_of(moment: datetime) -> str:
    """The day by the calendar in UTC, `2026-11-20`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d")


def month_of(day: str) -> str:
    """The month that the day lies in, `2026-11`."""
    return day[:7]


def model_name(said: str) -> str:
    """A model's name as it is kept: agents choose it, so it is cut and made plain."""
    return "".join(letter if "!" <= letter <= "~" else "?" for letter in said[:MODEL_MAX])


def summed(rows: Mapping[UsageKey, UsageRow], more: Mapping[UsageKey, UsageRow]) -> dict[UsageKey, UsageRow]:
    """The rows of both, those of one key together."""
    both = dict(rows)
    for key, row in more.items():
        there = both.get(key)
        both[key] = replace(row, counts=there.counts + row.counts) if there else row
    return both


TOKEN_KINDS = tuple(each.name for each in fields(Tokens))
