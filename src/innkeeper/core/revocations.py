"""At which tenants something was revoked since we started: what they have open from before us, by whom nobody knows."""

from __future__ import annotations

from innkeeper.core.events import Bus, Event, KeysChanged, PeopleChanged


class Revocations:
    """Remembers them for as long as we run."""

    def __init__(self, *, bus: Bus) -> None:
        self._tenants: set[str] = set()
        self._everywhere = False
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
