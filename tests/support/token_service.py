"""A service that hands out tokens by OAuth 2, in this process: strict like a good one, and bad in the ways that a test
asks for.

    service = TokenService()
    back = service.approve(url)     # what a browser brings back from the page at `url`, where somebody has said yes
    service.refuse = "invalid_grant"

Refresh tokens change at each use; one that is used again ends everything that came of the same approval, as RFC 9700
(4.14.2) has it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from starlette.types import Receive, Scope, Send

from innkeeper.core.integration import Integration
from innkeeper.core.integration_reading import integration_of

CLIENT_ID, CLIENT_SECRET = "innkeeper", "s:e%c r+t"


class TokenService:
    """The ASGI application."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        """The forms that came to the token endpoint."""
        self.authorizations: list[str] = []
        self.revoked: list[str] = []
        self.refuse: str | None = None
        """An error that every grant is answered with."""
        self.describe: str | None = None
        self.answer: tuple[int, bytes] | None = None
        """Instead of everything else."""
        self.headers: list[tuple[bytes, bytes]] = []
        self.more: dict[str, Any] = {}
        """In place of what would be in an answer; None takes it out."""
        self.expires_in: Any = 3600
        self.hold: asyncio.Event | None = None
        self.arrived = asyncio.Event()
        self.rotates = True
        self._codes: dict[str, dict[str, str]] = {}
        self._refresh: dict[str, str] = {}
        """The approval by the refresh token that is good for it now."""
        self._used: dict[str, str] = {}
        self._number = 0

    def integration(self, name: str = "google", *, url: str = "https://google.test", **more: Any) -> Integration:
        """As an operator would configure it."""
        said = {
            "title": name.title(),
            "authorize_url": f"{url}/authorize?audience=all",
            "token_url": f"{url}/token",
            "revoke_url": f"{url}/revoke",
            "scopes": ["files", "mail"],
            "client_id": CLIENT_ID,
            "parameters": {"access_type": "offline"},
        }
        return integration_of(name, {**said, **more})

    def approve(self, page: str) -> dict[str, str]:
        """What a browser brings back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(page).query).items()}
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        self._number += 1
        code = f"code-{self._number}"
        self._codes[code] = asked
        return {"code": code, "state": asked["state"]}

    @property
    def refreshes(self) -> int:
        """How often it was asked for new tokens."""
        return sum(form.get("grant_type") == "refresh_token" for form in self.asked)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        while (part := await receive()).get("more_body"):
            body += part["body"]
        form = dict(parse_qsl((bytes(body) + part["body"]).decode()))
        self.authorizations.append(dict(scope["headers"]).get(b"authorization", b"").decode())
        self.arrived.set()
        if self.hold is not None:
            await self.hold.wait()
        if scope["path"] == "/revoke":
            self.revoked.append(form["token"])
            status, answer = (200, b"") if self.answer is None else self.answer
        else:
            self.asked.append(form)
            status, answer = self.answer or self._granted(form)
        await send({"type": "http.response.start", "status": status, "headers": self.headers})
        await send({"type": "http.response.body", "body": answer})

    def _granted(self, form: Mapping[str, str]) -> tuple[int, bytes]:
        error, approval = self.refuse, ""
        if error is None:
            error, approval = self._judged(form)
        if error is not None:
            described = {"error_description": self.describe} if self.describe else {}
            return 400, json.dumps({"error": error, **described}).encode()
        self._number += 1
        access, refresh = f"access-{self._number}", f"refresh-{self._number}"
        if not self.rotates and form["grant_type"] == "refresh_token":
            refresh = form["refresh_token"]
        self._refresh[refresh] = approval
        answer = {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
        }
        answer = {name: value for name, value in {**answer, **self.more}.items() if value is not None}
        return 200, json.dumps(answer).encode()

    def _judged(self, form: Mapping[str, str]) -> tuple[str | None, str]:
        """What is wrong, and the approval that it goes back to."""
        match form["grant_type"]:
            case "authorization_code":
                asked = self._codes.pop(form["code"], None)
                challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
                if asked is None or asked["redirect_uri"] != form["redirect_uri"]:
                    return "invalid_grant", ""
                if challenge.decode().rstrip("=") != asked["code_challenge"]:
                    return "invalid_grant", ""
                return None, form["code"]
            case "refresh_token":
                token = form["refresh_token"]
                if token in self._used and self.rotates:
                    family = self._used[token]
                    self._refresh = {each: of for each, of in self._refresh.items() if of != family}
                if token not in self._refresh:
                    return "invalid_grant", ""
                approval = self._used[token] = self._refresh.pop(token) if self.rotates else self._refresh[token]
                return None, approval
        return "unsupported_grant_type", ""
