"""People and credentials for the store's tests, with every field away from its default somewhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from innkeeper.core.access import Role, Scope, TenantRole
from innkeeper.core.people import ApiToken, Member, Session, SignInMethod, Ticket, User
from innkeeper.core.tenant import Tenant
from tests.store.examples import NOON


def user(who: str, **fields: Any) -> User:
    """A user with as little said as can be."""
    return User(**{"id": f"usr_{who}", "mail": f"{who}@example.com", "created_at": NOON, **fields})


def elaborate_user() -> User:
    """A user with everything said."""
    return user(
        "ann",
        name="Änn \U0001f600",
        role=Role.AUDITOR,
        password="$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
        issuer="https://id.example",
        subject="248289761001",
        disabled=True,
        created_at=NOON + timedelta(microseconds=1),
    )


def member(of: Tenant, whom: User, role: TenantRole = TenantRole.MEMBER) -> Member:
    """What the user is to the tenant."""
    return Member(user=whom.id, tenant=of.name, tenant_id=of.id, role=role, created_at=NOON)


def token(number: int, **fields: Any) -> ApiToken:
    """The `number`th token: a service's, unless a user is named."""
    named = {"id": f"tok_{number}", "name": "bot", "hint": "ik_t_abcd…", "digest": f"token {number}"}
    return ApiToken(**{**named, "created_by": "admin", "created_at": NOON, **fields})


def elaborate_token(number: int, of: Tenant) -> ApiToken:
    """A token with everything said that goes together."""
    return token(
        number,
        tenant=of.name,
        tenant_role=TenantRole.VIEWER,
        scopes=frozenset({Scope.READ, Scope.AUDIT}),
        expires_at=NOON + timedelta(days=30),
    )


def session(number: int, whom: User, **fields: Any) -> Session:
    """The `number`th session."""
    return Session(
        **{
            "id": f"ses_{number}",
            "user": whom.id,
            "digest": f"session {number}",
            "method": SignInMethod.OIDC,
            "address": "192.0.2.7",
            "browser": "Firefox/200",
            "created_at": NOON,
            "expires_at": NOON + timedelta(hours=1),
            **fields,
        }
    )


def ticket(number: int, of: Session, **fields: Any) -> Ticket:
    """The `number`th ticket."""
    return Ticket(
        **{
            "digest": f"ticket {number}",
            "session": of.id,
            "tenant_id": "t_a",
            "host": "a.localhost",
            "path": "/chat?x=1",
            "binding": "knock",
            "expires_at": NOON + timedelta(minutes=1),
            **fields,
        }
    )
