"""The use cases of membership: what users are to a tenant."""

from __future__ import annotations

from collections.abc import Sequence

from innkeeper.core.access import Action, Actor, Role, TenantRole, allow
from innkeeper.core.audit import entry
from innkeeper.core.errors import Conflict, Forbidden, UnknownTenant
from innkeeper.core.identities import Identities
from innkeeper.core.people import Member, User
from innkeeper.core.people_errors import UnknownMember, UnknownUser
from innkeeper.core.ports import Clock, Store, Transaction
from innkeeper.core.tenant import Tenant
from innkeeper.core.users import found

MEMBERS_MAX = 1000


class Members:
    """Who belongs to which tenant."""

    def __init__(self, *, store: Store, identities: Identities, clock: Clock) -> None:
        self._store = store
        self._identities = identities
        self._clock = clock

    async def all(self, tenant: str) -> Sequence[tuple[Member, User]]:
        """A tenant's members, with who they are."""
        async with self._store.look() as tx:
            await _tenant(tx, tenant)
            members = await tx.people.members(tenant=tenant)
            return [(each, user) for each in members if (user := await tx.people.user(each.user))]

    async def put(self, tenant: str, who: str, role: TenantRole, *, actor: Actor) -> tuple[Member, User]:
        """Make a user a member, or another sort of one; said again it changes nothing. Those who may not look at users
        name a new member by mail, as they know them: by an id they would learn whose it is."""
        async with self._store.begin() as tx:
            there, user = await _tenant(tx, tenant), await found(tx, who)
            if actor.user == user.id and actor.role is Role.OPERATOR:
                raise Forbidden("An operator doesn't make themself a member.", hint="An admin or the owner can.")
            members = {each.user: each for each in await tx.people.members(tenant=tenant)}
            before = members.get(user.id)
            if before is None and who == user.id and not allow(actor, Action.USERS, None):
                raise UnknownUser(f"There is no user {who[:80]!r}.", hint="Name a new member by their mail address.")
            if before is not None and before.role is role:
                return before, user
            if before is None and len(members) >= MEMBERS_MAX:
                raise Conflict(f"{tenant} has {MEMBERS_MAX} members already.")
            now = self._clock.now()
            member = Member(user=user.id, tenant=tenant, tenant_id=there.id, role=role, created_at=now)
            await tx.people.put_member(member)
            was = {"role": before.role} if before else None
            detail = {"user": user.id, "mail": user.mail}
            await tx.audit(
                entry(actor, "member.put", at=now, of=there, before=was, after={"role": role}, detail=detail)
            )
        await self._identities.changed(user.id, revoked=before is not None)
        return member, user

    async def drop(self, tenant: str, who: str, *, actor: Actor) -> None:
        """No member any more; what they have open there ends."""
        async with self._store.begin() as tx:
            there, stranger = await _tenant(tx, tenant), UnknownMember(f"{who[:80]!r} is no member of {tenant}.")
            try:
                user = await found(tx, who)
            except UnknownUser:
                if allow(actor, Action.USERS, None):
                    raise
                raise stranger from None  # who has an account and who hasn't is no owner's business
            members = {each.user: each for each in await tx.people.members(tenant=tenant)}
            if user.id not in members:
                raise stranger
            await tx.people.drop_member(user.id, tenant)
            was, detail = {"role": members[user.id].role}, {"user": user.id, "mail": user.mail}
            await tx.audit(entry(actor, "member.drop", at=self._clock.now(), of=there, before=was, detail=detail))
        await self._identities.changed(user.id, revoked=True)


async def _tenant(tx: Transaction, name: str) -> Tenant:
    tenant = await tx.tenant(name)
    if tenant is None:
        raise UnknownTenant(f"There is no tenant {name[:60]!r}.")
    return tenant
