"""What let a request through, and whether it would again. A pass names a credential at one tenant; it is no secret."""

from __future__ import annotations

from dataclasses import replace

from innkeeper.core.access import Action, Actor, allow
from innkeeper.core.callers import Pass
from innkeeper.core.directory import Directory
from innkeeper.core.identities import Identities
from innkeeper.core.people import Session
from innkeeper.core.ports import Clock
from innkeeper.core.tenant import Access


def pass_of(actor: Actor, tenant: str, session: Session | None = None) -> Pass:
    """What the actor came in by: a browser's session, or their credential."""
    if session is not None:
        return Pass(f"session:{session.id}", tenant)
    if actor.until is not None:
        return Pass(f"until:{actor.until:.0f}:{actor.user or ''}:{_by(actor.says, tenant)}", tenant)
    return Pass(actor.kind + ":" + actor.id, tenant)  # an enum's own formatting takes four times as long


class Passes:
    """Looks passes up again."""

    def __init__(self, *, directory: Directory, identities: Identities, clock: Clock) -> None:
        self._directory = directory
        self._identities = identities
        self._clock = clock

    def still(self, given: Pass) -> bool:
        """Whether it is valid; one that has run out isn't, either."""
        tenant = self._directory.tenant(given.tenant)
        if tenant is None:
            return False
        kind, _, which = given.credential.partition(":")
        match kind:
            case "admin":
                return True
            case "key":
                return any(
                    key.id == which and (key.expires_at is None or key.expires_at > self._clock.now())
                    for key in self._directory.keys_of(tenant.name)
                )
            case "until":
                until, user, by = which.split(":")
                return float(until) > self._clock.now().timestamp() and (not user or self._still(user, by, tenant.name))
            case "token":
                return self._may(self._identities.token(which), tenant.name)
            case "session":
                found = self._identities.session(which)
                return tenant.spec.access is Access.GUARDED and self._may(found and found[1], tenant.name)
        return False

    def _still(self, user: str, by: str, tenant: str) -> bool:
        """An outside token's user, or the token itself, unless what is said here counts before what it says."""
        actor = self._identities.user(user)
        if actor is None:
            return False
        return self._may(actor, tenant) or by == "role" or (by == "tenant" and tenant not in actor.tenants)

    def _may(self, actor: Actor | None, tenant: str) -> bool:
        return actor is not None and allow(actor, Action.ENTER, tenant)


def _by(says: Actor | None, tenant: str) -> str:
    """By what an outside token lets in on its own, whatever its user may."""
    if says is None or not allow(says, Action.ENTER, tenant):
        return ""
    return "role" if allow(replace(says, tenants={}), Action.ENTER, tenant) else "tenant"
