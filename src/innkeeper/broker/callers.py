"""Who calls: a token is only good from the address of the tenant that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from innkeeper.core.errors import Unauthenticated
from innkeeper.core.tenant import Tenant
from innkeeper.core.uses import NO_USES, Uses

_TOKEN_LEAST = 12
"""Shorter than any token of ours; what is shorter still may be any word."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The tenant that lives at an address of the tenants' network."""

    tenant: str
    tenant_id: str
    epoch: int
    """Which generation of its derived tokens is valid."""
    record: Tenant | None = field(default=None, compare=False, repr=False)
    """All that is known of the tenant: what it may use, and whose secrets are looked up for it."""

    @property
    def uses(self) -> Uses:
        """What its agent may use."""
        return self.record.spec.uses if self.record else NO_USES


class Callers(Protocol):
    """What the broker has to know about tenants."""

    def find(self, address: str) -> Caller | None:
        """The tenant whose instance has this address."""
        ...

    def verify(self, token: str, tenant_id: str, epoch: int) -> bool:
        """Whether the token is this tenant's own, told in constant time."""
        ...


def identify(callers: Callers, address: str, headers: Mapping[str, str]) -> Caller:
    """The tenant that calls, or Unauthenticated: the same words whatever was wrong, so that nothing can be probed."""
    caller = callers.find(address)
    if caller is not None:
        for token in _tokens(headers):
            if callers.verify(token, caller.tenant_id, caller.epoch):
                return caller
    raise Unauthenticated(
        "The broker token is missing, or isn't valid from this address.",
        hint="Send the tenant's own token from inside its container, as `Authorization: Bearer` or `x-api-key`.",
    )


def presented(headers: Mapping[str, str]) -> list[str]:
    """What may be a broker's token among the headers, so that it is never sent on anywhere."""
    return [token for token in _tokens(headers) if len(token) >= _TOKEN_LEAST]


def _tokens(headers: Mapping[str, str]) -> Iterator[str]:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        yield bearer.strip()
    if api_key := headers.get("x-api-key", "").strip():
        yield api_key
