"""The use cases of tenant keys: made once, shown once, kept as a hash, gone at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from innkeeper.core.access import Actor, TenantKey, digest, new_secret
from innkeeper.core.audit import Entry, entry
from innkeeper.core.errors import Conflict, Invalid, KeyMadeBefore, UnknownKey, UnknownTenant
from innkeeper.core.events import Bus, KeysChanged
from innkeeper.core.ids import new_id
from innkeeper.core.once import Once, begun_before, remember
from innkeeper.core.ports import Clock, Store

KEYS_MAX = 1000


class Keys:
    """The API keys with which people enter a tenant."""

    def __init__(self, *, store: Store, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock

    async def create(
        self, tenant: str, name: str, *, actor: Actor, expires_at: datetime | None = None, once: Once | None = None
    ) -> tuple[TenantKey, str]:
        """A new key and, this once, its secret; asked for again with the same Idempotency-Key, KeyMadeBefore."""
        checked_label(name)
        secret = new_secret("k")
        now = self._clock.now()
        check_expiry(expires_at, now)
        async with self._store.begin() as tx:
            if (before := await begun_before(tx, actor, once)) is not None:
                raise KeyMadeBefore(f"This request made the key {before} before.")
            there = await tx.tenant(tenant)
            if there is None:
                raise UnknownTenant(f"There is no tenant {tenant[:60]!r}.")
            if len(await tx.keys(tenant)) >= KEYS_MAX:
                raise Conflict(f"{tenant} has {KEYS_MAX} keys already.", hint="Revoke some.")
            key = TenantKey(
                id=new_id("key"),
                tenant=tenant,
                tenant_id=there.id,
                name=name,
                hint=secret[:9] + "…",
                digest=digest(secret),
                created_at=now,
                expires_at=expires_at,
            )
            await tx.add_key(key)
            await remember(tx, actor, once, key.id, now)
            await tx.audit(_entry(now, actor, "key.create", key))
            left = await tx.keys(tenant)
        self._bus.publish(KeysChanged(tenant=tenant, keys=tuple(left)))
        return key, secret

    async def all(self, tenant: str) -> Sequence[TenantKey]:
        """A tenant's keys, without their secrets, which nobody has."""
        async with self._store.look() as tx:
            if await tx.tenant(tenant) is None:
                raise UnknownTenant(f"There is no tenant {tenant[:60]!r}.")
            return await tx.keys(tenant)

    async def revoke(self, tenant: str, key_id: str, *, actor: Actor) -> None:
        """End a key; the gate forgets it at once."""
        async with self._store.begin() as tx:
            keys = {key.id: key for key in await tx.keys(tenant)}
            if key_id not in keys:
                raise UnknownKey(f"{tenant[:60]} has no key {key_id[:60]!r}.")
            await tx.drop_key(tenant, key_id)
            await tx.audit(_entry(self._clock.now(), actor, "key.revoke", keys.pop(key_id)))
        self._bus.publish(KeysChanged(tenant=tenant, keys=tuple(keys.values()), revoked=True))


def checked_label(name: str) -> str:
    """What a credential is called, or Invalid."""
    if not 0 < len(name) <= 80 or not name.isprintable():
        raise Invalid("A name has 1 to 80 printable characters.", field="name")
    return name


def check_expiry(expires_at: datetime | None, now: datetime) -> None:
    """Raise Invalid for a moment that a credential can't expire at."""
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= now):
        raise Invalid("It must expire in the future.", field="expires_at", hint="Like 2027-01-31T00:00:00Z.")


def _entry(at: datetime, actor: Actor, action: str, key: TenantKey) -> Entry:
    return entry(
        actor, action, at=at, tenant=key.tenant, tenant_id=key.tenant_id, detail={"key": key.id, "name": key.name}
    )
