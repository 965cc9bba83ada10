"""The use cases of integrations: a tenant's owner connects another service by OAuth 2 and disconnects it.

The way there and back belongs to one browser: it begins and ends in the same session, whose user may do this with that
tenant both times. So neither can a stranger have their own account connected to somebody's tenant, nor somebody else's
account to theirs. PKCE's secret never leaves the house.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from innkeeper.core.access import Action, Actor, allow, digest
from innkeeper.core.audit import entry
from innkeeper.core.errors import Conflict, Forbidden, Problem, UnknownTenant
from innkeeper.core.hosting import Hosting
from innkeeper.core.ids import new_id
from innkeeper.core.integration import Begun, Connection, Integration, KeptTokens, refusal
from innkeeper.core.integration_errors import (
    ConnectRefused,
    GrantRefused,
    IntegrationNotConnected,
    UnknownIntegration,
)
from innkeeper.core.integration_tokens import IntegrationTokens, secret_name
from innkeeper.core.people import Session
from innkeeper.core.ports import AuthorizationServers, Clock, Seals, SecretKeeping, Store, Transaction
from innkeeper.core.tenant import Tenant
from innkeeper.core.uses_reading import NAME

PATIENCE = timedelta(minutes=10)
"""How long somebody may take at the service."""
_VERIFIER = "integration verifier"
_CODE_MAX = 4096


class Integrations:
    """What tenants are connected to, for their owners; `token` is for the broker."""

    def __init__(
        self,
        configured: Mapping[str, Integration],
        *,
        store: Store,
        vault: SecretKeeping,
        servers: AuthorizationServers,
        tokens: IntegrationTokens,
        seals: Seals,
        hosting: Hosting,
        clock: Clock,
    ) -> None:
        self._configured = configured
        self._store = store
        self._vault = vault
        self._servers = servers
        self._tokens = tokens
        self._seals = seals
        self._hosting = hosting
        self._clock = clock

    def known(self, name: str) -> Integration:
        """The integration of that name; raises UnknownIntegration."""
        if name not in self._configured:
            raise UnknownIntegration(f"There is no integration {name[:60]!r}.")
        return self._configured[name]

    def back(self, name: str) -> str:
        """Where the service sends people back to. Each has a place of its own, so that no service can pass on what
        came from another (RFC 9700, 4.4)."""
        return f"{self._hosting.console_origin}/integrations/callback/{name}"

    async def token(self, name: str, tenant: Tenant) -> str:
        """The tenant's access token for that service, in the clear; see `IntegrationTokens.token`."""
        return await self._tokens.token(self.known(name), tenant)

    async def close(self) -> None:
        """Let what is under way end."""
        await self._tokens.close()

    async def all(self, tenant: str) -> Sequence[tuple[str, Integration | None, Connection | None]]:
        """By name: all that are configured, and what the tenant is connected to although it isn't any more."""
        async with self._store.look() as tx:
            await _tenant(tx, tenant)
            connections = {each.integration: each for each in await tx.integrations.of(tenant)}
        names = sorted({*self._configured, *connections})
        return [(name, self._configured.get(name), connections.get(name)) for name in names]

    async def begin(self, tenant: str, name: str, *, session: Session) -> str:
        """The service's page, where the user of that session says yes; good once and for ten minutes, and only for
        whoever comes back with the same session."""
        integration = self.known(name)
        now, state, verifier = self._clock.now(), secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        async with self._store.begin() as tx:
            there = await _tenant(tx, tenant)
            await tx.integrations.forget_begun(before=now)
            begun = Begun(
                digest=digest(state),
                tenant=there.name,
                tenant_id=there.id,
                integration=name,
                session=session.id,
                verifier=self._seals.seal(there.id, _VERIFIER, verifier.encode()),
                expires_at=now + PATIENCE,
            )
            await tx.integrations.begin(begun)
        return self._servers.page(integration, redirect_uri=self.back(name), state=state, verifier=verifier)

    async def finish(self, name: str, answer: Mapping[str, str], *, session: Session, actor: Actor) -> Connection:
        """Connect it by what came back from the service; however that ends, the state is spent.

        Raises ConnectRefused, Forbidden, GrantRefused, IntegrationAway.
        """
        begun = await self._taken(answer.get("state", ""))
        if begun is None or begun.expires_at <= self._clock.now():
            raise ConnectRefused("This way back was used before, or it took too long.")
        if (begun.session, begun.integration) != (session.id, name):
            raise ConnectRefused("This was begun in another browser, or for another service.")
        if not allow(actor, Action.SECRETS, begun.tenant):
            raise Forbidden(f"{actor.name} may not connect anything to {begun.tenant} any more.")
        async with self._store.look() as tx:
            tenant = await _tenant(tx, begun.tenant, begun.tenant_id)
        integration = self.known(name)
        verifier = self._seals.unseal(tenant.id, _VERIFIER, begun.verifier).decode()
        code = _code(integration, answer)
        now = self._clock.now()
        grant = await self._servers.exchange(integration, code, redirect_uri=self.back(name), verifier=verifier)
        connection = Connection(
            id=new_id("int"),
            tenant=tenant.name,
            tenant_id=tenant.id,
            integration=name,
            connected_by=actor.id,
            connected_as=actor.name,
            connected_at=now,
            scopes=integration.scopes if grant.scopes is None else grant.scopes,
        )
        kept = KeptTokens.of(grant, connection=connection.id, now=now)
        connection = replace(connection, expires_at=kept.ends)
        try:
            # In the vault first: a connection without tokens would be told as one that works.
            await self._tokens.keep(kept, tenant, name, actor=actor)
            async with self._store.begin() as tx:
                await _tenant(tx, tenant.name, tenant.id)
                await tx.integrations.put(connection)
                detail = {"integration": name, "scopes": list(connection.scopes), "expires_at": _told(connection)}
                await tx.audit(entry(actor, "integration.connect", at=now, of=tenant, detail=detail))
        except BaseException:
            await self._tokens.give_back(integration, kept)
            raise
        return connection

    async def disconnect(self, tenant: str, name: str, *, actor: Actor) -> bool:
        """Revoke the tokens where they came from, as far as that answers in time, and forget them in any case; whether
        the service has heard of it."""
        if not NAME.fullmatch(name):
            raise IntegrationNotConnected(f"{tenant} isn't connected to {name[:60]!r}.", hint="There is nothing to do.")
        async with self._store.look() as tx:
            there = await _tenant(tx, tenant)
            connection = await tx.integrations.find(tenant, name)
        integration = self._configured.get(name)
        try:
            kept = await self._tokens.kept(there, name)
        except Problem:  # unreadable, say: that must keep nobody from getting rid of it
            kept = None
        revoked = integration is not None and kept is not None and await self._tokens.give_back(integration, kept)
        async with self._store.begin() as tx:
            present = await tx.integrations.find(tenant, name)
            if present is not None and (connection is None or present.id != connection.id):
                raise Conflict(f"{tenant} was connected to {name} anew meanwhile.")
            if present is not None:
                await tx.integrations.drop(tenant, name)
                detail = {"integration": name, "revoked": revoked}
                now = self._clock.now()
                await tx.audit(entry(actor, "integration.disconnect", at=now, of=there, detail=detail))
        # Only now: tokens that are missed would be told as a connection that has broken.
        await self._vault.drop(secret_name(name), there, actor=actor)
        if connection is None and kept is None:
            raise IntegrationNotConnected(f"{tenant} isn't connected to {name[:60]}.", hint="There is nothing to do.")
        return revoked

    async def give_all_back(self, tenant: Tenant) -> Mapping[str, bool]:
        """Revoke all tokens of a tenant that is being erased, as far as the services answer in time; by integration,
        whether its service has heard of it. What is kept of them goes with the tenant."""
        async with self._store.look() as tx:
            names = [each.integration for each in await tx.integrations.of(tenant.name) if each.tenant_id == tenant.id]
        return dict(zip(names, await asyncio.gather(*(self._revoked(name, tenant) for name in names)), strict=True))

    async def _revoked(self, name: str, tenant: Tenant) -> bool:
        integration = self._configured.get(name)
        try:
            kept = await self._tokens.kept(tenant, name)
        except Problem:  # unreadable, say: nobody can use it then
            return False
        return integration is not None and kept is not None and await self._tokens.give_back(integration, kept)

    async def _taken(self, state: str) -> Begun | None:
        async with self._store.look() as tx:  # anybody may come with anything: that makes no writer wait
            known = await tx.integrations.has_begun(digest(state))
        if not known:
            return None
        async with self._store.begin() as tx:
            return await tx.integrations.take(digest(state))


def _code(integration: Integration, answer: Mapping[str, str]) -> str:
    """The code in what came back; raises GrantRefused."""
    if integration.issuer is not None and answer.get("iss", integration.issuer) != integration.issuer:
        raise GrantRefused("The answer is another service's.")
    if "error" in answer:
        raise GrantRefused(refusal(integration, answer["error"], answer.get("error_description")))
    code = answer.get("code", "")
    if not 0 < len(code) <= _CODE_MAX or not code.isprintable() or not code.isascii():
        raise GrantRefused(f"{integration.title} sent no code back.")
    return code


def _told(connection: Connection) -> str | None:
    return connection.expires_at.isoformat() if connection.expires_at else None


async def _tenant(tx: Transaction, name: str, id_: str | None = None) -> Tenant:
    """The tenant of that name; with an id, that very one."""
    tenant = await tx.tenant(name)
    if tenant is None or id_ not in (None, tenant.id):
        raise UnknownTenant(f"There is no tenant {name[:60]!r}.")
    return tenant
