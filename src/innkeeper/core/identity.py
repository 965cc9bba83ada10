"""Who somebody is, as those say whom we trust with it: an outside issuer of tokens, an identity provider."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

ROLES = ("admin", "operator", "auditor")
"""The platform's roles that can be given from outside, the strongest first."""
TENANT_ROLES = ("owner", "member", "viewer")
"""A tenant's roles, the strongest first."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a valid token of the outside issuer says."""

    issuer: str
    subject: str
    """Unique within the issuer, and never given to another: who it is. The mail may change."""
    expires_at: float
    """Seconds since the epoch."""
    mail: str | None = None
    mail_verified: bool = False
    name: str | None = None
    role: str | None = None
    """One of ROLES, or none."""
    tenants: Mapping[str, str] = field(default_factory=dict)
    """Names of tenants, which needn't exist, and one of TENANT_ROLES in each."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who signed in at the identity provider."""

    issuer: str
    subject: str
    """Unique within the issuer, and never given to another: who it is. The mail may change."""
    mail: str | None = None
    mail_verified: bool = False
    """Whether the provider vouches for the mail; without that it must never find an account."""
    name: str | None = None
    role: str | None = None
    """One of ROLES, or none."""


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A sign-in that was begun; it belongs to one browser, which must neither read nor change it."""

    issuer: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    begun_at: int
    """Seconds since the epoch."""

    def dumps(self) -> str:
        """As JSON, some 300 bytes, to be sealed into a cookie."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def loads(cls, text: str | bytes) -> Pending:
        """What `dumps` gave; raises ValueError for anything else."""
        try:
            match json.loads(text):
                case {
                    "issuer": str(issuer),
                    "state": str(state),
                    "nonce": str(nonce),
                    "verifier": str(verifier),
                    "begun_at": int(begun_at),
                } if state and nonce and verifier:
                    return cls(issuer=issuer, state=state, nonce=nonce, verifier=verifier, begun_at=begun_at)
        except RecursionError as error:
            raise ValueError("not a pending sign-in") from error
        raise ValueError("not a pending sign-in")
