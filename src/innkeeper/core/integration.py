"""An integration (another service that hands out tokens by OAuth 2), and a tenant's connection to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from innkeeper.core.redaction import redact

EARLY_S = 60.0
"""How long before its end a token is refreshed; half of its life where that is less."""


class ClientAuth(StrEnum):
    """How we prove to the token endpoint who we are (RFC 6749, 2.3)."""

    BASIC = "basic"
    POST = "post"
    NONE = "none"  # a public client: PKCE alone


@dataclass(frozen=True, kw_only=True)
class Integration:
    """A service as the operator has configured it, for all tenants."""

    name: str
    title: str
    """What people call it."""
    authorize_url: str
    token_url: str
    revoke_url: str | None = None
    """Where tokens are given back (RFC 7009); None: the service has no such place."""
    issuer: str | None = None
    """What its answers must carry as `iss`, where it sends that at all (RFC 9207)."""
    scopes: tuple[str, ...] = ()
    client_id: str
    client_secret: str | None = None
    """`${secret:NAME}` of the platform's vault, or `${env:NAME}`."""
    client_auth: ClientAuth = ClientAuth.NONE
    parameters: Mapping[str, str] = field(default_factory=dict)
    """More for the authorization page: `access_type = "offline"`."""


class Standing(StrEnum):
    """How a tenant's connection is."""

    CONNECTED = "connected"
    BROKEN = "broken"  # the service takes the refresh token no more: only its owner can connect it anew


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A tenant's connection, as kept: all but the tokens, which are in the vault."""

    id: str
    """Another one each time that it is connected: what is in the vault says for which it was given."""
    tenant: str
    tenant_id: str
    integration: str
    standing: Standing = Standing.CONNECTED
    connected_by: str
    """The actor's id."""
    connected_as: str
    """The same for people: a mail address."""
    connected_at: datetime
    scopes: tuple[str, ...] = ()
    """What was granted, which may be less than was asked for."""
    expires_at: datetime | None = None
    """When the access token ends; None: the service didn't say."""
    refreshed_at: datetime | None = None
    generation: int = 0
    """How many times it was refreshed: who has another number in mind is late."""
    claim: str | None = None
    """Who refreshes it just now: a refresh token that changes at each use must not be used by two."""
    claim_until: datetime | None = None
    failures: int = 0
    """How many refreshes in a row came to nothing."""
    retry_at: datetime | None = None
    """Before that the service isn't asked again."""
    error: str | None = None
    """What went wrong last, for its owner."""


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A connection that somebody has begun to make, until they come back from the service."""

    digest: str
    """Of the state, which nobody but the browser and the service gets to see."""
    tenant: str
    tenant_id: str
    integration: str
    session: str
    """The session in whose browser it has to end."""
    verifier: bytes = field(repr=False)
    """PKCE's secret (RFC 7636), sealed."""
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a token endpoint has answered."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_in_s: float | None = None
    scopes: tuple[str, ...] | None = None
    """None: those that were asked for."""


@dataclass(frozen=True, kw_only=True)
class KeptTokens:
    """What of a grant is in the vault, as JSON."""

    connection: str
    """The connection that they belong to; with another one they are good for nothing."""
    generation: int = 0
    """How many times they were refreshed: a row that counts more knows of newer ones."""
    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    fresh_until: float | None = None
    expires_at: float | None = None
    """In seconds since 1970; None: they have no end that we know of."""

    @classmethod
    def of(cls, grant: Grant, *, connection: str, now: datetime, before: KeptTokens | None = None) -> KeptTokens:
        """What is to be kept of it; a service that gives no new refresh token means that the old one stays."""
        life_s, at = grant.expires_in_s, now.timestamp()
        return cls(
            connection=connection,
            generation=before.generation + 1 if before else 0,
            access_token=grant.access_token,
            refresh_token=grant.refresh_token or (before.refresh_token if before else None),
            fresh_until=None if life_s is None else at + life_s - min(EARLY_S, life_s / 2),
            expires_at=None if life_s is None else at + life_s,
        )

    @property
    def ends(self) -> datetime | None:
        """When the access token does."""
        return None if self.expires_at is None else datetime.fromtimestamp(self.expires_at, UTC)

    def is_fresh(self, now: datetime) -> bool:
        """Whether it needn't be refreshed yet."""
        return self.fresh_until is None or now.timestamp() < self.fresh_until

    def is_good(self, now: datetime) -> bool:
        """Whether the access token can still be used."""
        return self.expires_at is None or now.timestamp() < self.expires_at

    def dumps(self) -> str:
        """As the vault keeps it."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> KeptTokens:
        """What `dumps` gave; raises ValueError for anything else."""
        match json.loads(text):
            case {"connection": str(), "generation": int(), "access_token": str()} as kept if (
                kept.keys() <= cls.__dataclass_fields__.keys()
            ):
                return cls(**kept)
        raise ValueError("not an integration's tokens")


def refusal(integration: Integration, error: object, description: object = None) -> str:
    """What a service said, as far as it fits into one line and is no credential: some quote what they refuse, and this
    is kept. Whoever shows it escapes it."""
    words = [word for word in (error, description) if isinstance(word, str) and word]
    said = redact("".join(each for each in ": ".join(words) if each.isprintable()))[:300]
    return f"{integration.title} refused: {said.rstrip('. ') or 'without a reason'}."
