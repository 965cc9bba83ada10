"""Who is who, from memory: for those who must tell at once whose a credential is and what it may still do.

Whoever changes people has them read anew before answering, so within one process nobody is let in by what was
revoked; `load` repairs what another control plane changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from innkeeper.core.access import Actor, ActorKind, Role, TenantRole
from innkeeper.core.events import Bus, Event, PeopleChanged, TenantGone
from innkeeper.core.identity import Claims
from innkeeper.core.people import ApiToken, Session, User
from innkeeper.core.ports import Clock, Store, Transaction


class Identities:
    """Users with what they are to tenants, tokens and sessions by digest."""

    def __init__(self, *, store: Store, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._users: dict[str, User] = {}
        self._actors: dict[str, Actor] = {}
        self._by_subject: dict[tuple[str | None, str | None], str] = {}
        self._tokens: dict[str, ApiToken] = {}
        self._token_digests: dict[str, str] = {}
        self._sessions: dict[str, Session] = {}
        self._by_digest: dict[str, str] = {}
        self._turn = asyncio.Lock()
        self._gone: set[str] = set()
        """Tenants that went since the last reading began."""
        self._doubted: set[str | None] = set()
        """Users of whom something was revoked and couldn't be read anew; None: services."""
        self._behind = False
        bus.on_event(self._follow)

    # --- telling ------------------------------------------------------------------------------------------------------

    def by_token(self, digest: str) -> Actor | None:
        """Whose token that is; None: nobody's, or not any more."""
        token = self._tokens.get(digest)
        if token is None or token.user in self._doubted or _is_over(token.expires_at, self._clock):
            return None
        if token.user is None:
            return token.actor(None)
        user = self._actors.get(token.user)
        return token.actor(user) if user else None

    def token(self, token_id: str) -> Actor | None:
        """Whoever has the token of that id."""
        digest = self._token_digests.get(token_id)
        return self.by_token(digest) if digest else None

    def user(self, user_id: str) -> Actor | None:
        """What that user may; None where there is none, or they are disabled."""
        return None if user_id in self._doubted else self._actors.get(user_id)

    def by_session(self, digest: str) -> tuple[Session, Actor] | None:
        """Whose session that is, by the digest of its secret."""
        return self.session(self._by_digest.get(digest, ""))

    def session(self, session_id: str) -> tuple[Session, Actor] | None:
        """The session of that id, and who is signed in by it; None when it is over."""
        session = self._sessions.get(session_id)
        if session is None or _is_over(session.expires_at, self._clock):
            return None
        actor = self.user(session.user)
        return (session, actor) if actor else None

    def issued(self, claims: Claims) -> Actor | None:
        """Whom an outside issuer's token stands for: what it says they may, and what the user may who signs in there
        as the same; None where that user is disabled. A mail that the issuer doesn't vouch for is nobody's name."""
        user_id = self._by_subject.get((claims.issuer, claims.subject))
        said = Actor(
            kind=ActorKind.ISSUED,
            id=f"jwt:{claims.subject[:200]}",
            role=Role(claims.role) if claims.role else None,
            tenants={name: TenantRole(role) for name, role in claims.tenants.items()},
            name=(claims.mail if claims.mail_verified else None) or claims.subject[:200],
            until=claims.expires_at,
        )
        return said if user_id is None else self._with_user(said, user_id)

    def lasting(self, actor: Actor) -> Actor | None:
        """Whom an outside token that was judged before stands for now; None when it has run out."""
        if actor.until is None or actor.until <= self._clock.now().timestamp():
            return None
        return actor if actor.says is None or actor.user is None else self._with_user(actor.says, actor.user)

    def _with_user(self, said: Actor, user_id: str) -> Actor | None:
        actor = self.user(user_id)
        if actor is None:
            return None
        role, tenants = said.role or actor.role, {**said.tenants, **actor.tenants}
        return replace(said, role=role, tenants=tenants, user=user_id, name=actor.name, says=said)

    # --- following ----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read everything anew."""
        async with self._reading() as tx:
            users = await tx.people.users()
            members, tokens = await tx.people.members(), await tx.people.tokens()
            sessions = await tx.people.sessions()
            tenants: dict[str, dict[str, TenantRole]] = {}
            for member in members:
                if member.tenant not in self._gone:
                    tenants.setdefault(member.user, {})[member.tenant] = member.role
            self._users = {user.id: user for user in users}
            self._by_subject = {(user.issuer, user.subject): user.id for user in users if user.issuer}
            self._actors = {user.id: _actor(user, tenants.get(user.id, {})) for user in users if not user.disabled}
            self._put_tokens(tokens)
            self._put_sessions(sessions)
            self._doubted.clear()
            self._behind = False

    @property
    def behind(self) -> bool:
        """Whether something that was changed couldn't be read anew: it is time to `load`."""
        return self._behind

    async def changed(self, user_id: str | None, *, revoked: bool = False) -> None:
        """Read anew what concerns one user, or the services' tokens; and tell everybody who holds something open.

        Where the store doesn't answer now, and something was revoked, nobody is let in by what is theirs until it does.
        """
        try:
            await self._read(user_id, revoked=revoked)
        except BaseException:
            self._behind = True
            if revoked:
                self._doubted.add(user_id)
                self._bus.publish(PeopleChanged(tenant="", user=user_id, revoked=True, everywhere=True))
            raise

    async def _read(self, user_id: str | None, *, revoked: bool) -> None:
        async with self._reading() as tx:
            user = await tx.people.user(user_id) if user_id else None
            members = await tx.people.members(user=user.id) if user else ()
            tokens = await tx.people.tokens()
            sessions = await tx.people.sessions(user=user_id) if user_id else ()
            before = self._actors.get(user_id or "")
            if user_id is not None:
                tenants = {each.tenant: each.role for each in members if each.tenant not in self._gone}
                self._put_user(user_id, user, tenants)
                others = [each for each in self._sessions.values() if each.user != user_id]
                self._put_sessions([*others, *sessions])
            self._put_tokens(tokens)
            self._doubted.discard(user_id)
        both = [actor for actor in (before, self._actors.get(user_id or "")) if actor is not None]
        self._bus.publish(
            PeopleChanged(
                tenant="",
                user=user_id,
                revoked=revoked,
                tenants=frozenset(name for actor in both for name in actor.tenants),
                everywhere=user_id is None or any(actor.role is not None for actor in both),
            )
        )

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Transaction]:
        """What the store holds, to be taken over within the block. One at a time: whoever looked last is the last to
        write, so that nothing that was revoked meanwhile comes back by an older look."""
        async with self._turn:
            self._gone.clear()
            async with self._store.look() as tx:
                yield tx

    def _put_user(self, user_id: str, user: User | None, tenants: dict[str, TenantRole]) -> None:
        was = self._users.pop(user_id, None)
        self._actors.pop(user_id, None)
        if was is not None:
            self._by_subject.pop((was.issuer, was.subject), None)
        if user is not None:
            self._users[user.id] = user
            if user.issuer:
                self._by_subject[user.issuer, user.subject] = user.id
            if not user.disabled:
                self._actors[user.id] = _actor(user, tenants)

    def _put_tokens(self, tokens: Iterable[ApiToken]) -> None:
        self._tokens = {token.digest: token for token in tokens if token.tenant not in self._gone}
        self._token_digests = {token.id: digest for digest, token in self._tokens.items()}

    def _put_sessions(self, sessions: Iterable[Session]) -> None:
        self._sessions = {session.id: session for session in sessions}
        self._by_digest = {session.digest: session.id for session in self._sessions.values()}

    def _follow(self, event: Event) -> None:
        match event:
            case TenantGone(tenant=name):
                self._gone.add(name)
                self._put_tokens([token for token in self._tokens.values() if token.tenant != name])
                for user_id, actor in self._actors.items():
                    if name in actor.tenants:
                        left = {tenant: role for tenant, role in actor.tenants.items() if tenant != name}
                        self._actors[user_id] = _actor(self._users[user_id], left)


def _actor(user: User, tenants: dict[str, TenantRole]) -> Actor:
    return Actor(kind=ActorKind.USER, id=user.id, role=user.role, tenants=tenants, user=user.id, name=user.mail)


def _is_over(expires_at: datetime | None, clock: Clock) -> bool:
    return expires_at is not None and expires_at <= clock.now()
