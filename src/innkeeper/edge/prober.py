"""Asking an instance whether it is ready: one short request on a connection of its own.

No connection is kept: an open connection to a tenant has to mean that somebody uses it.
"""

from __future__ import annotations

import asyncio

import httpx2

from innkeeper.core.ports import Probe

_LONGEST_BODY = 64 * 1024
_OWN_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "innkeeper-probe"}


class HttpProber:
    """The port `Prober` over HTTP."""

    def __init__(self) -> None:
        self._transport = httpx2.AsyncHTTPTransport(
            verify=False,  # no TLS on the tenants' own network, and loading the authorities takes 20 ms
            trust_env=False,
            limits=httpx2.Limits(max_keepalive_connections=0),
        )
        self._client = httpx2.AsyncClient(transport=self._transport, trust_env=False, follow_redirects=False)

    async def ask(self, address: str, probe: Probe) -> tuple[int, bytes] | None:
        """Status and the first 64 KiB of the body; None when nobody answered in time."""
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{probe.port}{probe.path}"
        method = "GET" if probe.json is None else "POST"
        headers = {**_OWN_HEADERS, **probe.headers}
        try:
            async with (
                asyncio.timeout(probe.timeout_s),
                self._client.stream(method, url, headers=headers, json=probe.json, timeout=None) as answer,
            ):
                return answer.status_code, await _beginning(answer)
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL, OSError):
            return None

    async def close(self) -> None:
        """Let go of what is open."""
        await self._client.aclose()


async def _beginning(answer: httpx2.Response) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) >= _LONGEST_BODY:
            break
    return bytes(body[:_LONGEST_BODY])
