"""What keeps a tenant awake that would sleep: since when, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Hold:
    """One reason."""

    kind: str
    """What objects: one of `KINDS`."""
    why: str
    since: datetime


KINDS = {
    "traffic": "bytes move on its connections",
    "call": "a model call, a chat or a webhook of its is under way",
    "agent": "it doesn't consent",
    "cron": "a run of its own is due soon",
    "channel": "it fetches messages itself",
    "processor": "it computes",
    "schedule": "its schedule keeps it awake",
}
IN_FLIGHT = ("traffic", "call")
"""What nobody is put to sleep over, not even by order."""
JUDGED = ("agent", "cron", "channel", "processor")
"""What is found only when a tenant would sleep otherwise."""


class Holds:
    """The reasons of the moment, by tenant; found anew after a restart."""

    def __init__(self) -> None:
        self._holds: dict[str, dict[str, Hold]] = {}

    def of(self, tenant: str) -> list[Hold]:
        """What keeps the tenant awake."""
        return list(self._holds.get(tenant, {}).values())

    def names(self) -> list[str]:
        """Who is held by anything."""
        return list(self._holds)

    def held_by(self, kind: str) -> set[str]:
        """Who is held by that."""
        return {name for name, holds in self._holds.items() if kind in holds}

    def in_flight(self, tenant: str) -> Hold | None:
        """The work that it is in the middle of."""
        holds = self._holds.get(tenant, {})
        return next((holds[kind] for kind in IN_FLIGHT if kind in holds), None)

    def hold(self, tenant: str, kind: str, why: str, now: datetime) -> None:
        """Somebody objects; as long as they do it is the same hold, though what they say changes."""
        holds = self._holds.setdefault(tenant, {})
        before = holds.get(kind)
        holds[kind] = Hold(kind=kind, why=why, since=before.since if before else now)

    def let_go(self, tenant: str, *kinds: str) -> None:
        """These objections (none named: all) are gone."""
        holds = self._holds.get(tenant, {})
        for each in kinds or list(holds):
            holds.pop(each, None)
        if not holds:
            self._holds.pop(tenant, None)
