"""The use cases of API tokens: made with no more than their maker may, shown once, kept as a hash, gone at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from innkeeper.core.access import ALL_SCOPES, Actor, ActorKind, Role, Scope, TenantRole, digest, new_secret
from innkeeper.core.audit import entry
from innkeeper.core.errors import Conflict, Forbidden, Invalid, KeyMadeBefore, UnknownTenant
from innkeeper.core.identities import Identities
from innkeeper.core.ids import new_id
from innkeeper.core.keys import check_expiry, checked_label
from innkeeper.core.once import Once, begun_before, remember
from innkeeper.core.people import ApiToken
from innkeeper.core.people_errors import UnknownToken
from innkeeper.core.ports import Clock, Store, Transaction
from innkeeper.core.tenant import NAME

TOKENS_MAX = 1000
"""Of one user, or of all services together."""


@dataclass(frozen=True, kw_only=True)
class TokenWish:
    """A token as asked for."""

    name: str
    scopes: frozenset[Scope] = ALL_SCOPES
    expires_at: datetime | None = None
    tenant: str | None = None
    role: Role | None = None
    tenant_role: TenantRole | None = None

    @property
    def for_service(self) -> bool:
        """Whether it is to have rights of its own, rather than its maker's."""
        return self.role is not None or self.tenant_role is not None


class ApiTokens:
    """Credentials for programs."""

    def __init__(self, *, store: Store, identities: Identities, clock: Clock) -> None:
        self._store = store
        self._identities = identities
        self._clock = clock

    async def create(self, wish: TokenWish, *, actor: Actor, once: Once | None = None) -> tuple[ApiToken, str]:
        """A new token and, this once, its secret: the actor's own, or with a role a service's, which only those may
        make who manage users."""
        now, secret = self._clock.now(), new_secret("t")
        _check(wish, actor)
        check_expiry(wish.expires_at, now)
        user = None if wish.for_service else actor.user
        async with self._store.begin() as tx:
            if (before := await begun_before(tx, actor, once)) is not None:
                raise KeyMadeBefore(f"This request made the token {before} before.")
            if wish.tenant is not None and not await _is_there(tx, wish.tenant):
                raise UnknownTenant(f"There is no tenant {wish.tenant[:60]!r}.", field="tenant")
            if sum(each.user == user for each in await tx.people.tokens()) >= TOKENS_MAX:
                raise Conflict(f"There are {TOKENS_MAX} tokens already.", hint="Revoke some.")
            token = ApiToken(
                id=new_id("tok"),
                name=checked_label(wish.name),
                user=user,
                role=wish.role,
                tenant=wish.tenant,
                tenant_role=wish.tenant_role,
                scopes=wish.scopes,
                hint=secret[:9] + "…",
                digest=digest(secret),
                created_by=actor.id,
                created_at=now,
                expires_at=wish.expires_at,
            )
            await tx.people.add_token(token)
            await remember(tx, actor, once, token.id, now)
            await tx.audit(entry(actor, "token.create", at=now, after=told(token)))
        await self._identities.changed(user)
        return token, secret

    async def all(self, *, user: str | None = None) -> Sequence[ApiToken]:
        """All, or a user's own; without their secrets, which nobody has."""
        async with self._store.look() as tx:
            return [token for token in await tx.people.tokens() if user in (None, token.user)]

    async def revoke(self, token_id: str, *, actor: Actor, own: bool) -> None:
        """End a token at once, with what it opened; with `own` only one of the actor's own, else UnknownToken."""
        async with self._store.begin() as tx:
            tokens = {token.id: token for token in await tx.people.tokens()}
            token = tokens.get(token_id)
            if token is None or (own and (token.user is None or token.user != actor.user)):
                raise UnknownToken(f"There is no token {token_id[:60]!r}.")
            await tx.people.drop_token(token.id)
            await tx.audit(entry(actor, "token.revoke", at=self._clock.now(), before=told(token)))
        await self._identities.changed(token.user, revoked=True)


def told(token: ApiToken) -> dict[str, object]:
    """A token for the trail."""
    return {
        "token": token.id,
        "name": token.name,
        "user": token.user,
        "role": token.role,
        "tenant": token.tenant,
        "tenant_role": token.tenant_role,
        "scopes": sorted(token.scopes),
        "expires_at": token.expires_at,
    }


async def _is_there(tx: Transaction, tenant: str) -> bool:
    return NAME.fullmatch(tenant) is not None and await tx.tenant(tenant) is not None


def _check(wish: TokenWish, actor: Actor) -> None:
    if not wish.scopes:
        raise Invalid("A token needs a scope.", field="scopes", hint=f"There are: {', '.join(Scope)}.")
    if not wish.scopes <= actor.scopes:
        raise Forbidden("A token can't do more than its maker.", hint="Ask for fewer scopes.")
    if wish.role is not None and wish.tenant_role is not None:
        raise Invalid("A token has one role: on the platform or in a tenant.", field="tenant_role")
    if wish.tenant_role is not None and wish.tenant is None:
        raise Invalid("A role in a tenant needs the tenant.", field="tenant")
    if wish.for_service:
        return
    if actor.kind is not ActorKind.USER:
        raise Invalid(
            "This credential is no user's, so the token needs a role of its own.",
            field="role",
            hint=f"`role` is one of {', '.join(Role)}; or `tenant` with `tenant_role`, one of {', '.join(TenantRole)}.",
        )
