"""The gate: for each request that reaches Caddy, may it pass, and where to?

It runs once per request of every tenant, so it holds no bytes, writes no log line and answers from memory unless the
tenant must be waited for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import structlog

from innkeeper.core.access import Actor
from innkeeper.core.door import Door, Upstream
from innkeeper.core.errors import Forbidden, Kind, Problem, Unauthenticated, UnknownTenant
from innkeeper.core.openings import InboxPath
from innkeeper.core.tenant import Access, Tenant
from innkeeper.edge.answers import as_stranger, passage, refusal
from innkeeper.edge.hosts import plain_host
from innkeeper.edge.tickets import ticket_for

log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """How an ask ended, for the metrics."""

    PASSED = "passed"
    INBOX = "inbox"  # a webhook, sent to the inbox
    HELD = "held"  # passed after waiting
    UNKNOWN = "unknown"
    REFUSED = "refused"
    NOT_READY = "not_ready"
    FAULT = "fault"


class Ask(NamedTuple):
    """What Caddy tells of a request."""

    host: bytes = b""
    authorization: bytes = b""
    accept: bytes = b""
    method: bytes = b"GET"
    uri: bytes = b"/"
    """Path and query, as the client sent them."""


class Gate:
    """Decides on requests, on behalf of the door."""

    def __init__(self, door: Door, *, inbox: Path, count: Callable[[Outcome], object] = lambda _: None) -> None:
        self._door = door
        self._inbox = f"unix/{inbox}"
        self._count = count

    def ask(self, ask: Ask) -> bytes | Awaitable[bytes]:
        """The answer at once, or, for a tenant that isn't ready, something to await for it."""
        door = self._door
        _, authorization, accept, _, _ = ask
        tenant = door.find(plain_host(ask.host))
        if tenant is None:
            return self._refuse(UnknownTenant("No tenant answers at this address.", hint=""), accept)
        actor = _actor(door, authorization)
        if tenant.openings is not None and (at := tenant.openings.inbox_at(ask.method, ask.uri)) is not None:
            self._count(Outcome.INBOX)
            return self._post(tenant, at, b"" if actor else authorization)
        stranger = False
        if not door.admits(actor, tenant):
            stranger = tenant.openings is not None and tenant.openings.is_public(ask.uri)
            if not stranger:
                return self._refuse(_not_admitted(actor, tenant), accept)
        door.touched(tenant)
        # Only an agent whose own login decides sees a client's own credential, and never one that is ours.
        own_login = stranger or tenant.spec.access is Access.OPEN
        onward = authorization if actor is None and own_login else b""
        upstream = door.upstream(tenant)
        if upstream is None:
            return self._wait(tenant, onward, accept, stranger=stranger)
        self._count(Outcome.PASSED)
        return passage(as_stranger(upstream) if stranger else upstream, onward)

    async def _wait(self, tenant: Tenant, onward: bytes, accept: bytes, *, stranger: bool) -> bytes:
        try:
            upstream: Upstream = await self._door.enter(tenant)
            answer = passage(as_stranger(upstream) if stranger else upstream, onward)
        except Problem as problem:
            return self._refuse(problem, accept)
        self._count(Outcome.HELD)
        return answer

    def _post(self, tenant: Tenant, at: InboxPath, authorization: bytes) -> bytes:
        """On to the inbox, which keeps it; whether the tenant sleeps makes no difference."""
        ticket = ticket_for(tenant, at, authorization)
        return passage(Upstream(address=self._inbox, headers=((b"authorization", ticket),)))

    def fault(self) -> bytes:
        """The answer when deciding itself went wrong, called where the exception is at hand."""
        log.exception("gate_fault")
        return self._refuse(Problem("Something went wrong at the gate.", hint="See the control plane's log."), b"")

    def _refuse(self, problem: Problem, accept: bytes) -> bytes:
        match problem.kind:
            case Kind.NOT_FOUND:
                self._count(Outcome.UNKNOWN)
            case Kind.UNAUTHENTICATED | Kind.FORBIDDEN:
                self._count(Outcome.REFUSED)
            case Kind.NOT_READY | Kind.UNAVAILABLE:
                self._count(Outcome.NOT_READY)
            case _:
                self._count(Outcome.FAULT)
        return refusal(problem, page=b"text/html" in accept)


def _actor(door: Door, authorization: bytes) -> Actor | None:
    scheme, _, bearer = authorization.partition(b" ")
    if not bearer or scheme.lower() != b"bearer":
        return None
    return door.identify(bearer.strip().decode("latin-1"))


def _not_admitted(actor: Actor | None, tenant: Tenant) -> Problem:
    if actor is not None:
        return Forbidden("This key is for another tenant.", hint="Use a key of the tenant that you want to reach.")
    return Unauthenticated(
        "This tenant can be used with a key only, and none that is valid came with the request.",
        hint=f"Send `Authorization: Bearer KEY`; its operator makes one with `innkeeper key create {tenant.name}`.",
    )
