"""The broker as an ASGI application: who calls, what for, may it, and then the provider's answer."""

from __future__ import annotations

from collections.abc import Collection

from starlette.types import Receive, Scope, Send

from innkeeper.broker.admission import Admission
from innkeeper.broker.api_request import PREFIX
from innkeeper.broker.bills import OpenHouse, Till
from innkeeper.broker.callers import Callers, identify
from innkeeper.broker.calls import Call, Dialect, Endpoint, dialect_of, read_call
from innkeeper.broker.exchange import ClientGone, Exchange
from innkeeper.broker.guard import ON_BEHALF_OF
from innkeeper.broker.http_apis import HttpApis
from innkeeper.broker.listing import models_page
from innkeeper.broker.mcp.tools import MCP_PATH, BrokeredTools
from innkeeper.broker.metering import Meter, Reading, Usage
from innkeeper.broker.refusals import error_body, headers_of, status_of
from innkeeper.broker.relay import relay
from innkeeper.broker.switchboard import Line, Switchboard
from innkeeper.broker.upstream import Stream
from innkeeper.core.errors import Problem


class Broker:
    """Serves every tenant; listens nowhere by itself."""

    def __init__(
        self,
        *,
        callers: Callers,
        switchboard: Switchboard,
        apis: HttpApis,
        meter: Meter,
        till: Till | None = None,
        tools: BrokeredTools | None = None,
    ) -> None:
        self._callers = callers
        self._switchboard = switchboard
        self._apis = apis
        self._meter = meter
        self._till = till or OpenHouse()
        self._tools = tools
        self._admission = Admission()

    def in_flight(self, tenant: str) -> int:
        """How many model calls of the tenant are under way: one that waits for a model mustn't be put to sleep."""
        return self._admission.in_flight(tenant)

    @property
    def tenants(self) -> Collection[str]:
        """Who has a model call under way."""
        return self._admission.tenants

    @property
    def in_flight_in_all(self) -> int:
        """How many model calls are under way, whoever makes them."""
        return self._admission.in_flight_in_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"The broker serves HTTP alone, not {scope['type']}.")
        exchange = Exchange(scope, receive, send)
        dialect = dialect_of(exchange.path, exchange.headers)
        try:
            try:
                await self._serve(exchange, dialect)
            except Problem as problem:
                await exchange.discard()
                await _refuse(exchange, dialect, problem)
        except ClientGone:
            pass

    async def _serve(self, exchange: Exchange, dialect: Dialect) -> None:
        if (exchange.method, exchange.path) == ("GET", "/health"):
            await exchange.answer(200, b'{"ok":true}')
            return
        caller = identify(self._callers, exchange.address, exchange.headers)
        ON_BEHALF_OF.set(caller.tenant_id)
        if exchange.raw_path.startswith(PREFIX):
            self._till.knock(caller)
            with self._admission.enter(caller, exchange.size):
                await self._apis.serve(caller, exchange)
            return
        if exchange.path == MCP_PATH and self._tools is not None:
            with self._admission.enter(caller, exchange.size):
                await self._tools.serve(caller, exchange, knock=self._till.knock)
            return
        endpoint = Endpoint.of(exchange.method, exchange.path)
        if endpoint is Endpoint.MODELS:
            await exchange.answer(200, models_page(self._switchboard.models(caller), dialect))
            return
        with self._admission.enter(caller, exchange.size):
            call = read_call(caller, endpoint, dialect, exchange.headers, await exchange.body())
            line = self._switchboard.pick(call)
            await exchange.unless_gone(self._carry_out(call, line, exchange))

    async def _carry_out(self, call: Call, line: Line, exchange: Exchange) -> None:
        reading = Reading()
        bill_of = self._till.open(call, reading, provider=line.name, model=line.model)
        async with bill_of as bill, line.answer(call) as answer:
            try:
                await relay(answer, call, exchange, reading)
            finally:
                if call.endpoint is not Endpoint.COUNT_TOKENS and (isinstance(answer, Stream) or answer.status < 400):
                    bill.settle()
                    self._tell_meter(call, line, reading)

    def _tell_meter(self, call: Call, line: Line, reading: Reading) -> None:
        self._meter.used(
            Usage(
                tenant=call.caller.tenant,
                tenant_id=call.caller.tenant_id,
                provider=line.name,
                model=line.model,
                tokens=reading.tokens,
                own=line.own,
            )
        )


async def _refuse(exchange: Exchange, dialect: Dialect, problem: Problem) -> None:
    await exchange.answer(status_of(problem), error_body(dialect, problem), headers_of(problem))
