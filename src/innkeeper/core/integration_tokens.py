"""A tenant's access tokens for other services, refreshed before they end: once, however many ask and wherever.

A refresh token that changes at each use (RFC 9700, 4.14) ends the whole connection when it is used twice. So within one
process everybody waits for one flight, and among control planes a claim on the row says who flies. It ends by itself
when its holder dies. Tokens that have come and couldn't be kept are kept at the next chance.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from innkeeper.core.access import SYSTEM, Actor
from innkeeper.core.audit import Entry, entry
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus, ConnectionBroken
from innkeeper.core.integration import Connection, Integration, KeptTokens, Standing
from innkeeper.core.integration_errors import (
    GrantRefused,
    IntegrationAway,
    IntegrationBroken,
    IntegrationNotConnected,
)
from innkeeper.core.ports import AuthorizationServers, Clock, SecretKeeping, Store
from innkeeper.core.secret_errors import SecretMissing
from innkeeper.core.tenant import Tenant

CLAIM = timedelta(seconds=40)
"""More than a refresh may take: whoever holds a claim for longer has died, or stood still."""
WAIT_S = 15.0
"""How long a caller waits for the flight of another control plane."""
LOOK_EVERY_S = 0.1
REVOKE_S = 5.0
"""How long a service may take to hear that it is over."""
RETRY_FIRST_S, RETRY_MOST_S = 5.0, 300.0
"""Between refreshes that come to nothing: twice as long each time."""


def secret_name(integration: str) -> str:
    """What the tokens are called in the tenant's vault."""
    return f"integration.{integration}"


class IntegrationTokens:
    """Gives the broker tokens that are good."""

    def __init__(
        self,
        *,
        store: Store,
        vault: SecretKeeping,
        servers: AuthorizationServers,
        bus: Bus,
        clock: Clock,
        hide: Callable[[str], None] = lambda _: None,
        tell: Callable[[str, Connection, str], None] = lambda *_: None,
    ) -> None:
        self._store = store
        self._vault = vault
        self._servers = servers
        self._bus = bus
        self._clock = clock
        self._hide = hide
        self._tell = tell
        """How a refresh ended, of which connection, and what there is to say: `done`, `failed` or `broken`."""
        self._flights: dict[tuple[str, str], asyncio.Task[str]] = {}
        self._unkept: dict[str, KeptTokens] = {}
        """By connection: what came when the vault or the store didn't answer."""

    async def token(self, integration: Integration, tenant: Tenant) -> str:
        """An access token that is good now, and for a minute more where the service plays along.

        Raises IntegrationNotConnected; IntegrationBroken, from when a refresh was refused for good until its owner
        connects it again; IntegrationAway, while the service gives no new token and the old one is over.
        """
        connection = await self._connection(integration, tenant)
        kept = await self._kept(connection, tenant)
        if kept.is_fresh(self._clock.now()) and connection.id not in self._unkept:
            return kept.access_token
        try:
            if kept.refresh_token is None:
                return await self._unrefreshed(integration, connection, kept)
            _check_retry(connection, integration, self._clock)
            return await self._joined(integration, tenant)
        except (IntegrationBroken, IntegrationNotConnected):
            raise
        except Problem:
            if kept.is_good(self._clock.now()):
                return kept.access_token
            raise

    async def keep(self, kept: KeptTokens, tenant: Tenant, integration: str, *, actor: Actor) -> None:
        """Put tokens into the vault."""
        self._hidden(kept)
        await self._vault.keep(secret_name(integration), kept.dumps(), tenant, actor=actor)

    async def kept(self, tenant: Tenant, integration: str) -> KeptTokens | None:
        """The tokens in the vault; None where there are none that can be read."""
        try:
            kept = KeptTokens.loads(await self._vault.reveal(secret_name(integration), tenant))
        except (SecretMissing, ValueError):
            return None
        self._hidden(kept)
        return kept

    async def give_back(self, integration: Integration, kept: KeptTokens) -> bool:
        """Whether the service has heard that its tokens are to be good no more: with a refresh token all that came of
        it (RFC 7009, 2.1)."""
        token, kind = kept.access_token, "access_token"
        if kept.refresh_token is not None:
            token, kind = kept.refresh_token, "refresh_token"
        try:
            async with asyncio.timeout(REVOKE_S):
                return await self._servers.revoke(integration, token, kind=kind)
        except (TimeoutError, Problem):
            return False

    async def close(self) -> None:
        """Let flights end: what a service has answered would be lost with them."""
        if self._flights:
            await asyncio.wait(tuple(self._flights.values()))

    def _hidden(self, kept: KeptTokens) -> None:
        for secret in (kept.access_token, kept.refresh_token):
            if secret is not None:
                self._hide(secret)

    async def _connection(self, integration: Integration, tenant: Tenant) -> Connection:
        async with self._store.look() as tx:
            connection = await tx.integrations.find(tenant.name, integration.name)
        return _usable(connection, integration, tenant)

    async def _kept(self, connection: Connection, tenant: Tenant) -> KeptTokens:
        kept = self._unkept.get(connection.id) or await self.kept(tenant, connection.integration)
        if kept is None:
            why = "Its tokens aren't in the vault."
            raise IntegrationBroken(why) if await self._broke(connection, why) else IntegrationNotConnected(why)
        if kept.connection != connection.id:
            raise IntegrationAway(
                f"{connection.integration} is being connected anew.", hint="If it stays so, connect it again."
            )
        return kept

    async def _unrefreshed(self, integration: Integration, connection: Connection, kept: KeptTokens) -> str:
        if kept.is_good(self._clock.now()):
            return kept.access_token
        why = "The token has ended, and the service gave none to refresh it with."
        await self._broke(connection, why)
        raise _broken(integration, why)

    async def _joined(self, integration: Integration, tenant: Tenant) -> str:
        key = tenant.id, integration.name
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._refresh(integration, tenant), name=f"refresh {integration.name}")
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(flight)  # whoever hangs up takes nobody else's answer away

    def _landed(self, key: tuple[str, str], flight: asyncio.Task[str]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # also where nobody waits for it any more

    async def _refresh(self, integration: Integration, tenant: Tenant) -> str:
        for _ in range(round(WAIT_S / LOOK_EVERY_S)):
            kept = await self._kept(await self._connection(integration, tenant), tenant)
            claimed = await self._claimed(integration, tenant, kept)
            if claimed is not None:
                return await self._flown(integration, tenant, claimed, kept)
            if kept.is_good(self._clock.now()):
                return kept.access_token
            await asyncio.sleep(LOOK_EVERY_S)
        raise IntegrationAway(f"Another control plane is asking {integration.title} for a token.")

    async def _claimed(self, integration: Integration, tenant: Tenant, kept: KeptTokens) -> Connection | None:
        """The row, ours for a while; None: somebody else has it, or has newer tokens, which the vault tells soon."""
        now = self._clock.now()
        async with self._store.begin() as tx:
            present = _usable(await tx.integrations.find(tenant.name, integration.name), integration, tenant)
            _check_retry(present, integration, self._clock)
            if present.id != kept.connection or present.generation > kept.generation:
                return None
            # One that has more to go than there is was taken by a clock that was set back since.
            if present.claim_until is not None and now < present.claim_until <= now + CLAIM:
                return None
            claimed = replace(present, claim=secrets.token_hex(8), claim_until=now + CLAIM)
            await tx.integrations.put(claimed)
        return claimed

    async def _flown(self, integration: Integration, tenant: Tenant, claimed: Connection, kept: KeptTokens) -> str:
        if claimed.id in self._unkept:
            await self._save(integration, tenant, claimed, kept)
            return kept.access_token if kept.is_fresh(self._clock.now()) else await self._refresh(integration, tenant)
        if kept.is_fresh(self._clock.now()):  # another flight has ended since its caller looked
            await self._write(claimed, generation=kept.generation, expires_at=kept.ends)
            return kept.access_token
        kept = self._unkept[claimed.id] = await self._asked(integration, claimed, kept)
        await self._save(integration, tenant, claimed, kept)
        return kept.access_token

    async def _asked(self, integration: Integration, claimed: Connection, kept: KeptTokens) -> KeptTokens:
        """What the service gives for the refresh token; what it says instead is written down first."""
        try:
            grant = await self._servers.refresh(integration, kept.refresh_token or "")
        except GrantRefused as refused:
            if not refused.final:  # of our client, not of this grant: operators can mend that
                raise await self._failed(integration, claimed, refused) from refused
            if not await self._broke(claimed, refused.message):
                raise IntegrationAway(f"{integration.title} was connected or refreshed elsewhere.") from refused
            raise _broken(integration, refused.message) from refused
        except Problem as problem:  # it doesn't answer, or our own secret isn't there
            raise await self._failed(integration, claimed, problem) from problem
        self._tell("done", claimed, "")
        return KeptTokens.of(grant, connection=claimed.id, now=self._clock.now(), before=kept)

    async def _save(self, integration: Integration, tenant: Tenant, claimed: Connection, kept: KeptTokens) -> None:
        name, now = claimed.integration, self._clock.now()
        async with self._store.look() as tx:
            present = await tx.integrations.find(tenant.name, name)
        if present is None or present.id != claimed.id:
            del self._unkept[claimed.id]
            await self.give_back(integration, kept)
            raise IntegrationNotConnected(f"{tenant.name} was disconnected from {name} meanwhile.")
        if present.generation == claimed.generation:  # else we stood still, and somebody else has newer ones
            await self.keep(kept, tenant, name, actor=SYSTEM)
            kept_now = await self._write(
                claimed,
                standing=Standing.CONNECTED,
                generation=kept.generation,
                expires_at=kept.ends,
                refreshed_at=now,
                failures=0,
                retry_at=None,
                error=None,
            )
            if not kept_now:
                await self._drop_orphan(tenant, name)
        del self._unkept[claimed.id]

    async def _drop_orphan(self, tenant: Tenant, name: str) -> None:
        """Take out of the vault what was put there just after somebody had disconnected it."""
        async with self._store.look() as tx:
            if await tx.integrations.find(tenant.name, name) is not None:
                return
        await self._vault.drop(secret_name(name), tenant, actor=SYSTEM)

    async def _failed(self, integration: Integration, claimed: Connection, problem: Problem) -> IntegrationAway:
        """Write down that it came to nothing, and when to try again."""
        wait_s = min(RETRY_FIRST_S * 2 ** min(claimed.failures, 10), RETRY_MOST_S)
        self._tell("failed", claimed, problem.message)
        await self._write(
            claimed,
            failures=claimed.failures + 1,
            retry_at=self._clock.now() + timedelta(seconds=wait_s),
            error=problem.message,
        )
        return IntegrationAway(f"{integration.title} gives no new token: {problem.message}")

    async def _broke(self, connection: Connection, why: str) -> bool:
        """It is over until the owner connects it again, who is told; False: it is another by now, or newer."""
        line = entry(
            SYSTEM,
            "integration.broken",
            at=self._clock.now(),
            tenant=connection.tenant,
            tenant_id=connection.tenant_id,
            detail={"integration": connection.integration, "why": why},
        )
        if not await self._write(connection, line=line, standing=Standing.BROKEN, error=why):
            return False
        self._tell("broken", connection, why)
        self._bus.publish(ConnectionBroken(tenant=connection.tenant, integration=connection.integration, why=why))
        return True

    async def _write(self, claimed: Connection, *, line: Entry | None = None, **changes: Any) -> bool:
        """Change the row and give the claim back; False: it is another connection by now, or newer."""
        async with self._store.begin() as tx:
            present = await tx.integrations.find(claimed.tenant, claimed.integration)
            if present is None or (present.id, present.generation) != (claimed.id, claimed.generation):
                return False
            if present.claim == claimed.claim:
                present = replace(present, claim=None, claim_until=None)
            await tx.integrations.put(replace(present, **changes))
            if line is not None:
                await tx.audit(line)
        return True


def _usable(connection: Connection | None, integration: Integration, tenant: Tenant) -> Connection:
    if connection is None or connection.tenant_id != tenant.id:
        raise IntegrationNotConnected(f"{tenant.name} isn't connected to {integration.title}.")
    if connection.standing is Standing.BROKEN:
        raise _broken(integration, connection.error or "its token has ended")
    return connection


def _broken(integration: Integration, why: str) -> IntegrationBroken:
    return IntegrationBroken(f"The connection to {integration.title} is broken: {why}")


def _check_retry(connection: Connection, integration: Integration, clock: Clock) -> None:
    if connection.retry_at is not None and clock.now() < connection.retry_at:
        at = connection.retry_at.isoformat(timespec="seconds")
        raise IntegrationAway(
            f"{integration.title} gave no new token: {connection.error}", hint=f"It is asked again from {at} on."
        )
