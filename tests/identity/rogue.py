"""An identity provider that says what a test wants it to, in every place where it is asked."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Receive, Scope, Send

from innkeeper.core.identity import Pending
from tests.identity.issuer import Key
from tests.support.serving import serving

CLIENT_ID = "innkeeper"
KEY = Key("rogue-1")


class Rogue:
    """The ASGI application; each part of an answer can be replaced."""

    def __init__(self) -> None:
        self.url = ""
        self.described: dict[str, Any] = {}
        self.nonce = ""
        self.said: dict[str, Any] = {}
        self.userinfo: Any = {"sub": "user-1", "email": "ada@example.com", "email_verified": True}
        self.sign: Callable[[dict[str, Any]], Any] = KEY.sign
        self.token_status = 200
        self.token_answer: dict[str, Any] = {}
        self.asked: list[str] = []
        self.form = b""
        self.authorization = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        status = 200
        match scope["path"]:
            case "/.well-known/openid-configuration":
                answer: Any = self.description()
            case "/jwks":
                answer = {"keys": [KEY.jwk]}
            case "/token":
                self.form = (await receive())["body"]
                self.authorization = dict(scope["headers"]).get(b"authorization", b"")
                status, answer = self.token_status, self.tokens()
            case "/userinfo":
                answer = self.userinfo
            case _:
                status, answer = 404, {}
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    def description(self) -> dict[str, Any]:
        """The discovery document."""
        described = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize?tenant=1",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            **self.described,
        }
        return {name: value for name, value in described.items() if value is not None}

    def tokens(self) -> dict[str, Any]:
        """The answer to a code."""
        now = int(time.time())
        said = {"iss": self.url, "aud": CLIENT_ID, "sub": "user-1", "iat": now, "exp": now + 600, "nonce": self.nonce}
        claims = {name: value for name, value in {**said, **self.said}.items() if value is not None}
        answer = {"access_token": "an access token", "token_type": "Bearer", "id_token": self.sign(claims)}
        return {name: value for name, value in {**answer, **self.token_answer}.items() if value is not None}

    def back(self, pending: Pending) -> dict[str, str]:
        """What a browser brings back, for a sign-in that the provider saw begin."""
        self.nonce = pending.nonce
        return {"code": "a code", "state": pending.state}


@asynccontextmanager
async def rogue_provider() -> AsyncIterator[Rogue]:
    """A provider that is good as long as nothing else is said."""
    rogue = Rogue()
    async with serving(rogue) as rogue.url:
        yield rogue
