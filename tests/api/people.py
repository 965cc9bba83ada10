"""People with credentials for tests of who may do what."""

from __future__ import annotations

from innkeeper.core.access import ADMIN, ALL_SCOPES, Actor, ActorKind, Role, Scope, TenantRole
from innkeeper.core.tokens import TokenWish
from tests.api.bench import Bench

PASSWORD = "correct horse battery"


async def person(
    bench: Bench, name: str, *, role: Role | None = None, tenants: dict[str, TenantRole] | None = None
) -> str:
    """The id of a new user who is that."""
    user = await bench.inn.people.users.create(f"{name}@example.com", role=role, password=PASSWORD, actor=ADMIN)
    for tenant, part in (tenants or {}).items():
        await bench.inn.people.members.put(tenant, user.id, part, actor=ADMIN)
    return user.id


async def token_of(bench: Bench, user: str, *, scopes: frozenset[Scope] = ALL_SCOPES, tenant: str | None = None) -> str:
    """A token of that user's."""
    maker = Actor(kind=ActorKind.USER, id=user, user=user)
    _, secret = await bench.inn.people.tokens.create(TokenWish(name="test", scopes=scopes, tenant=tenant), actor=maker)
    return secret
