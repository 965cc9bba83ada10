"""An issuer's public keys (RFC 7517): those that are fit to check signatures with, found by their id."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from innkeeper.core.identity_errors import IdentityProviderAway
from innkeeper.identity.documents import Documents
from innkeeper.identity.kept import Kept
from innkeeper.identity.signed import NotTrusted

KEYS_LIMIT = 100
FRESH_S = 600.0
STALE_S = 86_400.0
RSA_BITS = range(2048, 8193)
"""At least what NIST SP 800-131A asks for; at most what can be checked in a millisecond."""
_EXPONENT_LIMIT = 1 << 32
"""A longer one is no safer, and makes each check as slow as a signature."""
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
ALGORITHMS = _RSA | frozenset(_CURVES.values())
"""All that a published key can be good for. No HMAC among them: a public key is nobody's secret."""


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """One key, and what it may check."""

    id: str | None
    algorithms: frozenset[str]
    key: RSAPublicKey | EllipticCurvePublicKey


class KeySet:
    """The keys at one address, fetched when a token asks for one."""

    def __init__(
        self,
        documents: Documents,
        where: Callable[[], Awaitable[str]],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._documents = documents
        self._where = where
        self._kept = Kept(self._fetch, fresh_s=FRESH_S, stale_s=STALE_S, now=now)

    async def require(self, key_id: str | None, algorithm: str) -> RSAPublicKey | EllipticCurvePublicKey:
        """The key of that id that may check that algorithm; without an id, the only one that may.

        A key that isn't there is looked for once more at the issuer, who may just have made it, but only once a
        minute. Raises NotTrusted when there is none, IdentityProviderAway when nobody tells.
        """
        found = _choose(await self._kept.get(), key_id, algorithm)
        found = found or _choose(await self._kept.newer(), key_id, algorithm)
        if found is None:
            raise NotTrusted("the issuer has no such key")
        return found.key

    async def _fetch(self) -> Sequence[PublicKey]:
        url = await self._where()
        described = (await self._documents.get(url)).get("keys")
        if not isinstance(described, list) or len(described) > KEYS_LIMIT:
            raise IdentityProviderAway("the key set holds no list of keys, or too many")
        return [key for each in described if (key := public_key(each)) is not None]


def public_key(described: object) -> PublicKey | None:
    """The key of one JWK; None for one that isn't for signatures, too weak, or holds what only the issuer may know."""
    if not isinstance(described, dict) or "d" in described or not _is_to_verify(described):
        return None
    key_id = described.get("kid")
    try:
        key = _material(described)
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    if key is None or not isinstance(key_id, str | None):
        return None
    able = _RSA if isinstance(key, RSAPublicKey) else frozenset({_CURVES.get(key.curve.name, "")}) & ALGORITHMS
    named = described.get("alg")
    allowed = able if named is None else able & {named} if isinstance(named, str) else frozenset[str]()
    return PublicKey(id=key_id, algorithms=allowed, key=key) if allowed else None


def _is_to_verify(described: Mapping[str, Any]) -> bool:
    operations = described.get("key_ops", ["verify"])
    return described.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _material(described: dict[str, Any]) -> RSAPublicKey | EllipticCurvePublicKey | None:
    match described.get("kty"):
        case "RSA":
            key = RSAAlgorithm.from_jwk(described)
            return key if isinstance(key, RSAPublicKey) and _is_reasonable(key) else None
        case "EC":
            point = ECAlgorithm.from_jwk(described)
            return point if isinstance(point, EllipticCurvePublicKey) else None
        case _:
            return None


def _is_reasonable(key: RSAPublicKey) -> bool:
    return key.key_size in RSA_BITS and key.public_numbers().e < _EXPONENT_LIMIT


def _choose(keys: Sequence[PublicKey], key_id: str | None, algorithm: str) -> PublicKey | None:
    fit = [key for key in keys if algorithm in key.algorithms]
    if key_id is None:
        return fit[0] if len(fit) == 1 else None
    return next((key for key in fit if key.id == key_id), None)
