"""Signed tokens (RFC 7515, 7519): told apart from anything else, and read only with a key that was chosen before."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

SIZE_LIMIT = 16 * 1024
_FORM = re.compile(r"[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}", re.ASCII)
_TYPES = frozenset({"jwt", "at+jwt"})
"""What `typ` may say (RFC 8725, 3.11; RFC 9068): a logout token, or a proof of possession, is no credential."""
_SIGNATURES = jwt.PyJWS(options={"verify_signature": True, "enforce_minimum_key_length": True})

Key = bytes | RSAPublicKey | EllipticCurvePublicKey


class NotTrusted(Exception):
    """Why a token isn't believed, in words that hold nothing of it."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a token says about itself, which nobody has checked: enough to choose a key, never to make one."""

    algorithm: str
    key_id: str | None


def resembles(token: str) -> bool:
    """Whether it has a signed token's form: three parts of base64url without padding, 16 kB at most."""
    return len(token) <= SIZE_LIMIT and _FORM.fullmatch(token) is not None


def read_header(token: str, allowed: Collection[str]) -> Header:
    """The header of a token that names an allowed algorithm; raises NotTrusted.

    `jku`, `x5u`, `x5c` and `jwk`, by which a token may bring or point to the key it wants to be checked with, aren't
    looked at; neither is `kid` anything but a name.
    """
    if not resembles(token):
        raise NotTrusted("it hasn't the form of a token")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise NotTrusted("its header can't be read") from error
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in allowed:
        raise NotTrusted("its algorithm isn't allowed")
    if "crit" in header or "b64" in header:
        raise NotTrusted("it asks for an extension")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise NotTrusted("it is a token of another kind")
    return Header(algorithm=algorithm, key_id=key_id)


def read_claims(token: str, header: Header, key: Key) -> dict[str, Any]:
    """What a token says whose signature holds; raises NotTrusted. Nothing of it is judged yet."""
    try:
        payload = _SIGNATURES.decode(token, key, algorithms=[header.algorithm])
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise NotTrusted("its signature doesn't hold") from error
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise NotTrusted("its claims can't be read") from error
    if not isinstance(claims, dict):
        raise NotTrusted("its claims can't be read")
    return claims
