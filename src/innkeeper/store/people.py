"""The core's `People` on a SQL connection."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from innkeeper.core.access import Role, Scope, TenantRole
from innkeeper.core.kept_json import moment, stamp
from innkeeper.core.people import ApiToken, Member, Session, SignInMethod, Ticket, User
from innkeeper.store import rules, tables
from innkeeper.store.rows import AnyRow, moment_or_none

_MOMENTS = ("created_at", "expires_at")


class SqlPeople:
    """Users, members, tokens, sessions and tickets."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def user(self, user_id: str) -> User | None:
        return await self._user(tables.users.c.id == user_id)

    async def user_by_mail(self, mail: str) -> User | None:
        return await self._user(tables.users.c.mail == mail)

    async def user_by_subject(self, issuer: str, subject: str) -> User | None:
        return await self._user(tables.users.c.issuer == issuer, tables.users.c.subject == subject)

    async def users(self, *, after: str = "", limit: int | None = None) -> Sequence[User]:
        column = tables.users.c.id
        query = select(tables.users).where(column > after).order_by(column).limit(limit)
        return [_user_of(row) for row in await self._connection.execute(query)]

    async def add_user(self, user: User) -> None:
        await self._check_unique(user)
        await self._add(tables.users, user)

    async def put_user(self, user: User) -> None:
        await self._check_unique(user)
        table = tables.users
        await self._connection.execute(update(table).where(table.c.id == user.id).values(_values(user)))

    async def _check_unique(self, user: User) -> None:
        column = tables.users.c
        if await self._user(column.mail == user.mail, column.id != user.id):
            raise rules.mail_taken(user.mail)
        same = (column.issuer == user.issuer, column.subject == user.subject, column.id != user.id)
        if user.issuer and await self._user(*same):
            raise rules.subject_taken()

    async def drop_user(self, user_id: str) -> None:
        await self._drop(tables.users, tables.users.c.id == user_id)

    async def members(self, *, tenant: str | None = None, user: str | None = None) -> Sequence[Member]:
        column = tables.members.c
        query = select(tables.members).order_by(column.tenant, column.user)
        if tenant is not None:
            query = query.where(column.tenant == tenant)
        if user is not None:
            query = query.where(column.user == user)
        return [_member_of(row) for row in await self._connection.execute(query)]

    async def put_member(self, member: Member) -> None:
        name = tables.tenants.c.name
        if (await self._connection.execute(select(name).where(name == member.tenant))).first() is None:
            raise rules.no_tenant(member.tenant)
        await self.drop_member(member.user, member.tenant)
        await self._add(tables.members, member)

    async def drop_member(self, user: str, tenant: str) -> bool:
        column = tables.members.c
        return await self._drop(tables.members, column.user == user, column.tenant == tenant) > 0

    async def tokens(self) -> Sequence[ApiToken]:
        query = select(tables.tokens).order_by(tables.tokens.c.id)
        return [_token_of(row) for row in await self._connection.execute(query)]

    async def add_token(self, token: ApiToken) -> None:
        await self._add(tables.tokens, token)

    async def drop_token(self, token_id: str) -> bool:
        return await self._drop(tables.tokens, tables.tokens.c.id == token_id) > 0

    async def sessions(self, *, user: str | None = None) -> Sequence[Session]:
        query = select(tables.sessions).order_by(tables.sessions.c.id)
        if user is not None:
            query = query.where(tables.sessions.c.user == user)
        return [_session_of(row) for row in await self._connection.execute(query)]

    async def add_session(self, session: Session) -> None:
        await self._add(tables.sessions, session)

    async def drop_session(self, session_id: str) -> bool:
        return await self._drop(tables.sessions, tables.sessions.c.id == session_id) > 0

    async def add_ticket(self, ticket: Ticket) -> None:
        await self._add(tables.tickets, ticket)

    async def has_ticket(self, digest: str) -> bool:
        column = tables.tickets.c.digest
        return (await self._connection.execute(select(column).where(column == digest))).first() is not None

    async def take_ticket(self, digest: str) -> Ticket | None:
        table = tables.tickets
        taken = await self._connection.execute(delete(table).where(table.c.digest == digest).returning(table))
        row = taken.first()
        return Ticket(**{**row._mapping, "expires_at": moment(row.expires_at)}) if row else None

    async def drop_expired(self, now: datetime) -> int:
        over = stamp(now)
        dropped = 0
        for table in (tables.tokens, tables.tickets, tables.sessions, tables.keys):  # a session takes its tickets along
            dropped += await self._drop(table, table.c.expires_at <= over)
        return dropped

    async def _user(self, *which: ColumnElement[bool]) -> User | None:
        row = (await self._connection.execute(select(tables.users).where(*which))).first()
        return _user_of(row) if row else None

    async def _add(self, table: Table, thing: User | Member | ApiToken | Session | Ticket) -> None:
        await self._connection.execute(insert(table).values(_values(thing)))

    async def _drop(self, table: Table, *which: ColumnElement[bool]) -> int:
        return (await self._connection.execute(delete(table).where(*which))).rowcount


def _values(thing: User | Member | ApiToken | Session | Ticket) -> dict[str, object]:
    values: dict[str, Any] = dict(vars(thing))
    for name in _MOMENTS:
        if values.get(name) is not None:
            values[name] = stamp(values[name])
    if isinstance(thing, ApiToken):
        values["scopes"] = " ".join(sorted(thing.scopes))
    return {name: value.value if isinstance(value, Role | TenantRole | SignInMethod) else value
            for name, value in values.items()}  # fmt: skip


def _fields(row: AnyRow) -> dict[str, Any]:
    fields = dict(row._mapping)
    return {**fields, **{name: moment_or_none(fields[name]) for name in _MOMENTS if name in fields}}


def _user_of(row: AnyRow) -> User:
    return User(**_fields(row) | {"role": Role(row.role) if row.role else None})


def _member_of(row: AnyRow) -> Member:
    return Member(**_fields(row) | {"role": TenantRole(row.role)})


def _token_of(row: AnyRow) -> ApiToken:
    roles = {
        "role": Role(row.role) if row.role else None,
        "tenant_role": TenantRole(row.tenant_role) if row.tenant_role else None,
    }
    return ApiToken(**_fields(row) | roles | {"scopes": frozenset(map(Scope, row.scopes.split()))})


def _session_of(row: AnyRow) -> Session:
    return Session(**_fields(row) | {"method": SignInMethod(row.method)})
