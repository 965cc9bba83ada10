"""OAuth 2 with any service that is configured: the code flow with PKCE, refreshing, revoking.

The protocol's pieces are Authlib's; its clients are built on httpx and requests, neither of which is here
(docs/decisions/0005), so what goes over the network goes through the client that is given, with tight limits.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote_plus

import httpx2
from authlib.oauth2.auth import ClientAuth as Proof
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7009 import prepare_revoke_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from innkeeper.core.integration import ClientAuth, Grant, Integration
from innkeeper.core.integration_errors import GrantRefused, IntegrationAway
from innkeeper.integrations.answers import ask, grant_in

ClientSecret = Callable[[Integration], Awaitable[str | None]]
"""Finds what the integration's reference names; raises a Problem where there is nothing."""


class OAuthServers:
    """The core's `AuthorizationServers` over HTTP."""

    def __init__(self, client: httpx2.AsyncClient, *, client_secret: ClientSecret, timeout_s: float = 10.0) -> None:
        self._client = client
        self._client_secret = client_secret
        self._timeout_s = timeout_s

    def page(self, integration: Integration, *, redirect_uri: str, state: str, verifier: str) -> str:
        """The authorization request (RFC 6749, 4.1.1)."""
        url: str = prepare_grant_uri(
            integration.authorize_url,
            integration.client_id,
            "code",
            redirect_uri,
            " ".join(integration.scopes) or None,
            state,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
            **integration.parameters,
        )
        return url

    async def exchange(self, integration: Integration, code: str, *, redirect_uri: str, verifier: str) -> Grant:
        """Tokens for a code (RFC 6749, 4.1.3; RFC 7636, 4.5)."""
        body = prepare_token_request("authorization_code", redirect_uri=redirect_uri, code=code, code_verifier=verifier)
        return await self._grant(integration, body, hidden=(code, verifier))

    async def refresh(self, integration: Integration, refresh_token: str) -> Grant:
        """New tokens (RFC 6749, 6)."""
        body = prepare_token_request("refresh_token", refresh_token=refresh_token)
        return await self._grant(integration, body, hidden=(refresh_token,))

    async def revoke(self, integration: Integration, token: str, *, kind: str) -> bool:
        """Give a token back (RFC 7009, 2.1)."""
        if integration.revoke_url is None:
            return False
        body, headers = prepare_revoke_token_request(token, kind, "", {})
        status, _ = await self._ask(integration, integration.revoke_url, body, headers)
        if status != 200:
            raise IntegrationAway(f"{integration.title} answered {status} when told to revoke.")
        return True

    async def _grant(self, integration: Integration, body: str, *, hidden: tuple[str, ...]) -> Grant:
        status, answer = await self._ask(integration, integration.token_url, body, {})
        try:
            return grant_in(integration, status, answer)
        except GrantRefused as refused:
            said = refused.message
            for secret in hidden:  # some quote what they refuse
                said = said.replace(secret, "…")
            raise GrantRefused(said, final=refused.final) from None

    async def _ask(
        self, integration: Integration, url: str, body: str, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any] | None]:
        secret = await self._client_secret(integration)
        proof = Proof(integration.client_id, secret, _PROOFS[integration.client_auth])
        _, headers, body = proof.prepare("POST", url, headers, body)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return await ask(self._client, url, body, headers, title=integration.title, timeout_s=self._timeout_s)


def _basic(client: Any, _method: str, url: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:
    # Form-encoded first (RFC 6749, 2.3.1), which Authlib forgets, and which matters for a `%` or a `:`.
    words = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    return url, {**headers, "Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}, body


_PROOFS: dict[ClientAuth, Any] = {
    ClientAuth.BASIC: _basic,
    ClientAuth.POST: "client_secret_post",
    ClientAuth.NONE: "none",
}
