"""Providers' keys: looked up when a call needs one, tried in turn, and left alone for a while once refused."""

from __future__ import annotations

import os
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import structlog

from innkeeper.broker.problems import KeyUnavailable
from innkeeper.core.errors import Problem
from innkeeper.core.ports.secrets import Secrets
from innkeeper.core.tenant import Tenant

_log = structlog.get_logger(__name__)

REST_S = 20.0
"""How long a key rests when the provider doesn't say."""
REST_MAX_S = 60.0
"""At most: a key that was replaced in the vault isn't shunned for longer, whatever the provider said of the old one."""
_RESTS_MAX = 10_000
TRIES_MAX = 4
"""Of one call: whoever has more keys than that has the others tried when these are at rest."""

_REFERENCE = re.compile(r"\$\{(secret|env|integration):([^}]+)\}")

Tokens = Callable[[str, Tenant], Awaitable[str]]
"""A tenant's access token of an integration, by the integration's name; raises Problem."""


class Lookup:
    """What a reference in a provider's configuration stands for."""

    def __init__(self, secrets: Secrets, integrations: Tokens | None = None) -> None:
        self._secrets = secrets
        self._integrations = integrations

    async def value(self, reference: str, tenant: Tenant | None) -> str:
        """The key; of the tenant's vault or, with None, of the platform's or the process's environment.

        Raises what the vault raises, and KeyUnavailable for what can't be looked up there.
        """
        found = _REFERENCE.fullmatch(reference)
        match found.groups() if found else ():
            case ("secret", name):
                return (await self._secrets.reveal(name, tenant)).strip()
            case ("env", name) if tenant is None and os.environ.get(name, "").strip():
                return os.environ[name].strip()
            case ("integration", name) if tenant is not None and self._integrations is not None:
                return await self._integrations(name, tenant)
        raise KeyUnavailable("The reference leads nowhere.")


class Rests:
    """Which keys are resting; in memory, for all providers."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._until: dict[tuple[str, ...], float] = {}

    def begin(self, key: tuple[str, ...], seconds: float | None) -> None:
        """Let it rest, for `seconds` or the usual time, within bounds."""
        if len(self._until) >= _RESTS_MAX:
            now = self._now()
            self._until = {each: until for each, until in self._until.items() if until > now}
        if len(self._until) < _RESTS_MAX:
            self._until[key] = self._now() + min(REST_S if seconds is None else max(0.0, seconds), REST_MAX_S)

    def end(self, key: tuple[str, ...]) -> None:
        """It was taken again."""
        self._until.pop(key, None)

    def left_s(self, key: tuple[str, ...]) -> float:
        """How much longer it rests; 0: it doesn't."""
        return max(0.0, self._until.get(key, 0.0) - self._now())


class Key:
    """One key that may be tried."""

    def __init__(self, value: str, rests: Rests | None = None, place: tuple[str, ...] = ()) -> None:
        self.value = value
        self._rests = rests
        self._place = place

    def refused(self, retry_after_s: float | None) -> None:
        """The provider said no to the key itself, or that it is used too much: the others go first for a while."""
        if self._rests is not None:
            self._rests.begin(self._place, retry_after_s)

    def taken(self) -> None:
        """The provider took it."""
        if self._rests is not None:
            self._rests.end(self._place)


class Keychain:
    """The keys of one provider, in their order."""

    def __init__(
        self,
        references: Sequence[str],
        *,
        lookup: Lookup,
        rests: Rests,
        provider: str,
        tenant: Tenant | None,
    ) -> None:
        self._references = references
        self._lookup = lookup
        self._rests = rests
        self._provider = provider
        self._tenant = tenant

    async def in_turn(self) -> AsyncGenerator[Key]:
        """Those that don't rest, in their order; if all do, the one that is free first. KeyUnavailable: there is none.

        Each is looked up only when it is its turn. A provider without keys gets an empty one.
        """
        if not self._references:
            yield Key("")
            return
        last: Problem | None = None
        given = 0
        for reference in self._order():
            try:
                value = _sendable(await self._lookup.value(reference, self._tenant))
            except Problem as problem:
                last = problem
                _log.warning("key unavailable", provider=self._provider, code=problem.code, tenant=self._owner)
                continue
            yield Key(value, self._rests, self._place(reference))
            given += 1
            if given == TRIES_MAX:
                return
        if not given:
            raise KeyUnavailable(f"A key for the provider ({self._provider}) can't be had.") from last

    def _order(self) -> list[str]:
        left = {reference: self._rests.left_s(self._place(reference)) for reference in self._references}
        return [reference for reference, left_s in left.items() if not left_s] or [min(left, key=lambda ref: left[ref])]

    @property
    def _owner(self) -> str:
        return self._tenant.name if self._tenant else ""

    def _place(self, reference: str) -> tuple[str, ...]:
        return (self._tenant.id if self._tenant else "", self._provider, reference)


def _sendable(value: str) -> str:
    """The value, or KeyUnavailable: what isn't printable ASCII can't stand in a header."""
    if not value or not value.isascii() or not value.isprintable():
        raise KeyUnavailable("The secret can't be sent as a key: it is empty, or holds more than printable ASCII.")
    return value


class FixedKey:
    """One key that the settings hold themselves."""

    def __init__(self, value: str = "") -> None:
        self._value = value

    async def in_turn(self) -> AsyncGenerator[Key]:
        """That one."""
        yield Key(self._value)
