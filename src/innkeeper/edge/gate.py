"""The gate: for each request that reaches Caddy, may it pass, and where to?

It runs once per request of every tenant, so it holds no bytes, writes no log line and answers from memory unless the
tenant must be waited for. A person's browser isn't left waiting: it gets a page that follows the tenant on its way up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import structlog

from innkeeper.core.access import Actor
from innkeeper.core.activate import is_open
from innkeeper.core.door import Door, Upstream
from innkeeper.core.errors import (
    Forbidden,
    Kind,
    Problem,
    TenantAsleep,
    TenantFailed,
    TenantNotReady,
    Unauthenticated,
    UnknownTenant,
)
from innkeeper.core.openings import InboxPath
from innkeeper.core.tenant import Access, Tenant
from innkeeper.core.waking import BLINK_S, is_near
from innkeeper.edge.answers import as_stranger, passage, refusal
from innkeeper.edge.hosts import plain_host
from innkeeper.edge.tickets import ticket_for
from innkeeper.edge.waiting import PATH, progress_answer, waiting_page

log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """How an ask ended, for the metrics."""

    PASSED = "passed"
    INBOX = "inbox"  # a webhook, sent to the inbox
    HELD = "held"  # passed after waiting
    SHOWN = "shown"  # got the page that waits
    FOLLOWED = "followed"  # such a page asked how far the tenant is
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
    destination: bytes = b""
    """What a browser wants it for: `document` when a person opens it; empty when the client doesn't say."""

    @property
    def opens_page(self) -> bool:
        """Whether a person's browser opens a page with it; anything else couldn't do anything with another page."""
        return self.method == b"GET" and self.destination in (b"", b"document") and b"text/html" in self.accept

    @property
    def follows(self) -> bool:
        """Whether a page that waits asks how far the tenant is."""
        return self.uri.partition(b"?")[0] == PATH


class Gate:
    """Decides on requests, on behalf of the door."""

    def __init__(self, door: Door, *, inbox: Path, count: Callable[[Outcome], object] = lambda _: None) -> None:
        self._door = door
        self._inbox = f"unix/{inbox}"
        self._count = count

    def ask(self, ask: Ask) -> bytes | Awaitable[bytes]:
        """The answer at once, or, for a tenant that isn't ready, something to await for it."""
        door = self._door
        _, authorization, accept, _, uri, _ = ask
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
        if uri.startswith(PATH) and ask.follows:
            return self._tell(tenant)
        door.touched(tenant)
        # Only an agent whose own login decides sees a client's own credential, and never one that is ours.
        own_login = stranger or tenant.spec.access is Access.OPEN
        onward = authorization if actor is None and own_login else b""
        upstream = door.upstream(tenant)
        if upstream is None:
            return self._not_at_once(ask, tenant, onward, stranger=stranger)
        self._count(Outcome.PASSED)
        return passage(as_stranger(upstream) if stranger else upstream, onward)

    def _not_at_once(self, ask: Ask, tenant: Tenant, onward: bytes, *, stranger: bool) -> bytes | Awaitable[bytes]:
        if is_open(tenant) or not ask.opens_page:
            return self._wait(tenant, onward, ask.accept, stranger=stranger)
        if is_near(tenant):
            return self._wait_a_blink(ask, tenant, onward, stranger=stranger)
        return self._show(ask, tenant)

    async def _wait(self, tenant: Tenant, onward: bytes, accept: bytes, *, stranger: bool) -> bytes:
        try:
            upstream: Upstream = await self._door.enter(tenant)
            answer = passage(as_stranger(upstream) if stranger else upstream, onward)
        except Problem as problem:
            return self._refuse(problem, accept)
        self._count(Outcome.HELD)
        return answer

    async def _wait_a_blink(self, ask: Ask, tenant: Tenant, onward: bytes, *, stranger: bool) -> bytes:
        try:
            upstream = await self._door.enter(tenant, within_s=BLINK_S)
            answer = passage(as_stranger(upstream) if stranger else upstream, onward)
        except (TenantNotReady, TenantAsleep, TenantFailed):
            return self._show(ask, self._door.find(plain_host(ask.host)) or tenant)
        except Problem as problem:
            return self._refuse(problem, ask.accept)
        self._count(Outcome.HELD)
        return answer

    def _show(self, ask: Ask, tenant: Tenant) -> bytes:
        """The page; the tenant comes up though nobody is held for it."""
        try:
            self._door.wake(tenant)
            page = waiting_page(self._door.progress(tenant), plain_host(ask.host))
        except Problem as problem:
            return self._refuse(problem, ask.accept)
        self._count(Outcome.SHOWN)
        return page

    def _tell(self, tenant: Tenant) -> bytes:
        """How far the tenant is. That isn't use: a forgotten page neither wakes a tenant nor keeps it awake."""
        try:
            answer = progress_answer(self._door.progress(tenant))
        except Problem as problem:
            return self._refuse(problem, b"")
        self._count(Outcome.FOLLOWED)
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
