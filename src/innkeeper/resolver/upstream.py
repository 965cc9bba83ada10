"""The name servers that the host asks, asked on a tenant's behalf."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode

EACH_S, IN_ALL_S = 2.0, 6.0
"""How long one server may take, and all of them."""
LOOK_AGAIN_S = 30.0
"""How often to look who they are: a host's may change while we run."""
_BAD = frozenset({dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP})


class NobodyAnswers(Exception):
    """No name server of the host's answers."""


class Upstream(Protocol):
    """Answers questions."""

    async def ask(self, question: dns.message.QueryMessage) -> dns.message.Message:
        """The answer; raises NobodyAnswers."""
        ...


class HostServers:
    """One server after the other, as the host itself asks them."""

    def __init__(self, servers: Callable[[], Sequence[str]], *, port: int = 53) -> None:
        self._look = servers
        self._port = port
        self._servers: Sequence[str] = ()
        self._looked_at = float("-inf")

    async def ask(self, question: dns.message.QueryMessage) -> dns.message.Message:
        """The first answer that is one; the last refusal where there is none."""
        answer: dns.message.Message | None = None
        try:
            async with asyncio.timeout(IN_ALL_S):
                for server in await self._now():
                    answer = await self._ask(question, server) or answer
                    if answer is not None and answer.rcode() not in _BAD:
                        break
        except TimeoutError:
            pass
        if answer is None:
            raise NobodyAnswers("No name server of the host's answers.")
        return answer

    async def _ask(self, question: dns.message.QueryMessage, server: str) -> dns.message.Message | None:
        try:
            answer, _ = await dns.asyncquery.udp_with_fallback(
                question, server, timeout=EACH_S, port=self._port, ignore_unexpected=True, ignore_errors=True
            )
        except (dns.exception.DNSException, OSError, EOFError):
            return None
        return answer

    async def _now(self) -> Sequence[str]:
        now = asyncio.get_running_loop().time()
        if now - self._looked_at > LOOK_AGAIN_S:
            self._servers = await asyncio.to_thread(self._look)
            self._looked_at = now
        return self._servers
