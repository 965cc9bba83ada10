"""The audit trail: who changed what, written in the same transaction as the change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the trail; it outlives the tenant that it speaks of."""

    at: datetime
    actor: str
    action: str
    tenant: str | None
    tenant_id: str | None = None
    detail: Mapping[str, object] = field(default_factory=dict)
    """What was asked for, without values that could be secret."""
