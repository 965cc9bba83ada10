"""The core's `People` on plain dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from innkeeper.core.people import ApiToken, Member, Session, Ticket, User
from innkeeper.store import rules
from innkeeper.store.memory_tables import Tables


class MemoryPeople:
    """Users, members, tokens, sessions and tickets."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def user(self, user_id: str) -> User | None:
        return self._tables.users.get(user_id)

    async def user_by_mail(self, mail: str) -> User | None:
        return next((user for user in self._tables.users.values() if user.mail == mail), None)

    async def user_by_subject(self, issuer: str, subject: str) -> User | None:
        users = self._tables.users.values()
        return next((user for user in users if (user.issuer, user.subject) == (issuer, subject)), None)

    async def users(self, *, after: str = "", limit: int | None = None) -> Sequence[User]:
        return [user for id_, user in sorted(self._tables.users.items()) if id_ > after][:limit]

    async def add_user(self, user: User) -> None:
        await self._check_unique(user)
        self._tables.users[user.id] = user

    async def put_user(self, user: User) -> None:
        await self._check_unique(user)
        if user.id in self._tables.users:
            self._tables.users[user.id] = user

    async def _check_unique(self, user: User) -> None:
        same_mail = await self.user_by_mail(user.mail)
        if same_mail is not None and same_mail.id != user.id:
            raise rules.mail_taken(user.mail)
        if user.issuer is None or user.subject is None:
            return
        same_subject = await self.user_by_subject(user.issuer, user.subject)
        if same_subject is not None and same_subject.id != user.id:
            raise rules.subject_taken()

    async def drop_user(self, user_id: str) -> None:
        tables = self._tables
        tables.users.pop(user_id, None)
        tables.members = {at: member for at, member in tables.members.items() if member.user != user_id}
        tables.tokens = {id_: token for id_, token in tables.tokens.items() if token.user != user_id}
        for session in [each for each in tables.sessions.values() if each.user == user_id]:
            await self.drop_session(session.id)

    def drop_tenant(self, name: str) -> None:
        """What hangs on a tenant that is gone."""
        tables = self._tables
        tables.members = {at: member for at, member in tables.members.items() if member.tenant != name}
        tables.tokens = {id_: token for id_, token in tables.tokens.items() if token.tenant != name}

    async def members(self, *, tenant: str | None = None, user: str | None = None) -> Sequence[Member]:
        return [
            member
            for _, member in sorted(self._tables.members.items())
            if tenant in (None, member.tenant) and user in (None, member.user)
        ]

    async def put_member(self, member: Member) -> None:
        if member.tenant not in self._tables.tenants:
            raise rules.no_tenant(member.tenant)
        self._tables.members[member.tenant, member.user] = member

    async def drop_member(self, user: str, tenant: str) -> bool:
        return self._tables.members.pop((tenant, user), None) is not None

    async def tokens(self) -> Sequence[ApiToken]:
        return [token for _, token in sorted(self._tables.tokens.items())]

    async def add_token(self, token: ApiToken) -> None:
        self._tables.tokens[token.id] = token

    async def drop_token(self, token_id: str) -> bool:
        return self._tables.tokens.pop(token_id, None) is not None

    async def sessions(self, *, user: str | None = None) -> Sequence[Session]:
        return [session for _, session in sorted(self._tables.sessions.items()) if user in (None, session.user)]

    async def add_session(self, session: Session) -> None:
        self._tables.sessions[session.id] = session

    async def drop_session(self, session_id: str) -> bool:
        tables = self._tables
        tables.tickets = {each: ticket for each, ticket in tables.tickets.items() if ticket.session != session_id}
        tables.begun = {each: begun for each, begun in tables.begun.items() if begun.session != session_id}
        return tables.sessions.pop(session_id, None) is not None

    async def add_ticket(self, ticket: Ticket) -> None:
        self._tables.tickets[ticket.digest] = ticket

    async def has_ticket(self, digest: str) -> bool:
        return digest in self._tables.tickets

    async def take_ticket(self, digest: str) -> Ticket | None:
        return self._tables.tickets.pop(digest, None)

    async def drop_expired(self, now: datetime) -> int:
        tables = self._tables
        tokens = [each.id for each in tables.tokens.values() if each.expires_at and each.expires_at <= now]
        keys = [each.id for each in tables.keys.values() if each.expires_at and each.expires_at <= now]
        tickets = [each.digest for each in tables.tickets.values() if each.expires_at <= now]
        sessions = [each.id for each in tables.sessions.values() if each.expires_at <= now]
        for id_ in tokens:
            del tables.tokens[id_]
        for id_ in keys:
            del tables.keys[id_]
        for id_ in tickets:
            del tables.tickets[id_]
        for id_ in sessions:
            await self.drop_session(id_)
        return len(tokens) + len(keys) + len(tickets) + len(sessions)
