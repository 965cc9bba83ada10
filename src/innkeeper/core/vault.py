"""The use cases of secrets: set, listed by name, renewed, taken back, deleted; read by those who act on them alone.

A value goes in once and comes out for the broker and for an agent's config, never for a person. The store has nothing
but ciphertexts, each bound to its owner, name and version, under the owner's data key.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from innkeeper.core.access import SYSTEM, Actor
from innkeeper.core.audit import Entry, entry
from innkeeper.core.errors import Conflict, Invalid, Problem, UnknownTenant
from innkeeper.core.events import Bus, Event, SecretsChanged, TenantChanged, TenantGone
from innkeeper.core.keys import check_expiry
from innkeeper.core.once import Once, begun_before, remember
from innkeeper.core.ports import Clock, DataKeys, Seals, Store, Transaction
from innkeeper.core.references import fills, references
from innkeeper.core.remaking import made_anew
from innkeeper.core.secret_errors import SecretExpired, SecretMissing, SecretUnreadable
from innkeeper.core.secrets import (
    OURS,
    PLATFORM,
    SECRETS_MAX,
    VERSIONS_KEPT,
    Kept,
    SecretVersion,
    checked_name,
    checked_value,
    grouped,
)
from innkeeper.core.tenant import NAME, Tenant, Wanted

KNOWN_FOR_S = 5.0
"""So long a value is taken from memory: what another control plane sets counts after that, what this one does at
once."""

_LONG = 2048
"""More characters than that take milliseconds to be hidden in all their spellings, so that isn't done on the loop."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    value: str = field(repr=False)
    version: SecretVersion
    until_s: float


class Vault:
    """Keeps the secrets of tenants and of the platform; the core's `Secrets` and `ConfigSecrets`."""

    def __init__(
        self,
        *,
        store: Store,
        seals: Seals,
        keys: DataKeys,
        bus: Bus,
        clock: Clock,
        hide: Callable[[str], None],
        hide_chosen: Callable[[str], None],
        time_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._seals = seals
        self._keys = keys
        self._bus = bus
        self._clock = clock
        self._hide = hide
        self._hide_chosen = hide_chosen
        self._time_s = time_s
        self._known: dict[str, dict[str, _Known]] = {}
        self._tidy_at_s = 0.0
        self._changes = 0
        bus.on_event(self._follow)

    # --- for people -------------------------------------------------------------------------------------------------

    async def all(self, tenant: str | None) -> Sequence[Kept]:
        """The secrets of a tenant, or with None the platform's: names and versions, never values."""
        async with self._store.look() as tx:
            return grouped(await tx.secrets.versions(_owner(await _there(tx, tenant))))

    async def set(
        self,
        tenant: str | None,
        name: str,
        value: str,
        *,
        actor: Actor,
        expires_at: datetime | None = None,
        once: Once | None = None,
    ) -> Kept:
        """A new value under that name, there before or not."""
        _not_ours(name)
        return await self._put(tenant, name, value, "secret.set", actor=actor, expires_at=expires_at, once=once)

    async def rotate(
        self,
        tenant: str | None,
        name: str,
        value: str | None = None,
        *,
        actor: Actor,
        back_to: int | None = None,
        expires_at: datetime | None = None,
        once: Once | None = None,
    ) -> Kept:
        """A new value for a secret that is there, or the value of an earlier version again; SecretMissing."""
        _not_ours(name)
        if (value is None) is (back_to is None):
            raise Invalid("It takes a value, or the version to go back to.", field="value")
        there = await self._one(tenant, name)
        if back_to is not None:
            value = await self._earlier(there, back_to)
        return await self._put(
            tenant, name, value or "", "secret.rotate", actor=actor, expires_at=expires_at, once=once, there=there
        )

    async def delete(self, tenant: str | None, name: str, *, actor: Actor) -> None:
        """Away with it, all versions; SecretMissing. What an agent's config holds stays there until it is made anew."""
        _not_ours(name)
        await self._drop(tenant, name, actor=actor)

    # --- for other use cases ----------------------------------------------------------------------------------------

    async def keep(
        self,
        name: str,
        value: str,
        tenant: Tenant | None,
        *,
        actor: Actor = SYSTEM,
        expires_at: datetime | None = None,
    ) -> None:
        """The same as `set`, also for the names that people can't set (`integration.…`)."""
        of = None if tenant is None else tenant.name
        await self._put(of, name, value, "secret.set", actor=actor, expires_at=expires_at, owner=_owner(tenant))

    async def drop(self, name: str, tenant: Tenant | None, *, actor: Actor = SYSTEM) -> None:
        """Away with it; nothing happens when it isn't there."""
        try:
            await self._drop(None if tenant is None else tenant.name, name, actor=actor)
        except (SecretMissing, UnknownTenant):
            return

    async def reveal(self, name: str, tenant: Tenant | None) -> str:
        """The newest value; SecretMissing, SecretExpired, KeyringFault, SecretUnreadable."""
        return (await self._values(_owner(tenant), [name], _whose(tenant)))[name]

    async def reveal_all(self, names: Collection[str], tenant: Tenant) -> Mapping[str, str]:
        """Several at once."""
        return await self._values(tenant.id, names, _whose(tenant))

    async def everything(self, tenant: Tenant) -> Mapping[str, str]:
        """Every value that counts, those that have expired too, for whoever takes the tenant elsewhere; integrations'
        own stay."""
        async with self._store.look() as tx:
            names = {version.name for version in await tx.secrets.versions(tenant.id)}
        found = await self._read(tenant.id, sorted(name for name in names if not name.startswith(OURS)))
        return {name: known.value for name, known in found.items()}

    # --- reading ------------------------------------------------------------------------------------------------------

    async def _values(self, owner: str, names: Collection[str], whose: str) -> Mapping[str, str]:
        now_s, known = self._time_s(), self._known.get(owner, {})
        found = {name: known[name] for name in names if name in known and now_s < known[name].until_s}
        if len(found) < len(names):
            found |= await self._read(owner, [name for name in names if name not in found])
        for name in names:
            if name not in found:
                raise SecretMissing(f"{whose} no secret {name[:128]!r}.")
            if found[name].version.expired(self._clock.now()):
                raise SecretExpired(f"The secret {name} has expired; {whose} no newer value of it.")
        return {name: found[name].value for name in names}

    async def _read(self, owner: str, names: Collection[str]) -> dict[str, _Known]:
        self._forget_old()
        changes, until_s = self._changes, self._time_s() + KNOWN_FOR_S
        async with self._store.look() as tx:
            rows = await tx.secrets.newest(owner, names)
        found = {}
        for version, sealed in rows:
            value = self._open(version, sealed)
            await self._hidden(owner, value)
            found[version.name] = _Known(value=value, version=version, until_s=until_s)
        if changes == self._changes:  # else what was read may be what was there before
            self._known.setdefault(owner, {}).update(found)
        return found

    def _forget_old(self) -> None:
        """Keep nothing that isn't taken from memory any more, whoever's it is."""
        now_s = self._time_s()
        if now_s < self._tidy_at_s:
            return
        self._tidy_at_s = now_s + KNOWN_FOR_S
        for owner, its in list(self._known.items()):
            for name in [name for name, each in its.items() if each.until_s <= now_s]:
                del its[name]
            if not its:
                del self._known[owner]

    async def _hidden(self, owner: str, value: str) -> None:
        """Have the log do without it before anything else is done with it."""
        hide = self._hide if owner == PLATFORM else self._hide_chosen
        if len(value) > _LONG:
            await asyncio.to_thread(hide, value)
        else:
            hide(value)

    def _open(self, version: SecretVersion, sealed: bytes) -> str:
        try:
            return self._seals.unseal(version.owner, version.sealed_as, sealed).decode()
        except Problem as problem:
            if problem.code == "key_destroyed":
                raise
            raise SecretUnreadable(
                f"The secret {version.name} doesn't open: {problem.message}", hint=problem.hint
            ) from problem

    async def _one(self, tenant: str | None, name: str) -> Kept:
        async with self._store.look() as tx:
            there = await _there(tx, tenant)
            versions = await tx.secrets.versions(_owner(there), checked_name(name))
        if not versions:
            raise SecretMissing(f"{_whose(there)} no secret {name!r}.")
        return grouped(versions)[0]

    async def _earlier(self, secret: Kept, number: int) -> str:
        version = next((each for each in secret.versions if each.version == number), None)
        if version is None:
            there = ", ".join(str(each.version) for each in secret.versions)
            raise Invalid(f"There is no version {number} of {secret.name}.", field="back_to", hint=f"Kept: {there}.")
        async with self._store.look() as tx:
            sealed = await tx.secrets.sealed(version)
        return self._open(version, sealed or b"")

    # --- writing ------------------------------------------------------------------------------------------------------

    async def _put(
        self,
        tenant: str | None,
        name: str,
        value: str,
        action: str,
        *,
        actor: Actor,
        expires_at: datetime | None,
        once: Once | None = None,
        owner: str | None = None,
        there: Kept | None = None,
    ) -> Kept:
        now, plain = self._clock.now(), checked_value(value)
        checked_name(name)
        check_expiry(expires_at, now)
        await self._hidden(PLATFORM if tenant is None else tenant, value)
        remade = None
        await self._key_ready(tenant, owner)
        async with self._store.begin() as tx:
            its = await _there(tx, tenant, owner)
            before = await tx.secrets.versions(_owner(its), name)
            once = self._keyed(once, _owner(its))
            if await begun_before(tx, actor, once) is not None and before:
                return grouped(before)[0]
            if there is not None and not before:
                raise SecretMissing(f"{_whose(its)} no secret {name!r}.")
            version = SecretVersion(
                owner=_owner(its),
                tenant=tenant,
                name=name,
                version=before[-1].version + 1 if before else 1,
                created_at=now,
                created_by=actor.id,
                expires_at=expires_at,
            )
            await self._check_room(tx, version)
            await tx.secrets.add(version, self._seals.seal(version.owner, version.sealed_as, plain))
            kept = [*before, version][-VERSIONS_KEPT:]
            await tx.secrets.drop(version.owner, name, [each.version for each in before if each not in kept])
            if its is not None and name in references(its.spec.config) and its.wanted is not Wanted.GONE:
                _check_fills(name, value)
                remade = await _remake(tx, its)
            await remember(tx, actor, once, f"{name} {version.version}", now)
            await tx.audit(_line(now, actor, action, its, version))
        self._tell(version, remade)
        return grouped(kept)[0]

    def _keyed(self, once: Once | None, owner: str) -> Once | None:
        """The request's hash under a key: by a plain one the value could be guessed from the database."""
        if once is None:
            return None
        return replace(once, fingerprint=self._seals.fingerprint(owner, once.fingerprint.encode()))

    async def _key_ready(self, tenant: str | None, owner: str | None) -> None:
        """Make the owner's data key if they have none yet: beside the loop, and before anybody's transaction."""
        async with self._store.look() as tx:
            owner = _owner(await _there(tx, tenant, owner))
            has_secrets = bool(await tx.secrets.versions(owner))
        if has_secrets and not await asyncio.to_thread(self._keys.has, owner):
            raise SecretUnreadable(
                f"The data key of {owner} is missing, with which other secrets were sealed.",
                hint="Restore it with `innkeeper keyring import FILE`; a new one is not made. Nothing was changed.",
            )
        await self._keys.ready(owner)

    async def _check_room(self, tx: Transaction, version: SecretVersion) -> None:
        names = {each.name for each in await tx.secrets.versions(version.owner)}
        if version.name not in names and len(names) >= SECRETS_MAX:
            raise Conflict(f"There are {SECRETS_MAX} secrets already.", hint="Delete some.")

    async def _drop(self, tenant: str | None, name: str, *, actor: Actor) -> None:
        checked_name(name)
        async with self._store.begin() as tx:
            its = await _there(tx, tenant)
            versions = await tx.secrets.versions(_owner(its), name)
            if not versions:
                raise SecretMissing(f"{_whose(its)} no secret {name!r}.")
            await tx.secrets.drop(_owner(its), name)
            await tx.audit(_line(self._clock.now(), actor, "secret.delete", its, versions[-1]))
        self._tell(versions[-1], None)

    def _tell(self, version: SecretVersion, remade: Tenant | None) -> None:
        self._bus.publish(SecretsChanged(tenant=version.tenant or "", owner=version.owner, name=version.name))
        if remade is not None:
            self._bus.publish(TenantChanged(tenant=remade.name, now=remade))

    def _follow(self, event: Event) -> None:
        match event:
            case SecretsChanged(owner=owner, name=name):
                self._changes += 1
                self._known.get(owner, {}).pop(name, None)
            case TenantGone(tenant_id=owner):
                self._changes += 1
                self._known.pop(owner, None)


async def _there(tx: Transaction, name: str | None, tenant_id: str | None = None) -> Tenant | None:
    """The tenant, None for the platform, or UnknownTenant: also where another has taken the name since."""
    if name is None:
        return None
    tenant = await tx.tenant(name) if NAME.fullmatch(name) else None
    if tenant is None or tenant_id not in (None, tenant.id):
        raise UnknownTenant(f"There is no tenant {name[:60]!r}.")
    return tenant


def _check_fills(name: str, value: str) -> None:
    """Before an agent is taken down for it."""
    if not fills(value):
        raise Invalid(
            f"The config refers to {name}, and the value holds `${{`, which agents take for a variable.",
            field="value",
            hint="Set another value.",
        )


async def _remake(tx: Transaction, tenant: Tenant) -> Tenant:
    """A tenant whose config refers to what was set gets it by a fresh instance."""
    changed = made_anew(tenant)
    await tx.change_tenant(changed, from_revision=tenant.revision)
    await tx.reset_seen(tenant.name, changed.seen)
    return changed


def _owner(tenant: Tenant | None) -> str:
    return PLATFORM if tenant is None else tenant.id


def _whose(tenant: Tenant | None) -> str:
    return "The platform has" if tenant is None else f"{tenant.name} has"


def _not_ours(name: str) -> None:
    if checked_name(name).startswith(OURS):
        raise Invalid(
            f"Names with `{OURS}` are set by integrations alone.", field="key", hint="Connect it, or take another name."
        )


def _line(at: datetime, actor: Actor, action: str, tenant: Tenant | None, version: SecretVersion) -> Entry:
    detail: dict[str, object] = {"secret": version.name, "version": version.version}
    if version.expires_at is not None:
        detail["expires_at"] = version.expires_at.isoformat()
    return entry(actor, action, at=at, of=tenant, detail=detail)
