"""The core's `IntegrationRows` on plain dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from innkeeper.core.integration import Begun, Connection
from innkeeper.store import rules
from innkeeper.store.memory_tables import Tables


class MemoryIntegrations:
    """What tenants are connected to."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def of(self, tenant: str) -> Sequence[Connection]:
        return [each for (name, _), each in sorted(self._tables.connections.items()) if name == tenant]

    async def find(self, tenant: str, integration: str) -> Connection | None:
        return self._tables.connections.get((tenant, integration))

    async def put(self, connection: Connection) -> None:
        self._check_tenant(connection.tenant)
        self._tables.connections[connection.tenant, connection.integration] = connection

    async def drop(self, tenant: str, integration: str) -> bool:
        return self._tables.connections.pop((tenant, integration), None) is not None

    async def begin(self, begun: Begun) -> None:
        self._check_tenant(begun.tenant)
        place = begun.session, begun.tenant, begun.integration
        before = [
            at for at, each in self._tables.begun.items() if (each.session, each.tenant, each.integration) == place
        ]
        for digest in before:
            del self._tables.begun[digest]
        self._tables.begun[begun.digest] = begun

    async def has_begun(self, digest: str) -> bool:
        return digest in self._tables.begun

    async def take(self, digest: str) -> Begun | None:
        return self._tables.begun.pop(digest, None)

    async def forget_begun(self, *, before: datetime) -> int:
        over = [digest for digest, each in self._tables.begun.items() if each.expires_at <= before]
        for digest in over:
            del self._tables.begun[digest]
        return len(over)

    def drop_tenant(self, name: str) -> None:
        """What hangs on a tenant that is gone."""
        tables = self._tables
        tables.connections = {at: each for at, each in tables.connections.items() if each.tenant != name}
        tables.begun = {at: each for at, each in tables.begun.items() if each.tenant != name}

    def _check_tenant(self, name: str) -> None:
        if name not in self._tables.tenants:
            raise rules.no_tenant(name)
