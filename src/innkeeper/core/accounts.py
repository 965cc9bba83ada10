"""A tenant's account: what its calls used as far as that is known, and what those under way may use yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from innkeeper.core.budgets import Limit, Standing, Window
from innkeeper.core.ports.usage import Sums
from innkeeper.core.prices import Price
from innkeeper.core.usage import Amount, UsageKey, UsageRow, month_of
from innkeeper.core.uses import Budget

LINES_MAX = 100
"""So many pairs of provider and model has a tenant's day; what comes beyond is one line. Agents invent the names."""
OTHERS = "(others)"
NOTHING = Sums(Amount(), Amount())


@dataclass(kw_only=True, eq=False)
class Account:
    tenant: str
    tenant_id: str
    day: str = ""
    """The day that `stored` is of; empty before it was read."""
    stored: Sums = NOTHING
    read_at_s: float = 0.0
    used_at_s: float = 0.0
    unwritten: dict[UsageKey, UsageRow] = field(default_factory=dict)
    writing: dict[UsageKey, UsageRow] = field(default_factory=dict)
    under_way: set[Reservation] = field(default_factory=set)
    lines: set[tuple[str, str, str]] = field(default_factory=set)
    told: set[tuple[str, str, int, str]] = field(default_factory=set)
    """What was told already: limit, period, how much that was, and what of it."""

    def used(self, window: Window, day: str) -> Amount:
        """All that is known to be used in the window that `day` lies in."""
        same = day if window is Window.DAY else month_of(day)
        stored = self.stored.day if window is Window.DAY else self.stored.month
        total = stored if self.day[: len(same)] == same else Amount()
        for rows in (self.unwritten, self.writing):
            for key, row in rows.items():
                if key.period.startswith(same):
                    total = total.plus(row.counts.amount)
        return total

    def standings(self, limits: Iterable[Limit], day: str) -> Iterator[Standing]:
        """How it stands with each of the limits."""
        amounts = [reservation.amount for reservation in self.under_way]
        reserved = Amount(sum(each.tokens for each in amounts), sum(each.micro_usd for each in amounts))
        for limit in limits:
            used = self.used(limit.window, day)
            yield Standing(limit=limit, used=limit.counted(used), reserved=limit.counted(reserved))

    def is_news(self, limit: Limit, day: str, what: str) -> bool:
        """Whether that wasn't told yet of the limit in this period; from now on it is."""
        news = (limit.name, limit.period(day), limit.most, what)
        if news in self.told:
            return False
        self.told.add(news)
        return True

    def key(self, day: str, provider: str, model: str) -> UsageKey:
        """The line on which a call counts."""
        line = (day, provider, model)
        if line not in self.lines:
            self.lines = {each for each in self.lines if each[0] == day}
            if len(self.lines) >= LINES_MAX:
                return UsageKey(self.tenant_id, day, provider, OTHERS)
            self.lines.add(line)
        return UsageKey(self.tenant_id, day, provider, model)


@dataclass(kw_only=True, eq=False)
class Reservation:
    """What a call that is under way may use: an estimate, and more where more has been heard already."""

    account: Account
    budget: Budget
    price: Price
    input_tokens: int
    output_tokens: int
    heard: Callable[[], int]
    """How many tokens of the answer have come, at a cautious estimate."""

    @property
    def amount(self) -> Amount:
        """As it is now."""
        heard = self.heard()
        return self._at_first if heard <= self.output_tokens else self._with(heard)

    @cached_property
    def _at_first(self) -> Amount:
        return self._with(self.output_tokens)

    def _with(self, output_tokens: int) -> Amount:
        return Amount(self.input_tokens + output_tokens, self.price.at_most(self.input_tokens, output_tokens))
