"""What the core needs for integrations: rows in the store, and a voice to ask the services with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from innkeeper.core.integration import Begun, Connection, Grant, Integration


class IntegrationRows(Protocol):
    """The tenants' connections and those that were begun, within a transaction. They go with their tenant; what was
    begun goes with its session, too."""

    async def of(self, tenant: str) -> Sequence[Connection]:
        """By integration."""
        ...

    async def find(self, tenant: str, integration: str) -> Connection | None: ...

    async def put(self, connection: Connection) -> None:
        """In place of what there was with that tenant and integration; raises UnknownTenant."""
        ...

    async def drop(self, tenant: str, integration: str) -> bool: ...

    async def begin(self, begun: Begun) -> None:
        """In place of what the session has begun with that tenant and integration; raises UnknownTenant."""
        ...

    async def has_begun(self, digest: str) -> bool: ...

    async def take(self, digest: str) -> Begun | None:
        """What was begun with that state, which is gone with that: of two who ask one gets it."""
        ...

    async def forget_begun(self, *, before: datetime) -> int:
        """Drop those whose time was over by then; how many."""
        ...


class AuthorizationServers(Protocol):
    """OAuth 2 as a client speaks it (RFC 6749, 7636, 7009), with any service that is configured.

    Each call ends within a bounded time and raises IntegrationAway where there is no answer to be had, or none that
    makes sense; GrantRefused where the service says no. Neither ever holds a secret. Nothing is tried twice: a code,
    and with many services a refresh token, is good for one use.
    """

    def page(self, integration: Integration, *, redirect_uri: str, state: str, verifier: str) -> str:
        """Where a person says yes, with the challenge of `verifier` (S256)."""
        ...

    async def exchange(self, integration: Integration, code: str, *, redirect_uri: str, verifier: str) -> Grant:
        """Tokens for the code that came back."""
        ...

    async def refresh(self, integration: Integration, refresh_token: str) -> Grant:
        """New tokens; without a refresh token among them the old one stays good."""
        ...

    async def revoke(self, integration: Integration, token: str, *, kind: str) -> bool:
        """Give a token back, `refresh_token` or `access_token`; False where the service offers no way to."""
        ...
