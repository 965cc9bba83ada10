"""The use cases of the keyring: how it stands, and new master keys while everything is in use."""

from __future__ import annotations

import asyncio

from innkeeper.core.access import SYSTEM, Actor
from innkeeper.core.audit import entry
from innkeeper.core.keyring_facts import KeyringFacts, Rotation
from innkeeper.core.ports import Clock, Lockbox, Store
from innkeeper.core.remaking import made_anew
from innkeeper.core.tenant import Tenant, Wanted


class Locksmith:
    """Looks after the keyring."""

    def __init__(self, *, store: Store, lockbox: Lockbox, clock: Clock) -> None:
        self._store = store
        self._lockbox = lockbox
        self._clock = clock
        self._turn = asyncio.Lock()

    async def facts(self) -> KeyringFacts:
        """How it stands; KeyringFault."""
        return await asyncio.to_thread(self._lockbox.facts)

    async def rotate(self, *, actor: Actor) -> Rotation:
        """A new master key, and every data key wrapped by it; or an earlier rotation finished. KeyringFault."""
        async with self._turn:
            done = await asyncio.to_thread(self._lockbox.rotate)
            detail = {"added": done.added, "newest": done.newest, "rewrapped": done.rewrapped}
            async with self._store.begin() as tx:
                await tx.audit(entry(actor, "keyring.rotate", at=self._clock.now(), detail=detail))
        return done

    async def renew_who_has_no_key(self) -> list[Tenant]:
        """Have those instances made anew whose tokens can't be right any more, for their tenant has no data key yet: it
        is from before there were any, or the keys are lost. For a start, before anybody is told of tenants."""
        async with self._store.look() as tx:
            lacking = set(self._lockbox.missing([each.id for each in await tx.tenants() if _holds_tokens(each)]))
        if not lacking:
            return []
        renewed = []
        async with self._store.begin() as tx:
            for tenant in [each for each in await tx.tenants() if each.id in lacking and _holds_tokens(each)]:
                changed = made_anew(tenant)
                await tx.change_tenant(changed, from_revision=tenant.revision)
                await tx.reset_seen(tenant.name, changed.seen)
                detail = {"why": "it had no data key"}
                await tx.audit(entry(SYSTEM, "tenant.restart", at=self._clock.now(), of=changed, detail=detail))
                renewed.append(changed)
        return renewed


def _holds_tokens(tenant: Tenant) -> bool:
    return tenant.seen.instance_id is not None and tenant.wanted is not Wanted.GONE
