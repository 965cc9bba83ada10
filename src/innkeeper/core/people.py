"""People as they are kept: users, what they are to tenants, and the credentials that they have made or were given."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from innkeeper.core.access import ALL_SCOPES, Actor, ActorKind, Role, Scope, TenantRole


class SignInMethod(StrEnum):
    """How somebody has proved who they are."""

    PASSWORD = "password"  # noqa: S105 - the way, not the secret
    OIDC = "oidc"


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody with an account."""

    id: str
    mail: str
    """What they sign in with; lower case."""
    name: str = ""
    role: Role | None = None
    """On the whole platform; None, as for most: only what they are to tenants counts."""
    password: str | None = field(default=None, repr=False)
    """Its Argon2id hash as a PHC string; None: they can't sign in with one."""
    issuer: str | None = None
    subject: str | None = None
    """Who they are at their OpenID provider; never changes, unlike their mail there."""
    disabled: bool = False
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Member:
    """What a user is to a tenant."""

    user: str
    tenant: str
    tenant_id: str
    role: TenantRole
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class ApiToken:
    """A credential for programs, as kept: a user's own, or a service's."""

    id: str
    name: str
    user: str | None = None
    """Whose it is, and whose rights it has at most; None: a service's, with `role` or `tenant_role`."""
    role: Role | None = None
    tenant: str | None = None
    """The one tenant that it is good for; None: all that its user may, or its role."""
    tenant_role: TenantRole | None = None
    scopes: frozenset[Scope] = ALL_SCOPES
    hint: str
    digest: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None

    def actor(self, user: Actor | None) -> Actor:
        """Whoever has it; `user` is whose it is."""
        tenants = user.tenants if user else {}
        if user is None and self.tenant is not None and self.tenant_role is not None:
            tenants = {self.tenant: self.tenant_role}
        return Actor(
            kind=ActorKind.TOKEN,
            id=self.id,
            role=user.role if user else self.role,
            tenants=tenants,
            scopes=self.scopes,
            only=self.tenant,
            user=self.user,
            name=self.name,
        )


@dataclass(frozen=True, kw_only=True)
class Session:
    """Somebody's having signed in with a browser."""

    id: str
    user: str
    digest: str
    method: SignInMethod
    address: str | None
    browser: str
    """What it calls itself."""
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """What a browser brings from the console to a tenant's door, once and within a minute."""

    digest: str
    session: str
    tenant_id: str
    host: str
    path: str
    """Where it wanted to go."""
    binding: str
    """The digest of a secret that this very browser got at that door."""
    expires_at: datetime
