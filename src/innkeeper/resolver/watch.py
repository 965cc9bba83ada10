"""Follows tenants' modes and lists: has the host watch whom it should, and shuts what has left a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from innkeeper.core.directory import Directory
from innkeeper.core.egress import on_list
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus, Event, TenantChanged, TenantGone
from innkeeper.core.ports import Runtime
from innkeeper.core.tenant import Tenant
from innkeeper.core.uses import Egress, EgressMode
from innkeeper.loops.queue import KeyedQueue
from innkeeper.loops.supervise import Supervisor, every
from innkeeper.resolver.listening import NameListeners

log = structlog.get_logger("innkeeper.resolver")

LOOK_EVERY_S = 30.0
"""How often to see that all is as it should be, whatever events said."""


@dataclass(frozen=True, kw_only=True)
class _Policy:
    tenant_id: str
    slot: int
    egress: Egress


class Watch:
    """Knows who is watched, and where they live."""

    def __init__(self, *, directory: Directory, runtime: Runtime, listeners: NameListeners, bus: Bus) -> None:
        self._directory = directory
        self._runtime = runtime
        self._listeners = listeners
        self._policies = {tenant.name: _policy(tenant) for tenant in directory}
        self._held = {name: each for name, each in self._policies.items() if each.egress.mode is EgressMode.OFF}
        """What the host was last seen to."""
        self._troubled: set[str] = set()
        """With whom it went wrong, and is tried again."""
        self._tenants: dict[str, str] = {}
        """Names of those who are watched, by address."""
        self._queue = KeyedQueue(longest_delay_s=10)
        self._want()
        bus.on_event(self._follow)

    def tenant_at(self, address: str) -> Tenant | None:
        """The watched tenant at an address, as it is now."""
        return self._directory.tenant(self._tenants.get(address, ""))

    def in_force(self, name: str) -> bool:
        """Whether the host does what the tenant's mode and list say now; it takes a moment after a change."""
        return self._held.get(name) == self._policies.get(name) and name not in self._troubled

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be seen to."""
        return not len(self._queue) and not self._queue.working

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loops to the supervisor."""
        for name, policy in self._policies.items():
            if policy.egress.mode is not EgressMode.OFF:
                self._queue.add(name)  # a former process may have died before it shut what had left the list
        supervisor.add("egress", self._keep)
        supervisor.add("egress-look", lambda: every(LOOK_EVERY_S, self.look))

    async def look(self) -> None:
        """Find what no event told of, and put back what somebody took away."""
        for name in self._policies.keys() | {tenant.name for tenant in self._directory}:
            self._see(name, self._directory.tenant(name))
        if any(policy.egress.mode is not EgressMode.OFF for policy in self._policies.values()):
            try:
                await self._runtime.ways_out.hold()
            except Problem as problem:
                log.warning("the ways out aren't held", code=problem.code, problem=problem.message)

    def _follow(self, event: Event) -> None:
        match event:
            case TenantChanged(now=tenant):
                self._see(tenant.name, tenant)
            case TenantGone(tenant=name):
                self._see(name, None)

    def _see(self, name: str, tenant: Tenant | None) -> None:
        before = self._policies.get(name)
        now = None if tenant is None else _policy(tenant)
        if before == now:
            return
        if now is None:
            self._policies.pop(name, None)
        else:
            self._policies[name] = now
        if {policy.egress.mode for policy in (before, now) if policy} - {EgressMode.OFF}:
            self._want()
            self._queue.add(name)
        elif now is None:
            self._held.pop(name, None)
        else:
            self._held[name] = now

    def _want(self) -> None:
        """At once, so that nothing starts by the rules of before."""
        self._runtime.ways_out.want({policy.slot: policy.egress.mode for policy in self._watched.values()})

    @property
    def _watched(self) -> Mapping[str, _Policy]:
        return {name: each for name, each in self._policies.items() if each.egress.mode is not EgressMode.OFF}

    async def _keep(self) -> None:
        while True:
            name = await self._queue.get()
            seen_to = dict(self._policies)
            last = not len(self._queue)  # a burst of tenants is one change of the rules
            try:
                if last:
                    await self._settle()
                await self._shut(name)
            except Problem as problem:
                self._troubled.add(name)
                self._queue.failed(name)
                log.warning("a way out isn't watched", tenant=name, code=problem.code, problem=problem.message)
            except BaseException:
                self._queue.failed(name)
                raise
            else:
                self._troubled.discard(name)
                self._held = seen_to if last else self._held
                self._queue.done(name)

    async def _settle(self) -> None:
        """Listen first, then have questions sent there."""
        tenants, gateways = {}, set()
        for name, policy in self._watched.items():
            place = await self._runtime.place(policy.slot)
            tenants[place.address] = name
            gateways.add(place.gateway)
        self._tenants = tenants
        await self._listeners.listen_on(gateways)
        await self._runtime.ways_out.hold()

    async def _shut(self, name: str) -> None:
        """What has left the list; with another mode all is shut by the rules."""
        tenant = self._directory.tenant(name)
        if tenant is not None and tenant.spec.uses.egress.mode is EgressMode.ENFORCE:
            await self._runtime.ways_out.shut(tenant.slot, but=lambda asked: on_list(tenant, asked))


def _policy(tenant: Tenant) -> _Policy:
    return _Policy(tenant_id=tenant.id, slot=tenant.slot, egress=tenant.spec.uses.egress)
