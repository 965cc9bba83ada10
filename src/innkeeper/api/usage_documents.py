"""What the API shows of what calls used."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import Field

from innkeeper.api.schema import Document, ItemsOf
from innkeeper.core.budgets import Standing, Window
from innkeeper.core.prices import PriceTable
from innkeeper.core.usage import MICRO, Counts, UsageRow

_Form = TypeVar("_Form", bound="CountsDocument")


class TokensDocument(Document):
    """Tokens by their kind; each is counted once."""

    input: int
    """Without what was read from a cache or written to it."""
    output: int
    cache_read: int
    cache_write: int
    total: int
    """What budgets in tokens count."""


class CountsDocument(Document):
    """What some calls used together."""

    calls: int
    unmeasured: int
    """Calls whose provider didn't tell what they used, in part or at all: it was estimated."""
    unpriced: int
    """Calls of models that the price table doesn't have: its rule for those decided."""
    tokens: TokensDocument
    usd: float
    """US dollars by the price table."""


class UsageLineDocument(CountsDocument):
    """What a tenant's calls of one model used in a day or month."""

    period: str = Field(examples=["2026-11-20", "2026-11"])
    """The day or month, in UTC."""
    tenant: str
    tenant_id: str
    """Tells apart tenants that had the same name one after the other."""
    provider: str
    model: str


class UsagePage(ItemsOf[UsageLineDocument]):
    """One page of lines."""


class ModelUsageDocument(CountsDocument):
    """What the calls of one model used."""

    provider: str
    model: str


class StandingDocument(Document):
    """One limit of a budget, and how it stands."""

    limit: str = Field(examples=["day_tokens"])
    """`day_tokens`, `month_tokens`, `day_usd` or `month_usd`."""
    period: str = Field(examples=["2026-11-20"])
    window: Window
    most: float
    """Tokens or US dollars."""
    used: float
    reserved: float
    """For calls that are under way now, through this control plane."""
    percent: float
    """How much of it is used."""
    spent: bool
    """Whether calls are refused until the period ends."""


class PricesDocument(Document):
    """The price table that is in use."""

    source: str
    date: dt.date
    unknown: str
    """What becomes of models that it doesn't have: `dearest`, `refuse` or `price`."""


class TenantUsageDocument(Document):
    """What a tenant may use, and what it has used."""

    tenant: str
    at: dt.datetime
    plan: str | None
    plan_missing: bool
    """Whether that plan isn't in the settings any more: all calls are refused."""
    calls_per_minute: int | None
    limits: list[StandingDocument]
    day: CountsDocument
    """Today, in UTC."""
    month: CountsDocument
    """This month."""
    models: list[ModelUsageDocument]
    """This month by model."""
    prices: PricesDocument


def line_document(row: UsageRow) -> UsageLineDocument:
    """A line of the book."""
    key = row.key
    told = {"period": key.period, "tenant": row.tenant, "tenant_id": key.tenant_id}
    return counts_document(row.counts, UsageLineDocument, **told, provider=key.provider, model=key.model)


def model_document(row: UsageRow) -> ModelUsageDocument:
    """The same, where it is clear of whom and when."""
    return counts_document(row.counts, ModelUsageDocument, provider=row.key.provider, model=row.key.model)


def together(rows: Iterable[UsageRow]) -> CountsDocument:
    """What all of them hold."""
    return counts_document(sum((row.counts for row in rows), start=Counts()), CountsDocument)


def counts_document(counts: Counts, form: type[_Form], **more: Any) -> _Form:
    """Counts in a document of that form."""
    tokens = TokensDocument(**vars(counts.tokens), total=counts.tokens.total)
    numbers = {"calls": counts.calls, "unmeasured": counts.unmeasured, "unpriced": counts.unpriced}
    return form(**numbers, tokens=tokens, usd=counts.micro_usd / MICRO, **more)


def standing_document(standing: Standing, day: str) -> StandingDocument:
    """How a limit stands."""
    limit = standing.limit
    return StandingDocument(
        **standing.told(day),
        window=limit.window,
        reserved=limit.number(standing.reserved),
        percent=round(standing.percent, 1),
        spent=standing.spent,
    )


def prices_document(prices: PriceTable) -> PricesDocument:
    """Where the prices are from."""
    return PricesDocument(source=prices.source, date=prices.date, unknown=prices.rule)
