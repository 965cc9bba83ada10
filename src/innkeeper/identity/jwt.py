"""Bearer tokens of one outside issuer (RFC 7519, by the advice of RFC 8725), as Supabase and its like give them."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwt import JWTClaimsRegistry

from innkeeper.core.addresses import is_safe
from innkeeper.core.identity import TENANT_ROLES, Claims
from innkeeper.core.identity_errors import IdentityProviderAway, TokenRefused
from innkeeper.identity import jwks, signed
from innkeeper.identity.claims import found, mail_from, name_from, role_from, subject_from, tenants_from
from innkeeper.identity.documents import Documents

LEEWAY_S = 30
"""How far the issuer's clock may be from ours."""
KNOWN_FOR_S = 300.0
"""How long a verified token isn't verified again, so that withdrawing a key takes effect this much later at most."""
KNOWN_LIMIT = 10_000
SECRET_BYTES = 32
"""RFC 7518, 3.2: a key of the hash's size or larger."""
_SHARED = frozenset({"HS256"})
_PUBLISHED = frozenset({"RS256", "ES256"})
_NEVER = 2.0**53


@dataclass(frozen=True, kw_only=True)
class IssuerConfig:
    """Whose tokens are believed, and what their claims mean. Either a shared secret or an address of public keys."""

    issuer: str
    audience: str
    name: str = "outside issuer"
    secret: bytes | None = field(default=None, repr=False)
    jwks_url: str | None = None
    algorithms: frozenset[str] = frozenset()
    """Empty: HS256 with a secret, RS256 and ES256 with published keys."""
    role_claim: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    """From the claim's words to the platform's roles; other words grant nothing."""
    tenants_claim: str | None = None
    tenant_role: str = "member"
    """What a tenant is given with that is named without a role."""
    tenant_roles: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience:
            raise ValueError("an issuer and an audience are needed")
        if (self.secret is None) == (self.jwks_url is None):
            raise ValueError("either a shared secret or the address of the issuer's keys is needed, not both")
        if self.secret is not None and len(self.secret) < SECRET_BYTES:
            raise ValueError(f"the shared secret needs {SECRET_BYTES} bytes or more")
        if self.jwks_url is not None and not is_safe(self.jwks_url):
            raise ValueError("the address of the issuer's keys must be https")
        # Were both kinds allowed at once, a public key could be taken for a shared secret.
        if not self.algorithms <= (_SHARED if self.secret is not None else jwks.ALGORITHMS):
            raise ValueError("the algorithms don't fit the kind of key")
        if self.tenant_role not in TENANT_ROLES:
            raise ValueError(f"a tenant's roles are {', '.join(TENANT_ROLES)}")

    @property
    def allowed(self) -> frozenset[str]:
        """The algorithms that a token may name."""
        return self.algorithms or (_SHARED if self.secret is not None else _PUBLISHED)


class IssuedTokens:
    """The core's `OutsideTokens`: verifies a token once, then knows it for a while."""

    def __init__(
        self,
        config: IssuerConfig,
        *,
        documents: Documents | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._documents = documents or Documents()
        self._now = now
        self._keys = jwks.KeySet(self._documents, self._where, now=monotonic)
        self._known: OrderedDict[bytes, tuple[Claims, float]] = OrderedDict()

    def known(self, token: str) -> Claims | None:
        """What a token says that was verified within five minutes and hasn't expired since."""
        if not self._known or not signed.resembles(token):
            return None
        digest = _digest(token)
        claims, until = self._known.get(digest, (None, 0.0))
        if claims is not None and until <= self._now():
            del self._known[digest]
            return None
        return claims

    async def verify(self, token: str) -> Claims:
        """What a token says; raises TokenRefused."""
        if (before := self.known(token)) is not None:
            return before
        try:
            header = signed.read_header(token, self._config.allowed)
            claims = self._judged(signed.read_claims(token, header, await self._key(header)))
        except signed.NotTrusted as error:
            raise TokenRefused(str(error)) from error
        except IdentityProviderAway as problem:
            raise TokenRefused(f"the issuer's keys can't be had: {problem.reason}") from problem
        self._remember(token, claims)
        return claims

    async def close(self) -> None:
        """Close the connections."""
        await self._documents.close()

    async def _where(self) -> str:
        return self._config.jwks_url or ""

    async def _key(self, header: signed.Header) -> signed.Key:
        if self._config.secret is not None:
            return self._config.secret
        return await self._keys.require(header.key_id, header.algorithm)

    def _judged(self, claims: Mapping[str, Any]) -> Claims:
        config = self._config
        registry = JWTClaimsRegistry(
            now=int(self._now()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": config.issuer},
            aud={"essential": True, "value": config.audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            registry.validate(dict(claims))
        except JoseError as error:
            raise signed.NotTrusted(f"its claims don't hold: {error.error}") from error
        subject = subject_from(claims["sub"])
        if subject is None:
            raise signed.NotTrusted("its subject can't be one")
        return Claims(
            issuer=config.issuer,
            subject=subject,
            expires_at=float(min(claims["exp"], _NEVER)),
            mail=mail_from(claims.get("email")),
            mail_verified=claims.get("email_verified") is True,
            name=name_from(claims.get("name")),
            role=role_from(found(claims, config.role_claim), config.roles) if config.role_claim else None,
            tenants=tenants_from(
                found(claims, config.tenants_claim), default=config.tenant_role, roles=config.tenant_roles
            )
            if config.tenants_claim
            else {},
        )

    def _remember(self, token: str, claims: Claims) -> None:
        self._known[_digest(token)] = (claims, min(claims.expires_at, self._now() + KNOWN_FOR_S))
        while len(self._known) > KNOWN_LIMIT:
            self._known.popitem(last=False)


def _digest(token: str) -> bytes:
    # So that a look into the memory, or a dump of it, gives no credentials away.
    return hashlib.sha256(token.encode()).digest()
