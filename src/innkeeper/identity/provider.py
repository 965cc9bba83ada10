"""An identity provider as it is configured here, and as it describes itself (OpenID Connect Discovery 1.0)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from innkeeper.core.addresses import is_loopback, is_safe
from innkeeper.core.identity_errors import IdentityProviderAway
from innkeeper.identity.documents import Documents
from innkeeper.identity.jwks import ALGORITHMS
from innkeeper.identity.kept import Kept

FRESH_S = 3600.0
STALE_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class ProviderConfig:
    """The provider at which people sign in, and what it knows us by."""

    name: str
    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    """None: a public client."""
    scopes: str = "openid email profile"
    role_claim: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_safe(self.issuer) or not self.client_id:
            raise ValueError("an https issuer and a client id are needed")


@dataclass(frozen=True, kw_only=True)
class Description:
    """What of a discovery document is used."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    algorithms: frozenset[str]
    """What it signs with, of what is safe; RS256 always may be."""
    names_itself: bool
    """Whether its answers carry `iss` (RFC 9207)."""
    secret_in_body: bool
    """Whether it takes a client's secret only so."""


class Provider:
    """Knows where things are at a provider."""

    def __init__(
        self, config: ProviderConfig, documents: Documents, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._documents = documents
        self._kept = Kept(self._fetch, fresh_s=FRESH_S, stale_s=STALE_S, now=now)

    async def describe(self) -> Description:
        """What it says of itself; raises IdentityProviderAway."""
        return await self._kept.get()

    async def keys_url(self) -> str:
        """Where its keys are; raises IdentityProviderAway."""
        return (await self.describe()).jwks_uri

    async def _fetch(self) -> Description:
        place = f"{self._config.issuer.rstrip('/')}/.well-known/openid-configuration"
        return described_by(await self._documents.get(place), self._config.issuer)


def described_by(document: Mapping[str, Any], issuer: str) -> Description:
    """The description in a discovery document; raises IdentityProviderAway for one that is another's, or wanting."""
    # Compared letter for letter (Discovery 4.3): else one provider could pass for another.
    if document.get("issuer") != issuer:
        raise IdentityProviderAway("the discovery document is another issuer's")
    userinfo = document.get("userinfo_endpoint")
    signs_with = _words(document, "id_token_signing_alg_values_supported")
    methods = _words(document, "token_endpoint_auth_methods_supported")
    return Description(
        authorization_endpoint=_endpoint(document, "authorization_endpoint", issuer),
        token_endpoint=_endpoint(document, "token_endpoint", issuer),
        jwks_uri=_endpoint(document, "jwks_uri", issuer),
        userinfo_endpoint=None if userinfo is None else _endpoint(document, "userinfo_endpoint", issuer),
        algorithms=(ALGORITHMS & signs_with) | {"RS256"},
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        secret_in_body="client_secret_post" in methods and "client_secret_basic" not in methods,
    )


def _endpoint(document: Mapping[str, Any], name: str, issuer: str) -> str:
    url = document.get(name)
    if not isinstance(url, str) or not is_safe(url):
        raise IdentityProviderAway(f"the discovery document has no safe {name}")
    # A provider out there has no business on this machine.
    if is_loopback(_host(url)) and not is_loopback(_host(issuer)):
        raise IdentityProviderAway(f"the discovery document points to this machine with its {name}")
    return url


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _words(document: Mapping[str, Any], name: str) -> frozenset[str]:
    value = document.get(name)
    return frozenset(word for word in value if isinstance(word, str)) if isinstance(value, list) else frozenset()
