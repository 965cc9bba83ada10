"""What keeps a tenant awake that would sleep: since when, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Hold:
    """One reason."""

    kind: str
    """Who objects: `agent`, `channel` or `processor`."""
    why: str
    since: datetime


class Holds:
    """The reasons of the moment, by tenant; found anew after a restart."""

    def __init__(self) -> None:
        self._holds: dict[str, dict[str, Hold]] = {}

    def of(self, tenant: str) -> list[Hold]:
        """What keeps the tenant awake."""
        return list(self._holds.get(tenant, {}).values())

    def hold(self, tenant: str, kind: str, why: str, now: datetime) -> None:
        """Somebody objects; for the same reason as before, it is the same hold."""
        holds = self._holds.setdefault(tenant, {})
        before = holds.get(kind)
        if before is None or before.why != why:
            holds[kind] = Hold(kind=kind, why=why, since=now)

    def let_go(self, tenant: str, kind: str | None = None) -> None:
        """The objection (None: every one) is gone."""
        holds = self._holds.get(tenant, {})
        for each in list(holds) if kind is None else [kind]:
            holds.pop(each, None)
        if not holds:
            self._holds.pop(tenant, None)
