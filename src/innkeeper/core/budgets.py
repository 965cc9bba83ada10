"""Budgets judged: which limits there are, what counts towards them, and whether one more call may begin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypedDict

from innkeeper.core.usage import MICRO, Amount, month_of
from innkeeper.core.uses import Budget

WARN_AT = 0.8


class Window(StrEnum):
    """What a limit is for, by the calendar in UTC."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One limit of a budget."""

    name: str
    """As in the spec: `day_tokens`, `month_usd`."""
    window: Window
    money: bool
    most: int
    """Tokens, or millionths of a US dollar."""

    def counted(self, amount: Amount) -> int:
        """What of the amount counts here."""
        return amount.micro_usd if self.money else amount.tokens

    def period(self, day: str) -> str:
        """The day itself, or the month that it lies in."""
        return day if self.window is Window.DAY else month_of(day)

    def number(self, counted: int) -> float:
        """A number of it as it is told outside: tokens, or US dollars."""
        return counted / MICRO if self.money else counted

    def words(self, number: int) -> str:
        """A number of it in words: `1000 tokens`, `1.50 USD`."""
        return f"{number / MICRO:.2f} USD" if self.money else f"{number} tokens"


class Told(TypedDict):
    """How a tenant stands with a limit, as it is told outside."""

    limit: str
    period: str
    most: float
    used: float


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a tenant stands with one limit."""

    limit: Limit
    used: int
    reserved: int
    """For calls that are under way: what they may use at most, as far as that can be told."""

    @property
    def percent(self) -> float:
        """How much of the limit is used, without what is reserved."""
        return 100.0 if not self.limit.most else 100 * self.used / self.limit.most

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.used >= self.limit.most

    @property
    def full(self) -> bool:
        """Whether nothing is left that isn't reserved."""
        return self.used + self.reserved >= self.limit.most

    @property
    def in_words(self) -> str:
        """`Of the budget of 1000 tokens a day, 900 tokens are used`."""
        limit = self.limit
        return f"Of the budget of {limit.words(limit.most)} a {limit.window}, {limit.words(self.used)} are used"

    def told(self, day: str) -> Told:
        """The same for the trail and for events."""
        limit = self.limit
        return {
            "limit": limit.name,
            "period": limit.period(day),
            "most": limit.number(limit.most),
            "used": limit.number(self.used),
        }

    @property
    def warns(self) -> bool:
        """Whether so much is used that somebody should know."""
        return self.used >= WARN_AT * self.limit.most


def limits_of(budget: Budget) -> Iterator[Limit]:
    """The limits that the budget sets."""
    for window in Window:
        tokens = getattr(budget, f"{window}_tokens")
        if tokens is not None:
            yield Limit(name=f"{window}_tokens", window=window, money=False, most=tokens)
        usd = getattr(budget, f"{window}_usd")
        if usd is not None:
            yield Limit(name=f"{window}_usd", window=window, money=True, most=round(usd * MICRO))


def ends_in_s(window: Window, now: datetime) -> int:
    """How many seconds are left of the day or month, rounded up."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    following = midnight + timedelta(days=1)
    if window is Window.MONTH:
        following = (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
    return -int((now - following) // timedelta(seconds=1))
