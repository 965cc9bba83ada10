"""What tokens cost: a table that the operator edits, and a rule for models that it doesn't have."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any

from innkeeper.core.budget_errors import ModelNotPriced, PricesInvalid
from innkeeper.core.usage import MICRO, Tokens

USD_MAX = 100_000
"""For a million tokens; whatever is dearer is a mistake in the table."""
_KINDS = ("input", "output", "cache_read", "cache_write")


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a million tokens of each kind cost, in millionths of a US dollar."""

    input: int
    output: int
    cache_read: int
    cache_write: int

    def of(self, tokens: Tokens) -> int:
        """What they cost in millionths of a US dollar, rounded up."""
        parts = (
            tokens.input * self.input,
            tokens.output * self.output,
            tokens.cache_read * self.cache_read,
            tokens.cache_write * self.cache_write,
        )
        return -(-sum(parts) // MICRO)

    def at_most(self, input_tokens: int, output_tokens: int) -> int:
        """The same where it isn't known how much of the input is cached, which may cost more than to send it."""
        dearest = max(self.input, self.cache_read, self.cache_write)
        return -(-(input_tokens * dearest + output_tokens * self.output) // MICRO)


class Unknown(StrEnum):
    """What becomes of a call for a model that the table doesn't have; a table may also name a price."""

    DEAREST = "dearest"  # it is charged as if it were the dearest, kind by kind
    REFUSE = "refuse"  # it isn't made


@dataclass(frozen=True, kw_only=True)
class Priced:
    """The price of a model, and whether the table really has it."""

    price: Price
    known: bool


@dataclass(frozen=True, kw_only=True)
class PriceTable:
    """Prices by patterns of models; the first that fits counts."""

    source: str
    date: date
    prices: tuple[tuple[str, Price], ...]
    unknown: Unknown | Price

    def of(self, model: str) -> Priced:
        """The price of a model; ModelNotPriced where it has none and the table says that such calls aren't made."""
        for pattern, price in self.prices:
            if fnmatchcase(model, pattern):
                return Priced(price=price, known=True)
        match self.unknown:
            case Price() as price:
                return Priced(price=price, known=False)
            case Unknown.DEAREST:
                return Priced(price=self._dearest, known=False)
            case Unknown.REFUSE:
                raise ModelNotPriced(f"The price table has no price for the model {model[:80]!r}.", field="model")

    @property
    def rule(self) -> str:
        """What becomes of models that it doesn't have, in a word."""
        return self.unknown.value if isinstance(self.unknown, Unknown) else "price"

    @property
    def _dearest(self) -> Price:
        return Price(**{kind: max(getattr(price, kind) for _, price in self.prices) for kind in _KINDS})


def read_prices(file: Path | None) -> PriceTable:
    """The table in the file, or the one that comes with this version; raises PricesInvalid."""
    try:
        text = (files("innkeeper") / "prices.toml" if file is None else file).read_text("utf-8")
        return price_table(tomllib.loads(text))
    except (OSError, ValueError) as error:
        raise PricesInvalid(f"The price table {file} can't be read: {error}.") from error


def price_table(said: Mapping[str, Any]) -> PriceTable:
    """A table as it stands in the file; raises PricesInvalid."""
    for name in said.keys() - {"source", "date", "unknown", "prices"}:
        raise PricesInvalid(f"The price table has an entry `{name[:40]}` that means nothing.")
    source, day, entries = said.get("source"), said.get("date"), said.get("prices")
    if not isinstance(source, str) or not source:
        raise PricesInvalid("The price table doesn't say its `source`.")
    if not isinstance(day, date):
        raise PricesInvalid("The price table doesn't say its `date`.", hint="Like `date = 2026-11-20`.")
    if not isinstance(entries, list) or not entries:
        raise PricesInvalid("The price table has no `[[prices]]`.")
    prices = tuple(
        (pattern, price)
        for number, each in enumerate(entries, 1)
        for pattern, price in _entry(each, f"prices {number}")
    )
    return PriceTable(source=source, date=day, prices=prices, unknown=_unknown(said.get("unknown", Unknown.DEAREST)))


def _entry(said: Any, where: str) -> list[tuple[str, Price]]:
    patterns = said.get("models") if isinstance(said, dict) else None
    if not isinstance(patterns, list) or not all(isinstance(each, str) and each for each in patterns):
        raise PricesInvalid(f"In the price table, {where}: `models` must be a list of patterns.")
    price = _price({name: value for name, value in said.items() if name != "models"}, where)
    return [(pattern, price) for pattern in patterns]


def _unknown(said: Any) -> Unknown | Price:
    if isinstance(said, dict):
        return _price(said, "unknown")
    try:
        return Unknown(said)
    except ValueError:
        raise PricesInvalid(
            "The price table's `unknown` is no rule.",
            hint='`"dearest"`, `"refuse"`, or a price: `{ input = 5, output = 25 }`.',
        ) from None


def _price(said: Mapping[str, Any], where: str) -> Price:
    for name in said.keys() - set(_KINDS):
        raise PricesInvalid(f"In the price table, {where}: `{name[:40]}` means nothing.")
    for name in ("input", "output"):
        if name not in said:
            raise PricesInvalid(f"In the price table, {where}: `{name}` is missing.")
    whole = {name: _micro(said[name], f"{where}, {name}") for name in said}
    # A provider that tells no price of its own for cached input charges it as any other.
    return Price(**{"cache_read": whole["input"], "cache_write": whole["input"], **whole})


def _micro(said: Any, where: str) -> int:
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said <= USD_MAX:  # NaN is neither
        raise PricesInvalid(
            f"In the price table, {where}: {said!r} can't be a price.",
            hint=f"US dollars a million tokens, 0 to {USD_MAX}.",
        )
    return math.ceil(round(said * MICRO, 3))
