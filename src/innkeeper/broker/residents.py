"""Who lives at which address, and on which networks the broker has to listen for them."""

from __future__ import annotations

import structlog

from innkeeper.broker.callers import Caller
from innkeeper.broker.listener import BrokerListeners
from innkeeper.core.access import same
from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus, Event, TenantChanged, TenantGone
from innkeeper.core.instance import Place
from innkeeper.core.ports import Runtime, Tokens
from innkeeper.loops.queue import KeyedQueue
from innkeeper.loops.supervise import Supervisor

log = structlog.get_logger("innkeeper.broker")


class Residents:
    """Follows tenants as they come and go; a tenant's slot, and so its address, stays for life."""

    def __init__(self, *, directory: Directory, runtime: Runtime, tokens: Tokens, bus: Bus) -> None:
        self._directory = directory
        self._runtime = runtime
        self._tokens = tokens
        self._places: dict[str, Place] = {}
        self._names: dict[str, str] = {}
        self._queue = KeyedQueue(longest_delay_s=10)
        bus.on_event(self._follow)

    def find(self, address: str) -> Caller | None:
        """The tenant whose instance has this address."""
        tenant = self._directory.tenant(self._names.get(address, ""))
        if tenant is None:
            return None
        return Caller(tenant=tenant.name, tenant_id=tenant.id, epoch=tenant.token_epoch, record=tenant)

    def name_at(self, address: str) -> str | None:
        """The name of the tenant whose instance has this address."""
        return self._names.get(address)

    def address_of(self, name: str) -> str | None:
        """The address of the tenant's instance."""
        place = self._places.get(name)
        return place.address if place else None

    def verify(self, token: str, tenant_id: str, epoch: int) -> bool:
        """Whether the token is this tenant's own."""
        return same(token, self._tokens.broker_token(tenant_id, epoch))

    @property
    def gateways(self) -> frozenset[str]:
        """The host's addresses on the networks where tenants live."""
        return frozenset(place.gateway for place in self._places.values())

    def start(self, supervisor: Supervisor, listeners: BrokerListeners) -> None:
        """Keep `listeners` on the networks where tenants live."""
        for tenant in self._directory:
            self._queue.add(tenant.name)
        supervisor.add("broker-addresses", lambda: self._keep(listeners))

    def _follow(self, event: Event) -> None:
        if isinstance(event, TenantChanged | TenantGone):
            self._queue.add(event.tenant)

    async def _keep(self, listeners: BrokerListeners) -> None:
        while True:
            name = await self._queue.get()
            try:
                await self._place(name)
                if not len(self._queue):  # a burst of tenants is one change of the networks
                    await listeners.listen_on(sorted(self.gateways))
            except Problem as problem:
                self._queue.failed(name)
                log.warning("broker can't listen", tenant=name, code=problem.code, problem=problem.message)
            except BaseException:
                self._queue.failed(name)
                raise
            else:
                self._queue.done(name)

    async def _place(self, name: str) -> None:
        tenant = self._directory.tenant(name)
        before = self._places.pop(name, None)
        if before is not None and self._names.get(before.address) == name:
            del self._names[before.address]
        if tenant is not None:
            place = self._places[name] = await self._runtime.place(tenant.slot)
            self._names[place.address] = name
