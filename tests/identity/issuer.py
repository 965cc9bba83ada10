"""An outside issuer for tests: signs tokens, and publishes its keys on the loopback as it is told to."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from starlette.types import Receive, Scope, Send

from tests.support.serving import serving

AUDIENCE = "innkeeper"


class Key:
    """A pair of keys of the issuer's."""

    def __init__(self, key_id: str, *, curve: bool = False, bits: int = 2048, **described: Any) -> None:
        self.id = key_id
        self.algorithm = "ES256" if curve else "RS256"
        self.private: Any = (
            ec.generate_private_key(ec.SECP256R1())
            if curve
            else rsa.generate_private_key(public_exponent=65537, key_size=bits)
        )
        public: Any = self.private.public_key()
        described_key = ECAlgorithm.to_jwk(public, as_dict=True) if curve else RSAAlgorithm.to_jwk(public, as_dict=True)
        self.jwk = {**described_key, "kid": key_id, **described}

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """A token that says so."""
        return sign(claims, self.private, self.algorithm, **{"kid": self.id, **header})


class Issuer:
    """The ASGI application that publishes the keys: counts who asks, and can be slow, huge or wrong."""

    def __init__(self, *keys: Key) -> None:
        self.keys = list(keys)
        self.fetches = 0
        self.status = 200
        self.body: bytes | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.url = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.fetches += 1
        await self.go_on.wait()
        keys = json.dumps({"keys": [key.jwk for key in self.keys]}).encode()
        headers = [(b"content-type", b"application/json"), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": keys if self.body is None else self.body})

    def claims(self, **others: Any) -> dict[str, Any]:
        """What a good token says; a claim given as None isn't there."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "user-1", "iat": now, "exp": now + 3600, **others}
        return {name: value for name, value in claims.items() if value is not None}


def sign(claims: Mapping[str, Any], key: Any, algorithm: str, **header: Any) -> str:
    """A token that says so, also where no decent issuer would sign it."""
    return jwt.PyJWS().encode(
        json.dumps(claims).encode(),
        key,
        algorithm=algorithm,
        headers={k: v for k, v in header.items() if v is not None},
    )


@asynccontextmanager
async def issuing(*keys: Key) -> AsyncIterator[Issuer]:
    """An issuer that answers."""
    issuer = Issuer(*keys)
    async with serving(issuer) as issuer.url:
        yield issuer
