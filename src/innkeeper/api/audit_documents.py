"""What the API shows of the audit trail, and by what it is asked for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import Field

from innkeeper.api.schema import Body, Document, ItemsOf
from innkeeper.core.access import ActorKind
from innkeeper.core.checking import Fault, FaultKind, Verdict
from innkeeper.core.errors import Invalid, UnknownTenant
from innkeeper.core.tenant import NAME
from innkeeper.core.trail import Line, Sought

PLAIN = r"^[^\x00-\x1f\x7f]+$"
HEAD_EXAMPLE = "4711:9DMyCYGvX0eWc1dOq6dNnq2p4Yy7h6m2Tt5b3uJqk1A"


class EntryDocument(Document):
    """One line of the trail."""

    number: int
    at: datetime | str
    """A text only where it isn't what was written."""
    actor: str
    """`admin`, `system`, `unknown`, or the id of a user, a token or a tenant's key."""
    kind: str
    """What sort of credential it was: `admin`, `token`, `user`, `key`, `issued`, `system`, or `unknown`."""
    action: str
    tenant: str | None
    tenant_id: str | None
    """Tells apart tenants that had the same name one after the other."""
    detail: dict[str, Any]
    before: dict[str, Any] | None
    """Of what was changed, how it was; of what could be secret only the names."""
    after: dict[str, Any] | None
    """The same, as it is since."""
    address: str | None
    """Where the request came from."""
    request: str | None
    """Its id: the answer's `X-Request-ID`, which stands in the log, too."""
    link: str | None
    """Ties it to the line before."""


class EntryPage(ItemsOf[EntryDocument]):
    """One page of the trail."""


class VerifyTrail(Body):
    """How to check the trail."""

    head: str | None = Field(default=None, max_length=160, examples=[HEAD_EXAMPLE])
    """The `head` of an earlier check, noted elsewhere: whether it is part of the trail still."""


class FaultDocument(Document):
    """Something that isn't as it was written."""

    number: int | None
    kind: FaultKind
    says: str


class VerdictDocument(Document):
    """What came out of a check."""

    ok: bool
    rows: int
    """How many lines are as they were written."""
    first: int | None
    last: int | None
    head: str | None
    """Number and link of the last line: note it where nobody of this host can change it."""
    began: int
    """Lines up to this number are from before there was a chain, and vouched for only since then."""
    cut: int
    """Retention took off the lines up to this number."""
    faults: list[FaultDocument]
    more: bool
    """Whether there may be more faults than these."""
    head_is_cut: bool
    """The head that was asked about is from before that: nothing can be told of it."""


def _asked(
    tenant: Annotated[str | None, Query(description="Only what concerns this tenant.")] = None,
    actor: Annotated[
        str | None, Query(max_length=200, pattern=PLAIN, description="Only what they did, by their id.")
    ] = None,
    kind: Annotated[ActorKind | None, Query(description="Only what was done with this sort of credential.")] = None,
    action: Annotated[
        str | None,
        Query(pattern=r"^[a-z][a-z0-9_.-]{0,79}$", description="`tenant.create`; `tenant.` for all that begin so."),
    ] = None,
    request: Annotated[
        str | None, Query(max_length=80, pattern=PLAIN, description="Only of this request's id.")
    ] = None,
    since: Annotated[
        datetime | None, Query(description="Nothing from before that moment (RFC 3339; UTC where no zone is given).")
    ] = None,
    until: Annotated[datetime | None, Query(description="Nothing from that moment on.")] = None,
) -> Sought:
    if tenant is not None and not NAME.fullmatch(tenant):
        raise UnknownTenant(f"There is no tenant {tenant[:60]!r}.")
    return Sought(
        tenant=tenant,
        actor=actor,
        kind=kind,
        action=action,
        request=request,
        since=_in_utc("since", since),
        until=_in_utc("until", until),
    )


Asked = Annotated[Sought, Depends(_asked)]
"""The filters of a list, as a handler's parameter."""


def _in_utc(name: str, moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise Invalid("There is no such moment.", field=name) from None


def entry_document(line: Line) -> EntryDocument:
    """A line as the API shows it; one that isn't as it was written is shown as far as it can be."""
    fields: dict[str, Any] = {name: _clean(line[name]) for name in _TEXTS}
    fields |= {name: fields[name] or "" for name in ("actor", "kind", "action")}
    fields |= {name: _told(line[name]) for name in ("before", "after")}
    fields["detail"] = _told(line["detail"]) or {}
    return EntryDocument(number=line.number, at=_moment(line["at"]), link=_clean(line.link), **fields)


_TEXTS = ("actor", "kind", "action", "tenant", "tenant_id", "address", "request")


def verdict_document(verdict: Verdict) -> VerdictDocument:
    """A verdict as the API tells it."""
    told = {name: getattr(verdict, name) for name in ("ok", "rows", "first", "last", "began", "cut", "more")}
    faults = [fault_document(fault) for fault in verdict.faults]
    head = None if verdict.head is None else str(verdict.head)
    return VerdictDocument(**told, head=head, faults=faults, head_is_cut=verdict.head_is_cut)


def fault_document(fault: Fault) -> FaultDocument:
    """One fault of it."""
    return FaultDocument(**vars(fault))


def _moment(text: str | None) -> datetime | str:
    try:
        return datetime.fromisoformat(text or "")
    except ValueError:
        return _clean(text) or ""


def _told(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        told = json.loads(text)
        json.dumps(told, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:  # not JSON, or with what none can carry
        return {"unreadable": (_clean(text) or "")[:1000]}
    return told if isinstance(told, dict) else {"unreadable": told}


def _clean(text: str | None) -> str | None:
    """Without what no JSON document can carry."""
    return text and text.encode("utf-8", "replace").decode()
