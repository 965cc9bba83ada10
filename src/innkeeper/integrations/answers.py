"""What token endpoints answer, read warily: no redirects, a deadline for the whole of it, 64 kB at most, JSON alone."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import httpx2

from innkeeper.core.integration import Grant, Integration, refusal
from innkeeper.core.integration_errors import GrantRefused, IntegrationAway

SIZE_LIMIT = 64 * 1024
_TOKEN = re.compile(r"[!-~]{1,8192}")
"""Visible ASCII: it goes into a header (RFC 6749, appendix A.12, without the space)."""
_FOR_GOOD = frozenset({"invalid_grant", "bad_refresh_token", "invalid_refresh_token"})
"""RFC 6749, 5.2; GitHub's and Slack's own words for the same."""
_LONGEST_S = 10 * 366 * 86_400.0


async def ask(
    client: httpx2.AsyncClient, url: str, body: str, headers: Mapping[str, str], *, title: str, timeout_s: float
) -> tuple[int, dict[str, Any] | None]:
    """The status below 500, and the JSON object if there is one; raises IntegrationAway."""
    asked = {**headers, "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "innkeeper"}
    try:
        # The client's own timeouts are for each read: a byte a second would last a day.
        async with asyncio.timeout(timeout_s):
            return await _ask(client, url, body, asked, title)
    except (TimeoutError, httpx2.TimeoutException) as error:
        raise IntegrationAway(f"{title} didn't answer within {timeout_s:g} s.") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise IntegrationAway(f"The connection to {title} failed: {type(error).__name__}.") from error


async def _ask(
    client: httpx2.AsyncClient, url: str, body: str, headers: Mapping[str, str], title: str
) -> tuple[int, dict[str, Any] | None]:
    async with client.stream("POST", url, content=body, headers=headers, follow_redirects=False) as response:
        if response.status_code >= 500 or response.status_code == 429:
            raise IntegrationAway(f"{title} answered {response.status_code}.")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise IntegrationAway(f"{title} answered compressed, which wasn't asked for.")
        received = bytearray()
        async for chunk in response.aiter_raw():
            received += chunk
            if len(received) > SIZE_LIMIT:
                raise IntegrationAway(f"{title} answered more than {SIZE_LIMIT} bytes.")
        return response.status_code, _object(bytes(received))


def grant_in(integration: Integration, status: int, answer: Mapping[str, Any] | None) -> Grant:
    """The tokens in an answer; raises GrantRefused, and IntegrationAway for what makes no sense."""
    if answer is None:
        raise IntegrationAway(f"{integration.title} answered {status}, and no JSON object.")
    if (error := answer.get("error")) is not None:  # some say so with 200
        final = isinstance(error, str) and error in _FOR_GOOD
        raise GrantRefused(refusal(integration, error, answer.get("error_description")), final=final)
    if not 200 <= status < 300:
        raise IntegrationAway(f"{integration.title} answered {status}.")
    access, refresh = answer.get("access_token"), answer.get("refresh_token")
    if not _is_token(access) or (refresh is not None and not _is_token(refresh)):
        raise IntegrationAway(f"{integration.title} answered without a token that can be used.")
    kind = answer.get("token_type", "bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise IntegrationAway(f"{integration.title} gives tokens of another kind than bearer.")
    scope = answer.get("scope")
    return Grant(
        access_token=str(access),
        refresh_token=refresh,
        expires_in_s=_seconds(answer.get("expires_in")),
        scopes=tuple(scope.split()[:100]) if isinstance(scope, str) else None,
    )


def _is_token(value: object) -> bool:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def _seconds(value: object) -> float | None:
    """How long a token lasts; None where that isn't said, or can't be."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return min(seconds, _LONGEST_S) if math.isfinite(seconds) and seconds > 0 else None


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
