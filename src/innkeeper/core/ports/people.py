"""What the core needs of a store for people and their credentials."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from innkeeper.core.people import ApiToken, Member, Session, Ticket, User


class People(Protocol):
    """Users, members, tokens, sessions and tickets, within a transaction."""

    async def user(self, user_id: str) -> User | None: ...
    async def user_by_mail(self, mail: str) -> User | None: ...
    async def user_by_subject(self, issuer: str, subject: str) -> User | None: ...
    async def users(self, *, after: str = "", limit: int | None = None) -> Sequence[User]:
        """By id, those after `after`: the oldest first."""
        ...

    async def add_user(self, user: User) -> None:
        """Raises UserExists for a mail, or a subject of an issuer, that another has."""
        ...

    async def put_user(self, user: User) -> None:
        """Write all of it; raises UserExists likewise."""
        ...

    async def drop_user(self, user_id: str) -> None:
        """With memberships, tokens and sessions."""
        ...

    async def members(self, *, tenant: str | None = None, user: str | None = None) -> Sequence[Member]:
        """By tenant and user; those of one of them, if said."""
        ...

    async def put_member(self, member: Member) -> None:
        """What the user is to the tenant from now on; raises UnknownTenant."""
        ...

    async def drop_member(self, user: str, tenant: str) -> bool: ...

    async def tokens(self) -> Sequence[ApiToken]:
        """The oldest first."""
        ...

    async def add_token(self, token: ApiToken) -> None: ...
    async def drop_token(self, token_id: str) -> bool: ...

    async def sessions(self, *, user: str | None = None) -> Sequence[Session]:
        """The oldest first; also those that have expired."""
        ...

    async def add_session(self, session: Session) -> None: ...
    async def drop_session(self, session_id: str) -> bool: ...

    async def add_ticket(self, ticket: Ticket) -> None: ...
    async def take_ticket(self, digest: str) -> Ticket | None:
        """The ticket, which is gone with that: of two who ask one gets it."""
        ...

    async def drop_expired(self, now: datetime) -> int:
        """Drop tokens, sessions, tickets and tenant keys whose time is over; how many."""
        ...
