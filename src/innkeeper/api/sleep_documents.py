"""How a tenant sleeps and wakes, as the API shows it."""

from __future__ import annotations

from collections.abc import Iterator

from innkeeper.api.deps import Inn
from innkeeper.api.schema import (
    HoldDocument,
    PagedDocument,
    SkippedDocument,
    SleepDocument,
    TrimmedDocument,
    WakeDocument,
)
from innkeeper.core.chronicle import MB
from innkeeper.core.instance import PagedOut
from innkeeper.core.ladder import WINDOWS, Rung
from innkeeper.core.redaction import redact
from innkeeper.core.tenant import Tenant
from innkeeper.core.trim import Trimmed


def sleep_document(tenant: Tenant, inn: Inn) -> SleepDocument:
    """Its policy, where it is on the ladder, what holds it and what was skipped."""
    policy, pager = tenant.spec.sleep, inn.dormitory.pager
    paged = pager.outcome(tenant.name)
    return SleepDocument(
        **{**vars(policy), "schedule": list(policy.schedule)},
        rung=tenant.rung,
        paged=_paged(paged) if paged and paged.skipped is None else None,
        trimmed=_trimmed(pager.trimmed(tenant.name)),
        holds=[
            HoldDocument(kind=hold.kind, why=redact(hold.why), since=hold.since)
            for hold in inn.dormitory.holds.of(tenant.name)
        ],
        skipped=list(_skipped(tenant, inn, paged)),
    )


def wake_document(tenant: Tenant, inn: Inn) -> WakeDocument:
    """What waking it takes."""
    rung = inn.dormitory.chronicle.rung_of(tenant)
    position = inn.dormitory.turnstile.position(tenant.name)
    return WakeDocument(
        usual_s=None if rung is Rung.RUNNING else inn.dormitory.chronicle.wake_s(tenant),
        position=position.place if position else None,
        of=position.of if position else None,
    )


def _skipped(tenant: Tenant, inn: Inn, paged: PagedOut | None) -> Iterator[SkippedDocument]:
    missing = inn.control.offer.missing
    for window, rung in WINDOWS.items():
        if getattr(tenant.spec.sleep, window) is not None and rung in missing:
            yield SkippedDocument(rung=rung, why=missing[rung])
    if paged is not None and paged.skipped is not None and Rung.PAGED not in missing:
        yield SkippedDocument(rung=Rung.PAGED, why=redact(paged.skipped))


def _paged(paged: PagedOut) -> PagedDocument:
    return PagedDocument(
        before_mb=paged.before_bytes // MB,
        after_mb=paged.after_bytes // MB,
        swapped_mb=paged.swapped_bytes // MB,
        seconds=round(paged.seconds, 3),
    )


def _trimmed(trimmed: Trimmed | None) -> TrimmedDocument | None:
    if trimmed is None:
        return None
    return TrimmedDocument(
        at=trimmed.at, resident_mb=trimmed.resident_bytes // MB, swapped_mb=trimmed.swapped_bytes // MB
    )
