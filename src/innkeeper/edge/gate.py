"""The gate: for each request that reaches Caddy, may it pass, and where to?

It runs once per request of every tenant, so it holds no bytes, writes no log line and answers from memory unless the
tenant must be waited for. A person's browser isn't left waiting: it gets a page that follows the tenant on its way up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, quote

import structlog

from innkeeper.core.access import Actor, ActorKind
from innkeeper.core.activate import is_open
from innkeeper.core.callers import Callers, Pass
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
from innkeeper.core.lookout import Lookout
from innkeeper.core.openings import InboxPath
from innkeeper.core.passes import pass_of
from innkeeper.core.people import Session
from innkeeper.core.people_errors import ForeignOrigin
from innkeeper.core.tenant import Access, Tenant
from innkeeper.core.waking import BLINK_S, is_near
from innkeeper.edge.answers import Onward, passage, refusal
from innkeeper.edge.browsers import ENTER, is_foreign, is_own_origin, knock_of, let_in, parted, sent_to_sign_in
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
    SENT_TO_SIGN_IN = "sent_to_sign_in"
    SIGNED_IN = "signed_in"  # came back from there
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
    cookies: bytes = b""
    origin: bytes = b""
    """Of the page that made the browser ask."""
    site: bytes = b""
    """How that page stands to the host that is asked: `same-origin`, `same-site`, `cross-site`, `none`."""
    client: bytes = b""
    """The client's end of the connection and the protocol on it: `192.0.2.7:4711 HTTP/1.1`."""

    @property
    def opens_page(self) -> bool:
        """Whether a person's browser opens a page with it; anything else couldn't do anything with another page."""
        return self.method == b"GET" and self.destination in (b"", b"document") and b"text/html" in self.accept

    @property
    def upgrades(self) -> bool:
        """Whether it is to become a WebSocket."""
        return b"websocket" in self.destination.lower()

    @property
    def follows(self) -> bool:
        """Whether a page that waits asks how far the tenant is."""
        return self.uri.partition(b"?")[0] == PATH


class Gate:
    """Decides on requests, on behalf of the door."""

    def __init__(
        self,
        door: Door,
        *,
        inbox: Path,
        console: str = "",
        callers: Callers | None = None,
        lookout: Lookout | None = None,
        count: Callable[[Outcome], object] = lambda _: None,
    ) -> None:
        self._door = door
        self._console = console
        self._callers = Callers() if callers is None else callers
        self._inbox = f"unix/{inbox}"
        self._lookout = lookout
        self._count = count

    def ask(self, ask: Ask) -> bytes | Awaitable[bytes]:
        """The answer at once, or, for a tenant that isn't ready, something to await for it."""
        bearer = _bearer(ask.authorization)
        if bearer and self._door.may_be_outside(bearer) and self._door.identify(bearer) is None:
            return self._recognise_first(ask, bearer)
        return self._decide(ask, self._door.identify(bearer) if bearer else None)

    async def _recognise_first(self, ask: Ask, bearer: str) -> bytes:
        """An outside issuer's token that isn't known yet: its keys may have to be fetched."""
        answer = self._decide(ask, await self._door.recognise(bearer))
        return answer if isinstance(answer, bytes) else await answer

    def _decide(self, ask: Ask, actor: Actor | None) -> bytes | Awaitable[bytes]:
        door, uri, authorization = self._door, ask.uri, ask.authorization
        tenant = door.find(plain_host(ask.host))
        if tenant is None:
            return self._refuse(UnknownTenant("No tenant answers at this address.", hint=""), ask.accept)
        if tenant.openings is not None and (at := tenant.openings.inbox_at(ask.method, ask.uri)) is not None:
            self._count(Outcome.INBOX)
            return self._post(tenant, at, b"" if actor else authorization)
        if ask.origin and ask.upgrades and not is_own_origin(ask.origin, ask.host):
            return self._refuse(_foreign(), ask.accept)
        cookies, held, knock = parted(ask.cookies)
        session: Session | None = None
        if tenant.spec.access is Access.GUARDED:
            if uri.startswith(ENTER) and uri.partition(b"?")[0] == ENTER:
                return self._enter(ask, tenant, knock)
            if actor is None and held and (found := door.holder(held.decode("latin-1"), tenant)) is not None:
                session, actor = found
        stranger = False
        if not door.admits(actor, tenant):
            stranger = tenant.openings is not None and tenant.openings.is_public(ask.uri)
            if not stranger:
                return self._turn_away(ask, tenant, actor, knock)
        elif session is not None and _is_foreign(ask):
            return self._refuse(_foreign(), ask.accept)
        if uri.startswith(PATH) and ask.follows:
            return self._tell(tenant)
        door.touched(tenant)
        # Only an agent whose own login decides sees a client's own credential, and never one that is ours.
        own_login = stranger or tenant.spec.access is Access.OPEN
        onward = Onward(
            authorization=authorization if actor is None and own_login else b"",
            cookies=cookies,
            user=b"" if own_login or actor is None else _user(actor),
            stranger=stranger,
            client=ask.client,
            by=None if own_login or actor is None else pass_of(actor, tenant.name, session),
        )
        if onward.by is not None:
            self._note(ask.client, onward.by)
        if actor is not None and actor.role is not None and self._lookout is not None:
            self._lookout.entered(actor, tenant, address=_address(ask.client))
        upstream = door.upstream(tenant)
        if upstream is None:
            return self._not_at_once(ask, tenant, onward)
        self._count(Outcome.PASSED)
        return passage(upstream, onward)

    def _note(self, client: bytes, given: Pass) -> None:
        """What it opens must be ended once the credential is revoked."""
        end, _, protocol = client.partition(b" ")
        if end and not protocol.startswith(b"HTTP/3"):
            self._callers.note(end, given)
        else:
            self._callers.note_elsewhere(given)

    def _turn_away(self, ask: Ask, tenant: Tenant, actor: Actor | None, knock: bytes) -> bytes:
        """A person's browser goes to sign in; anything else is told what it needs."""
        if actor is None and ask.opens_page and tenant.spec.access is Access.GUARDED and self._console:
            self._count(Outcome.SENT_TO_SIGN_IN)
            return sent_to_sign_in(self._console, host=ask.host, uri=ask.uri, knock=knock_of(knock))
        if self._lookout is not None:
            bearer = _bearer(ask.authorization)
            self._lookout.denied(actor, tenant, bearer=bearer, address=_address(ask.client))
        return self._refuse(_not_admitted(actor, tenant), ask.accept)

    async def _enter(self, ask: Ask, tenant: Tenant, knock: bytes) -> bytes:
        """Back from signing in, with a ticket."""
        secret = parse_qs(ask.uri.partition(b"?")[2]).get(b"ticket", [b""])[0]
        try:
            cookie, path = await self._door.redeem(
                secret.decode("latin-1"), tenant, host=plain_host(ask.host), knock=knock.decode("latin-1")
            )
        except Problem as problem:
            return self._refuse(problem, ask.accept)
        self._count(Outcome.SIGNED_IN)
        return let_in(cookie, path=path)

    def _not_at_once(self, ask: Ask, tenant: Tenant, onward: Onward) -> bytes | Awaitable[bytes]:
        if is_open(tenant) or not ask.opens_page:
            return self._wait(tenant, onward, ask.accept)
        if is_near(tenant):
            return self._wait_a_blink(ask, tenant, onward)
        return self._show(ask, tenant)

    async def _wait(self, tenant: Tenant, onward: Onward, accept: bytes) -> bytes:
        try:
            upstream: Upstream = await self._door.enter(tenant)
            answer = passage(upstream, onward)
        except Problem as problem:
            return self._refuse(problem, accept)
        return self._held(answer, onward, accept)

    async def _wait_a_blink(self, ask: Ask, tenant: Tenant, onward: Onward) -> bytes:
        try:
            upstream = await self._door.enter(tenant, within_s=BLINK_S)
            answer = passage(upstream, onward)
        except (TenantNotReady, TenantAsleep, TenantFailed):
            return self._show(ask, self._door.find(plain_host(ask.host)) or tenant)
        except Problem as problem:
            return self._refuse(problem, ask.accept)
        return self._held(answer, onward, ask.accept)

    def _held(self, answer: bytes, onward: Onward, accept: bytes) -> bytes:
        """On it goes, unless what let it in was revoked while it waited."""
        if onward.by is not None:
            if not self._door.still(onward.by):
                return self._refuse(Unauthenticated("The credential isn't valid any more."), accept)
            self._note(onward.client, onward.by)
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


def _bearer(authorization: bytes) -> str:
    scheme, _, bearer = authorization.partition(b" ")
    return bearer.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""


def _address(client: bytes) -> str | None:
    """Of `192.0.2.7:4711 HTTP/1.1` the first part."""
    return client.partition(b" ")[0].rpartition(b":")[0].decode("ascii", "replace").strip("[]") or None


@lru_cache(maxsize=4096)
def _as_user(name: str) -> bytes:
    """A name as a header carries it."""
    return quote(name, safe="@+._-:").encode()[:300]


def _user(actor: Actor) -> bytes:
    """Who the tenant is told has come: a mail address, or a credential's id."""
    return _as_user(actor.name if actor.kind in (ActorKind.USER, ActorKind.ISSUED) else actor.id)


def _is_foreign(ask: Ask) -> bool:
    return is_foreign(
        method=ask.method,
        origin=ask.origin,
        site=ask.site,
        host=ask.host,
        navigates=ask.method == b"GET" and ask.destination == b"document",
    )


def _foreign() -> Problem:
    return ForeignOrigin("A page of another site asked for this.")


def _not_admitted(actor: Actor | None, tenant: Tenant) -> Problem:
    if actor is not None:
        return Forbidden("You may not enter this tenant.", hint="Its owner, or an operator, can make you a member.")
    return Unauthenticated(
        "This tenant wants to know who comes, and nothing that says so came with the request.",
        hint=f"Send `Authorization: Bearer KEY`; its operator makes one with `innkeeper key create {tenant.name}`.",
    )
