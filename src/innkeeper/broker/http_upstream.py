"""Sends calls to a provider over HTTP and reads its answers warily."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import httpx2
import structlog

from innkeeper.broker.calls import Call
from innkeeper.broker.exchange import JSON, Headers
from innkeeper.broker.keys import Key
from innkeeper.broker.metering import json_object
from innkeeper.broker.problems import (
    DestinationRefused,
    ProviderAnswerTooLarge,
    ProviderFault,
    ProviderTimeout,
    ProviderUnreachable,
)
from innkeeper.broker.provider import Provider
from innkeeper.broker.redaction import Redactor, redact, redact_keys
from innkeeper.broker.refusals import error_body
from innkeeper.broker.unpacking import coding_of, unpacked
from innkeeper.broker.upstream import Answer, Reply, Stream
from innkeeper.core.errors import Invalid

_log = structlog.get_logger(__name__)

_REPLY_LIMIT = 32 * 1024 * 1024
_ERROR_LIMIT = 64 * 1024
_PASSED = frozenset({b"content-type", b"cache-control", b"retry-after", b"retry-after-ms", b"x-should-retry"}) | {
    b"request-id",
    b"x-request-id",
}
"""The provider's headers that tenants see. Its rate limits and organisation are the operator's business."""


class Keys(Protocol):
    """The keys of one provider."""

    def in_turn(self) -> AsyncGenerator[Key]:
        """Those to be tried; raises KeyUnavailable."""
        ...


class HttpUpstream:
    """One provider, reached over HTTP with one key after the other."""

    def __init__(
        self,
        provider: Provider,
        *,
        client: httpx2.AsyncClient,
        keys: Keys,
        default: str | None = None,
        patterns: Sequence[str] = (),
        slashed: bool = False,
    ) -> None:
        self.name = provider.name
        self.endpoints = provider.endpoints
        self.default = default
        self.patterns = patterns
        self.slashed = slashed
        self._provider = provider
        self._client = client
        self._keys = keys

    def model_for(self, model: str) -> str:
        """The same; what its names mean is the provider's business."""
        return model

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[Answer]:
        """Send the call and give the answer as soon as its headers are there.

        Where the provider refuses it, the next key is tried, as long as nothing was passed on; if none is left, the
        last refusal is the answer. A provider that goes silent or breaks off isn't asked again: it may have worked.
        """
        secrets: list[str] = []
        refusal: Reply | None = None
        async with aclosing(self._keys.in_turn()) as keys:
            async for key in keys:
                secrets.append(key.value)
                with translated(self.name):
                    response = await self._send(self._request(call, key.value))
                try:
                    check_status(response)
                    if not _asks_for_another_key(response):
                        key.taken()
                        yield await self._read(call, response, secrets)
                        return
                    if response.status_code in (401, 429):
                        key.refused(retry_after_s(response))
                    refusal = await self._refusal(call, response, secrets)
                finally:
                    await response.aclose()
        if refusal is not None:
            yield refusal

    def _request(self, call: Call, key: str) -> httpx2.Request:
        route = self._provider.route(call, key)
        body = dict(call.request)
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

    async def _read(self, call: Call, response: httpx2.Response, secrets: Sequence[str]) -> Answer:
        if response.status_code >= 400:
            return await self._refusal(call, response, secrets)
        if response.status_code != 200:
            raise ProviderFault(f"The provider answered {response.status_code}; redirects aren't followed.")
        match _media_type(response):
            case "text/event-stream":
                return Stream(headers=_passed(response, secrets), chunks=self._chunks(response, secrets))
            case "application/json":
                body = await self._whole(response, secrets, _REPLY_LIMIT)
                return Reply(status=200, headers=_passed(response, secrets), body=body)
            case other:
                raise ProviderFault(f"The provider answered with {other or 'no content type'} where JSON was due.")

    async def _refusal(self, call: Call, response: httpx2.Response, secrets: Sequence[str]) -> Reply:
        """The provider's error: its status always, its words when they are JSON."""
        status = response.status_code
        _log.warning("provider refused a call", provider=self.name, status=status, tenant=call.caller.tenant)
        headers = [(name, value) for name, value in _passed(response, secrets) if name != b"content-type"]
        try:
            text = redact_keys((await self._whole(response, secrets, _ERROR_LIMIT)).decode(errors="replace"))
        except (ProviderAnswerTooLarge, ProviderFault, ProviderTimeout, ProviderUnreachable):
            text = ""
        problem = ProviderFault(f"The provider answered {status}.", hint="")
        body = text.encode() if json_object(text.encode()) else error_body(call.dialect, problem, status=status)
        return Reply(status=status, headers=[*headers, *JSON], body=body)

    async def _whole(self, response: httpx2.Response, secrets: Sequence[str], limit: int) -> bytes:
        body = bytearray()
        async for chunk in self._chunks(response, secrets):
            body += chunk
            if len(body) > limit:
                raise ProviderAnswerTooLarge(f"The provider's answer is larger than {limit // 1024} kB.")
        return bytes(body)

    async def _chunks(self, response: httpx2.Response, secrets: Sequence[str]) -> AsyncGenerator[bytes, None]:
        redactor = Redactor(*secrets)
        with translated(self.name):
            async with aclosing(unpacked(response, coding_of(response))) as chunks:
                async for chunk in chunks:
                    yield redactor.feed(chunk)
        yield redactor.rest()


@contextmanager
def translated(provider: str) -> Iterator[None]:
    """What may go wrong on the way to a provider, as a Problem that says no more than an agent should know."""
    try:
        yield
    except DestinationRefused as problem:
        _log.warning("destination refused", provider=provider, problem=problem.message)
        raise DestinationRefused(f"The provider ({provider}) isn't on the public internet.") from problem
    except httpx2.TimeoutException as error:
        raise ProviderTimeout(f"The provider ({provider}) went silent.") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ProviderUnreachable(f"The connection to the provider ({provider}) failed.") from error


def check_status(response: httpx2.Response) -> None:
    """Raise ProviderFault for a status that no answer to a request has: 101 without being asked, or 999."""
    if not 200 <= response.status_code < 600:
        raise ProviderFault(f"The provider answered with the status {response.status_code}, which is none.")


def retry_after_s(response: httpx2.Response) -> float | None:
    """How long the provider wants to be left alone, where it says (RFC 9110, 10.2.3: seconds or a date)."""
    said = response.headers.get("retry-after", "")
    with suppress(ValueError):
        return float(said)
    with suppress(ValueError, TypeError):
        return (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds()
    return None


def _asks_for_another_key(response: httpx2.Response) -> bool:
    return response.status_code in (401, 403, 429) or response.status_code >= 500


def _passed(response: httpx2.Response, secrets: Sequence[str]) -> Headers:
    passed = ((name.lower(), value) for name, value in response.headers.raw if name.lower() in _PASSED)
    return [(name, redact(value, *secrets)) for name, value in passed]


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
