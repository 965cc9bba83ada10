"""Who may do what: tenant keys, actors, and the one function that decides."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

KEY_PREFIX = "ik_"
"""Every credential that we hand out begins so, and secret scanners can find it."""


class Role(StrEnum):
    """What sort of actor it is."""

    ADMIN = "admin"
    TENANT = "tenant"  # somebody with a key of one tenant
    SYSTEM = "system"  # the control plane itself


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who asks."""

    role: Role
    name: str
    tenant: str | None = None


SYSTEM = Actor(role=Role.SYSTEM, name="system")


@dataclass(frozen=True, kw_only=True)
class TenantKey:
    """An API key of a tenant, as kept: its hash, and enough of it to be recognised by its owner."""

    id: str
    tenant: str
    tenant_id: str
    name: str
    hint: str
    digest: str
    created_at: datetime


def allow(actor: Actor, tenant: str | None) -> bool:
    """Whether `actor` may act on `tenant` (None: the platform itself). Called in one place per door."""
    match actor.role:
        case Role.ADMIN | Role.SYSTEM:
            return True
        case Role.TENANT:
            return tenant is not None and actor.tenant == tenant


def new_secret(kind: str) -> str:
    """A fresh credential: 256 random bits behind a prefix that tells its kind."""
    return f"{KEY_PREFIX}{kind}_{secrets.token_urlsafe(32)}"


def digest(secret: str) -> str:
    """What is stored of a credential. A plain hash is enough for 256 random bits; passwords need more."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal, told in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())
