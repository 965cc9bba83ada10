"""The directory: every tenant and key in memory, for those who must answer at once.

It follows the bus, so within one process it is never behind; `load` repairs what another control plane changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from innkeeper.core.access import Actor, TenantKey
from innkeeper.core.events import Bus, Event, KeysChanged, StateChanged, TenantChanged, TenantGone
from innkeeper.core.hosting import Hosting
from innkeeper.core.ports import Store, Transaction
from innkeeper.core.tenant import Tenant

READ_AT_ONCE = 500
"""Others, the gate above all, get their turn between two parts of a long read."""


class Directory:
    """Tenants by name and host, keys by digest, and when each tenant was last active."""

    def __init__(self, *, store: Store, bus: Bus, hosting: Hosting) -> None:
        self._store = store
        self._hosting = hosting
        self._suffix = "." + hosting.domain
        self._tenants: dict[str, Tenant] = {}
        self._custom_hosts: dict[str, str] = {}
        self._keys: dict[str, TenantKey] = {}
        self._holders: dict[str, Actor] = {}
        self._digests: dict[str, tuple[str, ...]] = {}
        self._watchers: dict[str, set[Callable[[Tenant | None], None]]] = {}
        self._active: dict[str, datetime] = {}
        self._unsaved: set[str] = set()
        self._told: set[str] | None = None
        bus.on_event(self._follow)

    # --- reading ------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._tenants)

    def __iter__(self) -> Iterator[Tenant]:
        return iter(tuple(self._tenants.values()))

    def tenant(self, name: str) -> Tenant | None:
        """The tenant of that name."""
        return self._tenants.get(name)

    def at_host(self, host: str) -> Tenant | None:
        """Who answers at `host` (lower case, no port, no final dot): a label below the domain, or a custom name."""
        if host.endswith(self._suffix):
            return self._tenants.get(host[: -len(self._suffix)])
        name = self._custom_hosts.get(host)
        return self._tenants.get(name) if name else None

    def key(self, digest: str) -> TenantKey | None:
        """The key with that digest."""
        return self._keys.get(digest)

    def holder(self, key: TenantKey) -> Actor:
        """Whoever has that key; made once, for the gate asks with every request."""
        actor = self._holders.get(key.digest)
        if actor is None:
            actor = self._holders[key.digest] = key.actor()
        return actor

    def keys_of(self, tenant: str) -> Iterator[TenantKey]:
        """A tenant's keys."""
        return (self._keys[digest] for digest in self._digests.get(tenant, ()))

    # --- following ----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read everything anew; whom an event tells of meanwhile is left as that says, for it is newer."""
        told = self._told = set()
        try:
            async with self._store.look() as tx:
                names = await self._read_tenants(tx, told)
                keys = await tx.keys()
            for name in self._tenants.keys() - names - told:
                self._drop(name)
            by_tenant: dict[str, list[TenantKey]] = {}
            for key in keys:
                by_tenant.setdefault(key.tenant, []).append(key)
            for name in (self._digests.keys() | by_tenant.keys()) - told:
                self._replace_keys(name, by_tenant.get(name, ()))
        finally:
            self._told = None

    async def refresh(self, names: Sequence[str]) -> None:
        """Read these anew: they were found to be otherwise than they are known here."""
        async with self._store.look() as tx:
            for name in names:
                tenant = await tx.tenant(name)
                if tenant is not None and self._tenants.get(name) != tenant:
                    self._put(tenant)

    async def _read_tenants(self, tx: Transaction, told: set[str]) -> set[str]:
        names: set[str] = set()
        last = ""
        while some := await tx.tenants(after=last, limit=READ_AT_ONCE):
            last = some[-1].name
            names.update(tenant.name for tenant in some)
            for tenant in some:
                if tenant.name not in told and self._tenants.get(tenant.name) != tenant:
                    self._put(tenant)
        return names

    def _follow(self, event: Event) -> None:
        if self._told is not None:
            self._told.add(event.tenant)
        match event:
            case TenantChanged(now=tenant):
                self._put(tenant)
            case StateChanged(now=tenant):
                # Whoever saw it had read the rest of the tenant before, and it may have been changed meanwhile.
                known = self._tenants.get(tenant.name)
                same = known is not None and known.id == tenant.id
                self._put(replace(known, seen=tenant.seen) if known is not None and same else tenant)
            case TenantGone(tenant=name):
                self._drop(name)
            case KeysChanged(tenant=name, keys=keys):
                self._replace_keys(name, keys)

    def _put(self, tenant: Tenant) -> None:
        before = self._tenants.get(tenant.name)
        self._tenants[tenant.name] = tenant
        self._give_back_hosts(before)
        for host in tenant.spec.hostnames:
            self._custom_hosts[host] = tenant.name
        self._notify(tenant.name, tenant)

    def _drop(self, name: str) -> None:
        tenant = self._tenants.pop(name, None)
        self._give_back_hosts(tenant)
        self._replace_keys(name, ())
        self._active.pop(name, None)
        self._notify(name, None)

    def _give_back_hosts(self, tenant: Tenant | None) -> None:
        """All but those that another tenant has got meanwhile."""
        if tenant is not None:
            for host in tenant.spec.hostnames:
                if self._custom_hosts.get(host) == tenant.name:
                    del self._custom_hosts[host]

    def _replace_keys(self, tenant: str, keys: Sequence[TenantKey]) -> None:
        digests = tuple(key.digest for key in keys)
        if self._digests.get(tenant, ()) == digests:
            return  # a key never changes
        for digest in self._digests.pop(tenant, ()):
            del self._keys[digest]
            self._holders.pop(digest, None)
        if keys:
            self._digests[tenant] = digests
            self._keys.update((key.digest, key) for key in keys)

    # --- watching -----------------------------------------------------------------------------------------------------

    def watch(self, name: str, watcher: Callable[[Tenant | None], None]) -> Callable[[], None]:
        """Call `watcher` with the tenant after each change, with None when it is gone; the answer ends the watch."""
        watchers = self._watchers.setdefault(name, set())
        watchers.add(watcher)

        def end() -> None:
            watchers.discard(watcher)
            if not watchers and self._watchers.get(name) is watchers:
                del self._watchers[name]

        return end

    def _notify(self, name: str, tenant: Tenant | None) -> None:
        for watcher in tuple(self._watchers.get(name, ())):
            watcher(tenant)

    # --- activity -----------------------------------------------------------------------------------------------------

    def touch(self, name: str, at: datetime) -> None:
        """A request of somebody's passed the gate."""
        self._active[name] = at
        self._unsaved.add(name)

    def last_activity(self, tenant: Tenant) -> datetime | None:
        """When somebody last used the tenant."""
        return self._active.get(tenant.name, tenant.last_activity)

    def take_activity(self) -> dict[str, datetime]:
        """What was touched since the last call, to be written down."""
        unsaved, self._unsaved = self._unsaved, set()
        return {name: self._active[name] for name in unsaved if name in self._active}
