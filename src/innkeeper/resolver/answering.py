"""Answers tenants' questions: by their mode and list, which are read at each of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Address

import dns.rcode
import structlog
from dns.message import Message

from innkeeper.core.egress import may_reach, on_list
from innkeeper.core.errors import Problem
from innkeeper.core.ports import WaysOut
from innkeeper.core.tenant import Tenant
from innkeeper.core.uses import EgressMode
from innkeeper.resolver import wire
from innkeeper.resolver.turns import Turns
from innkeeper.resolver.upstream import NobodyAnswers, Upstream

log = structlog.get_logger("innkeeper.resolver")

SILENT_S = 60.0
"""After a failure was logged, others aren't for so long: they are counted."""
NOTED_MAX = 253
"""Of a longer name, which only one with escapes can be, its end is written down: that says whose it is."""
FindTenant = Callable[[str], Tenant | None]
"""The tenant at an address, as it is now."""
Note = Callable[[Tenant, str, bool], None]
"""Told of each name that is asked for, and whether it was refused."""


class Outcome(StrEnum):
    """What became of a question."""

    ANSWERED = "answered"
    REFUSED = "refused"  # a name that isn't on the list, or a kind of question that nobody gets answered
    UNREADABLE = "unreadable"
    FAILED = "failed"  # nobody answers, or the way couldn't be opened
    DROPPED = "dropped"  # too many at once, or of nobody who is watched


class NameServer:
    """What stands behind the sockets; bounded for each tenant and in all."""

    def __init__(
        self,
        *,
        find: FindTenant,
        upstream: Upstream,
        ways_out: WaysOut,
        is_closed: Callable[[IPv4Address], bool],
        note: Note,
        count: Callable[[Outcome], object] = lambda outcome: None,
    ) -> None:
        self._find = find
        self._upstream = upstream
        self._ways_out = ways_out
        self._is_closed = is_closed
        self._note = note
        self._count = count
        self._turns = Turns()
        self._silent_until = 0.0

    async def answer(self, address: str, question: bytes, *, over_tcp: bool = False) -> bytes | None:
        """What to send back; None: nothing."""
        tenant = self._find(address)
        if tenant is None or tenant.spec.uses.egress.mode is EgressMode.OFF:
            # Redirected a moment before it was let off, or nobody's at all: it asks again.
            self._count(Outcome.DROPPED)
            return None
        with self._turns.of(tenant.id) as granted:
            if not granted:
                self._count(Outcome.DROPPED)
                return None
            try:
                query = wire.read(question)
            except wire.Unreadable as unreadable:
                self._count(Outcome.UNREADABLE)
                return unreadable.answer
            response = await self._respond(tenant, address, query)
        return wire.packed(query, response, over_tcp=over_tcp)

    async def _respond(self, tenant: Tenant, address: str, query: wire.Query) -> Message:
        enforced = tenant.spec.uses.egress.mode is EgressMode.ENFORCE
        allowed = may_reach(tenant, query.name)
        self._note(tenant, query.name[-NOTED_MAX:], not allowed)
        if not allowed:
            self._count(Outcome.REFUSED)
            return wire.refusal(query, dns.rcode.NXDOMAIN, blocked=True)
        if query.kind in wire.NEVER or (enforced and query.kind not in wire.PASSED | wire.EMPTY):
            self._count(Outcome.REFUSED)
            return wire.refusal(query, dns.rcode.REFUSED)
        if enforced and query.kind in wire.EMPTY:
            self._count(Outcome.ANSWERED)
            return wire.refusal(query, dns.rcode.NOERROR)
        try:
            said = await self._upstream.ask(wire.forwarded(query))
            response = await self._opened(tenant, address, query, said) if enforced else wire.passed_on(query, said)
        except (NobodyAnswers, Problem) as problem:
            self._failed(tenant, problem)
            return wire.refusal(query, dns.rcode.SERVFAIL)
        self._count(Outcome.ANSWERED)
        return response

    def _failed(self, tenant: Tenant, problem: Exception) -> None:
        self._count(Outcome.FAILED)
        now = time.monotonic()
        if now > self._silent_until:  # whoever asks has no say in how much we log
            self._silent_until = now + SILENT_S
            log.warning("names aren't looked up", tenant=tenant.name, problem=str(problem))

    async def _opened(self, tenant: Tenant, address: str, query: wire.Query, said: Message) -> Message:
        """The answer, with the way to each of its addresses open before anybody knows them."""
        response, addresses = wire.narrowed(query, said, self._is_closed)
        if addresses:
            await self._ways_out.open(tenant.slot, query.name, addresses)
            now = self._find(address)
            if now is None or now.id != tenant.id or not may_reach(now, query.name):
                # The list was changed meanwhile, and what it shut has just been opened again.
                await self._ways_out.shut(tenant.slot, but=lambda name: now is not None and on_list(now, name))
                return wire.refusal(query, dns.rcode.NXDOMAIN, blocked=True)
        return response
