"""At which tenants something was revoked since we started: what they have open from before us, by whom nobody knows."""

from __future__ import annotations

from datetime import datetime, timedelta

from innkeeper.core.events import Bus, Event, KeysChanged, PeopleChanged
from innkeeper.core.ports import Clock, Store
from innkeeper.core.trail import Sought

LATELY = timedelta(minutes=2)
"""What was revoked so shortly before our start, the process before us may not have carried out."""
AFTERWARDS = timedelta(seconds=30)
"""Nor what was revoked so shortly before it last had nothing left to end."""
REVOKING = ("key.revoke", "member.drop", "member.put", "token.revoke", "session.end", "user.change", "user.delete")
_AT_ONCE = 1000


class Revocations:
    """Remembers them for as long as we run."""

    def __init__(self, *, bus: Bus, lately: bool = False) -> None:
        self._tenants: set[str] = set()
        self._everywhere = lately
        bus.on_event(self._follow)

    def lost(self, tenant: str) -> bool:
        """Whether somebody may have lost their way in to that tenant."""
        return self._everywhere or tenant in self._tenants

    def _follow(self, event: Event) -> None:
        match event:
            case KeysChanged(tenant=name, revoked=True):
                self._tenants.add(name)
            case PeopleChanged(revoked=True, tenants=names, everywhere=everywhere):
                self._tenants |= names
                self._everywhere |= everywhere


async def revoked_lately(store: Store, clock: Clock, *, severed_at: datetime | None = None) -> bool:
    """Whether the trail tells of anything that was revoked just before we started, or after `severed_at`, when the
    process before us last ended what was to be ended: it may have died long ago."""
    since = clock.now() - LATELY
    if severed_at is not None:
        since = min(since, severed_at - AFTERWARDS)
    async with store.look() as tx:
        for action in REVOKING:
            lines = await tx.chain.lines(Sought(action=action, since=since), limit=_AT_ONCE, newest_first=True)
            if any(action != "member.put" or line["before"] is not None for line in lines):  # a new one lost nothing
                return True
    return False
