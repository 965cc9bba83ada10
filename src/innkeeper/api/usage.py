"""/v1/usage and /v1/tenants/{name}/usage: what calls used, and what is left of budgets."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from innkeeper.api import usage_documents as documents
from innkeeper.api.admission import needs
from innkeeper.api.audit_documents import PLAIN
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.pages import Page, cursor_after
from innkeeper.api.tenants import Name
from innkeeper.api.usage_documents import TenantUsageDocument, UsagePage
from innkeeper.core.access import Action
from innkeeper.core.budget_errors import PlanMissing
from innkeeper.core.errors import Invalid
from innkeeper.core.plans import Allowance, allowance_of
from innkeeper.core.ports.usage import PageKey, page_key
from innkeeper.core.tenant import Tenant
from innkeeper.core.usage import UsageSought, day_of

router = APIRouter(tags=["usage"])


def _filter(description: str) -> object:
    return Query(description=description, max_length=200, pattern=PLAIN)


@router.get("/usage", summary="What have they used?")
@needs(Action.HOUSE)
async def index(
    inn: TheInn,
    page: Page,
    by: Annotated[Literal["day", "month"], Query(description="What a line is for.")] = "day",
    tenant: Annotated[str | None, _filter("Only this tenant, and former ones of its name.")] = None,
    provider: Annotated[str | None, _filter("Only this provider.")] = None,
    model: Annotated[str | None, _filter("Only this model.")] = None,
    since: Annotated[date | None, Query(description="Nothing from before that day (UTC).")] = None,
    until: Annotated[date | None, Query(description="Nothing from after that day.")] = None,
) -> UsagePage:
    """A line for each period, tenant, provider and model, the oldest period first. Tenants that are gone are among
    them, but for those that were purged."""
    await inn.ledger.write()
    sought = UsageSought(
        tenant=tenant, provider=provider, model=model, since=since, until=until, by_month=by == "month"
    )
    async with inn.store.look() as tx:
        read = await tx.usage.page(sought, after=_key_in(page.after), limit=page.take)
    found, more = page.cut(read)
    cursor = cursor_after(json.dumps(page_key(found[-1]))) if more else None
    return UsagePage(items=[documents.line_document(row) for row in found], next_cursor=cursor)


@router.get("/tenants/{name}/usage", summary="What has a tenant used?")
@needs(Action.LOOK)
async def one(name: Name, inn: TheInn) -> TenantUsageDocument:
    """How it stands with its budget, and what it used today and this month."""
    tenant = await inn.control.tenant(name)
    allowance = _allowance(tenant, inn)
    await inn.ledger.write()
    standings = await inn.ledger.standings(tenant.name, tenant.id, (allowance or Allowance()).budget)
    now = inn.clock.now()
    day = day_of(now)
    today = date.fromisoformat(day)
    of_month = UsageSought(tenant_id=tenant.id, since=today.replace(day=1), until=today, by_month=True)
    async with inn.store.look() as tx:
        month = await tx.usage.page(of_month)
        that_day = await tx.usage.page(UsageSought(tenant_id=tenant.id, since=today, until=today))
    return TenantUsageDocument(
        tenant=tenant.name,
        at=now,
        plan=tenant.spec.uses.plan,
        plan_missing=allowance is None,
        calls_per_minute=allowance.calls_per_minute if allowance else None,
        limits=[documents.standing_document(standing, day) for standing in standings],
        day=documents.together(that_day),
        month=documents.together(month),
        models=[documents.model_document(row) for row in month],
        prices=documents.prices_document(inn.prices),
    )


def _allowance(tenant: Tenant, inn: Inn) -> Allowance | None:
    try:
        return allowance_of(tenant.spec.uses, inn.control.plans)
    except PlanMissing:
        return None


def _key_in(after: str) -> PageKey | None:
    """Where the page before ended; raises Invalid for what can't be one of our cursors."""
    if not after:
        return None
    try:
        parts = json.loads(after)
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or len(parts) != len(PageKey._fields) or not all(map(_is_plain, parts)):
        raise Invalid("That isn't a cursor of ours.", field="cursor", hint="Pass on `next_cursor` as it came.")
    return PageKey(*parts)


def _is_plain(part: object) -> bool:
    return isinstance(part, str) and part.isprintable()
