"""Plain HTTP APIs: an agent's request goes out with a credential put on, and the answer comes back as it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import httpx2
import structlog

from innkeeper import telemetry
from innkeeper.broker.api_request import ApiRequest, inner_location, passed_on, read_request
from innkeeper.broker.callers import Caller
from innkeeper.broker.exchange import Exchange, Headers
from innkeeper.broker.http_upstream import check_status, retry_after_s, translated
from innkeeper.broker.injection import Credential, credential
from innkeeper.broker.keys import Key
from innkeeper.broker.metering import Meter, Tokens, Usage
from innkeeper.broker.providers import Providers
from innkeeper.broker.redaction import Redactor, redact
from innkeeper.broker.unpacking import coding_of, unpacked
from innkeeper.core.errors import Problem
from innkeeper.core.uses import ProviderKind, ProviderSpec

_log = structlog.get_logger(__name__)


class HttpApis:
    """Serves `/http/NAME/PATH`. Redirects aren't followed: one that stays within the API leads the agent there through
    the broker, and of every other its status alone is passed on."""

    def __init__(self, platform: Mapping[str, ProviderSpec], *, providers: Providers, meter: Meter) -> None:
        self._platform = {name: spec for name, spec in platform.items() if spec.kind is ProviderKind.HTTP}
        self._providers = providers
        self._meter = meter

    async def serve(self, caller: Caller, exchange: Exchange) -> None:
        """Answer the request, or raise Problem before the answer has begun."""
        own = {name: spec for name, spec in caller.uses.providers.items() if spec.kind is ProviderKind.HTTP}
        specs = {**self._platform, **own}
        request = read_request(exchange, specs)
        body = await exchange.body()
        call = _ApiCall(
            request=request,
            spec=specs[request.provider],
            body=body,
            caller=caller,
            own=request.provider in own,
            providers=self._providers,
        )
        await exchange.unless_gone(self._carry_out(call, exchange))

    async def _carry_out(self, call: _ApiCall, exchange: Exchange) -> None:
        async with call.answered() as answer:
            if answer.response.status_code < 400:
                usage = Usage(
                    tenant=call.caller.tenant,
                    tenant_id=call.caller.tenant_id,
                    provider=call.request.provider,
                    model="",
                    tokens=Tokens(),
                    own=call.own,
                )
                self._meter.used(usage)
            await exchange.start(answer.response.status_code, answer.headers)
            try:
                async with aclosing(answer.chunks()) as chunks:
                    async for chunk in chunks:
                        await exchange.write(chunk)
            except Problem as problem:
                _log.warning("answer broke", tenant=call.caller.tenant, provider=answer.name, code=problem.code)
                return  # without an end: the client sees that it broke
            await exchange.end()


class _ApiCall:
    """One request, sent with one key after the other."""

    def __init__(
        self,
        *,
        request: ApiRequest,
        spec: ProviderSpec,
        body: bytes,
        caller: Caller,
        own: bool,
        providers: Providers,
    ) -> None:
        tenant = caller.record if own else None
        self.request = request
        self.caller = caller
        self.own = own
        self._spec = spec
        self._body = body
        self._client = providers.tenants_client if own else providers.client
        self._keys = providers.keychain(request.provider, spec, tenant)

    @asynccontextmanager
    async def answered(self) -> AsyncIterator[_ApiAnswer]:
        """Send it, and give the first answer that no other key could make better.

        Another key is tried for 401, 403 and 429 alone, which say that nothing was done.
        """
        secrets: list[str] = []
        async with aclosing(self._keys.in_turn()) as keys:
            key: Key | None = await anext(keys)
            while key is not None:
                put_on = credential(self._spec.inject, key.value)
                for part in put_on.alone:
                    telemetry.hide(part, for_s=telemetry.HIDDEN_FOR_S, chosen=self.own)
                secrets.extend(put_on.secrets)
                async with aclosing(await self._sent(put_on)) as response:
                    check_status(response)
                    key = await _next(keys, key, response)
                    if key is None:
                        yield _ApiAnswer(response, secrets, self._spec, self.request.provider)

    async def _sent(self, put_on: Credential) -> httpx2.Response:
        headers = [*self.request.headers, ("accept-encoding", "identity")]
        if put_on.header is not None:
            headers.append(put_on.header)
        if "user-agent" not in dict(headers):
            headers.append(("user-agent", "innkeeper"))
        with translated(self.request.provider):
            url = self.request.url(self._spec, put_on)
            request = self._client.build_request(self.request.method, url, content=self._body or None, headers=headers)
            return await self._client.send(request, stream=True)


class _ApiAnswer:
    """An API's answer without what isn't the agent's business."""

    def __init__(self, response: httpx2.Response, secrets: list[str], spec: ProviderSpec, name: str) -> None:
        self.response = response
        self.name = name
        self._coding = coding_of(response)
        self._secrets = secrets
        self._spec = spec

    @property
    def headers(self) -> Headers:
        """Those that are passed on."""
        pairs = list(passed_on(self.response.headers.raw, decoded=bool(self._coding)))
        if location := self.response.headers.get("location"):
            inner = inner_location(location, str(self.response.url), self._spec, self.name)
            pairs += [("location", inner)] if inner is not None else []
        return [(name.encode("latin-1"), redact(value.encode("latin-1"), *self._secrets)) for name, value in pairs]

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes; raises Problem where it breaks off."""
        redactor = Redactor(*self._secrets)
        with translated(self.name):
            async with aclosing(unpacked(self.response, self._coding)) as pieces:
                async for piece in pieces:
                    if passed := redactor.feed(piece):
                        yield passed
        if rest := redactor.rest():
            yield rest


async def _next(keys: AsyncGenerator[Key, None], key: Key, response: httpx2.Response) -> Key | None:
    """The key to try after this answer, if another may help and there is one."""
    if response.status_code not in (401, 403, 429):
        key.taken()
        return None
    if response.status_code != 403:
        key.refused(retry_after_s(response))
    return await anext(keys, None)
