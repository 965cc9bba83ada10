"""From the console to a tenant's door: a browser signs in at the one and is known at the other.

The console's session never leaves the console's domain. A ticket goes instead: for one tenant and host, once, within a
minute, and only in the browser that was sent away from that very door, which got a secret to be known by. The door then
gives it a cookie of its own, which names the session and is worth nothing at any other tenant's.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

from innkeeper.core.access import Actor, digest, new_secret, same
from innkeeper.core.identities import Identities
from innkeeper.core.people import Session, Ticket
from innkeeper.core.people_errors import TicketRefused
from innkeeper.core.ports import Clock, Store, Tokens
from innkeeper.core.tenant import Tenant

TICKET_LASTS = timedelta(minutes=1)
PATH_MAX = 2000
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Tickets:
    """Issues tickets at the console and takes them at the door."""

    def __init__(self, *, store: Store, identities: Identities, tokens: Tokens, clock: Clock) -> None:
        self._store = store
        self._identities = identities
        self._clock = clock
        self._seal = lru_cache(maxsize=65536)(tokens.door_seal)

    async def issue(self, session: Session, tenant: Tenant, *, host: str, path: str, binding: str) -> str:
        """A ticket's secret; `binding` is the digest of what the browser got at the door, or else TicketRefused."""
        if not _DIGEST.fullmatch(binding):
            raise TicketRefused("This browser hasn't been at that door.")
        secret = new_secret("e")
        ticket = Ticket(
            digest=digest(secret),
            session=session.id,
            tenant_id=tenant.id,
            host=host,
            path=path_within(path),
            binding=binding,
            expires_at=self._clock.now() + TICKET_LASTS,
        )
        async with self._store.begin() as tx:
            await tx.people.add_ticket(ticket)
        return secret

    async def redeem(self, secret: str, tenant: Tenant, *, host: str, known_by: str) -> tuple[str, Session, str]:
        """The door's cookie, the session that it names, and where the browser wanted to go; TicketRefused. However that
        ends, the ticket is spent."""
        async with self._store.look() as tx:  # strangers may come with anything: they make no writer wait
            known = await tx.people.has_ticket(digest(secret))
        ticket = None
        if known:
            async with self._store.begin() as tx:
                ticket = await tx.people.take_ticket(digest(secret))
        if ticket is None or ticket.expires_at <= self._clock.now():
            raise TicketRefused("This way in was used before, or it took too long.")
        if (ticket.tenant_id, ticket.host) != (tenant.id, host) or not same(digest(known_by), ticket.binding):
            raise TicketRefused("This way in is for another door or another browser.")
        found = self._identities.session(ticket.session)
        if found is None:
            raise TicketRefused("You have signed out meanwhile.")
        return self.cookie(ticket.session, tenant), found[0], ticket.path

    def cookie(self, session_id: str, tenant: Tenant) -> str:
        """What a browser shows at that tenant's door."""
        return f"{session_id}.{self._seal(session_id, tenant.id)}"

    def holder(self, cookie: str, tenant: Tenant) -> tuple[Session, Actor] | None:
        """Who shows that cookie at the tenant's door; None: nobody whom it lets in, or not any more."""
        session_id, _, seal = cookie.partition(".")
        found = self._identities.session(session_id)
        if found is None or not same(seal, self._seal(session_id, tenant.id)):
            return None
        return found


def path_within(path: str) -> str:
    """A path on the same host; `/` for anything that a browser could take for another place."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isascii() and path.isprintable()
    return path if safe and len(path) <= PATH_MAX and "\\" not in path else "/"
