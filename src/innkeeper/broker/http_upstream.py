"""Sends calls to a provider over HTTP and reads its answers warily."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx2
import structlog

from innkeeper.broker.calls import MODEL_ALIAS, Call
from innkeeper.broker.exchange import JSON, Headers
from innkeeper.broker.metering import json_object
from innkeeper.broker.problems import ProviderFault, ProviderTimeout, ProviderUnreachable
from innkeeper.broker.provider import Provider
from innkeeper.broker.redaction import Redactor, redact, redact_keys
from innkeeper.broker.refusals import error_body
from innkeeper.broker.upstream import Answer, Reply, Stream
from innkeeper.core.errors import Invalid

_log = structlog.get_logger(__name__)

_TIMEOUT = httpx2.Timeout(connect=10.0, read=300.0, write=60.0, pool=10.0)
_REPLY_LIMIT = 32 * 1024 * 1024
_ERROR_LIMIT = 64 * 1024
_PASSED = frozenset({b"content-type", b"cache-control", b"retry-after", b"retry-after-ms", b"x-should-retry"}) | {
    b"request-id",
    b"x-request-id",
}
"""The provider's headers that tenants see. Its rate limits and organisation are the operator's business."""


class HttpUpstream:
    """One provider for all tenants, with connections kept open to it."""

    def __init__(self, provider: Provider, *, model: str, client: httpx2.AsyncClient | None = None) -> None:
        self.name = provider.name
        self.endpoints = provider.endpoints
        self.models: Sequence[str] = (MODEL_ALIAS, model)
        self._provider = provider
        self._model = model
        self._client = client or provider_client()

    def model_for(self, call: Call) -> str:
        """The operator's model for the alias; every other name is the provider's business."""
        return self._model if call.model == MODEL_ALIAS else call.model

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[Answer]:
        """Send the call and give the answer as soon as its headers are there."""
        request = self._request(call)
        with self._translated():
            response = await self._send(request)
        try:
            yield await self._read(call, response)
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _request(self, call: Call) -> httpx2.Request:
        route = self._provider.route(call)
        body: dict[str, Any] = {**call.request, "model": self.model_for(call)}
        if call.hides_usage:
            options = body.get("stream_options")
            body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        headers = {
            **route.headers,
            "content-type": "application/json",
            "accept": "text/event-stream" if call.streams else "application/json",
            "accept-encoding": "identity",
            "user-agent": "innkeeper",
        }
        return self._client.build_request("POST", route.url, content=_encode(body), headers=headers)

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await self._client.send(request, stream=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):  # nothing was sent yet: once more is safe
            return await self._client.send(request, stream=True)

    async def _read(self, call: Call, response: httpx2.Response) -> Answer:
        if response.status_code >= 400:
            return await self._refusal(call, response)
        if response.status_code != 200:
            raise ProviderFault(f"The provider answered {response.status_code}; redirects aren't followed.")
        match _media_type(response):
            case "text/event-stream":
                return Stream(headers=self._passed(response), chunks=self._chunks(response))
            case "application/json":
                body = await self._whole(response, _REPLY_LIMIT)
                return Reply(status=200, headers=self._passed(response), body=body)
            case other:
                raise ProviderFault(f"The provider answered with {other or 'no content type'} where JSON was due.")

    async def _refusal(self, call: Call, response: httpx2.Response) -> Reply:
        """The provider's error: its status always, its words when they are JSON."""
        status = response.status_code
        _log.warning("provider refused a call", provider=self.name, status=status, tenant=call.caller.tenant)
        headers = [(name, value) for name, value in self._passed(response) if name != b"content-type"]
        try:
            text = redact_keys((await self._whole(response, _ERROR_LIMIT)).decode(errors="replace"))
        except (ProviderFault, ProviderTimeout, ProviderUnreachable):
            text = ""
        problem = ProviderFault(f"The provider answered {status}.", hint="")
        body = text.encode() if json_object(text.encode()) else error_body(call.dialect, problem, status=status)
        return Reply(status=status, headers=[*headers, *JSON], body=body)

    async def _whole(self, response: httpx2.Response, limit: int) -> bytes:
        body = bytearray()
        async for chunk in self._chunks(response):
            body += chunk
            if len(body) > limit:
                raise ProviderFault("The provider's answer is too large.")
        return bytes(body)

    def _passed(self, response: httpx2.Response) -> Headers:
        passed = ((name.lower(), value) for name, value in response.headers.raw if name.lower() in _PASSED)
        return [(name, redact(value, self._provider.key)) for name, value in passed]

    async def _chunks(self, response: httpx2.Response) -> AsyncGenerator[bytes, None]:
        redactor = Redactor(self._provider.key)
        with self._translated():
            async for chunk in response.aiter_bytes():
                yield redactor.feed(chunk)
        yield redactor.rest()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TimeoutException as error:
            raise ProviderTimeout(f"The provider ({self.name}) went silent.") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ProviderUnreachable(f"The connection to the provider ({self.name}) failed.") from error


def provider_client(
    *, timeout: httpx2.Timeout = _TIMEOUT, transport: httpx2.AsyncBaseTransport | None = None
) -> httpx2.AsyncClient:
    """The client that calls to providers are made with: patient, and without a memory of earlier calls."""
    # No cookies: what a provider sets for one tenant's call must not ride along with another's.
    return httpx2.AsyncClient(
        timeout=timeout,
        transport=transport,
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=15.0),
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def _encode(body: dict[str, Any]) -> bytes:
    """The body anew, so that what was judged here is exactly what the provider reads."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can only carry escaped
        return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:
        raise Invalid("A number in the body is out of range.") from error


def _media_type(response: httpx2.Response) -> str:
    content_type: str = response.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower()
