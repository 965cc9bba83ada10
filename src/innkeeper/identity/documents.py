"""Small JSON documents from an issuer, read warily: no redirects, 5 s in all, 256 kB at most."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx2

from innkeeper.core.identity_errors import IdentityProviderAway

TIMEOUT_S = 5.0
SIZE_LIMIT = 256 * 1024


class Documents:
    """Asks issuers over HTTP; raises IdentityProviderAway where there is no document to be had."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._client = httpx2.AsyncClient(
            timeout=timeout_s,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "innkeeper"},
        )

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object there."""
        status, document = await self.ask("GET", url, headers=headers)
        if status != 200 or document is None:
            raise IdentityProviderAway(f"{_place(url)} answered {status}{'' if document else ', and no JSON object'}")
        return document

    async def ask(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any] | None]:
        """The status below 500, and the JSON object if there is one."""
        try:
            # httpx's own timeouts are for each read: a byte a second would last a day.
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(method, url, headers, form)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise IdentityProviderAway(f"{_place(url)} didn't answer within {self._timeout_s:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise IdentityProviderAway(f"the connection to {_place(url)} failed: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str] | None, form: Mapping[str, str] | None
    ) -> tuple[int, dict[str, Any] | None]:
        async with self._client.stream(method, url, headers=headers, data=form) as response:
            if response.status_code >= 500:
                raise IdentityProviderAway(f"{_place(url)} answered {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise IdentityProviderAway(f"{_place(url)} answered compressed, which wasn't asked for")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > SIZE_LIMIT:
                    raise IdentityProviderAway(f"{_place(url)} answered more than {SIZE_LIMIT} bytes")
            return response.status_code, _object(bytes(body))


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _place(url: str) -> str:
    """The address without its query, for the log."""
    return url.partition("?")[0][:200]
