"""A vault for tests of those who only read it, or keep something of their own there."""

from __future__ import annotations

from datetime import datetime

from innkeeper.core.access import Actor
from innkeeper.core.errors import Problem
from innkeeper.core.secret_errors import SecretMissing
from innkeeper.core.tenant import Tenant


class NamedSecrets:
    """The core's `Secrets` and `SecretKeeping`, with what the test puts in: by tenant ("": the platform's own) and
    name. While there is a `fault`, nothing can be kept."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], str] = {}
        self.revealed: list[tuple[str, str]] = []
        self.kept: list[tuple[str, str]] = []
        self.fault: Problem | None = None

    def put(self, name: str, value: str, tenant: str = "") -> None:
        """Have it."""
        self.values[tenant, name] = value

    async def reveal(self, name: str, tenant: Tenant | None) -> str:
        """What was put."""
        place = tenant.name if tenant else "", name
        self.revealed.append(place)
        if place not in self.values:
            raise SecretMissing(f"There is no secret {name!r}.")
        return self.values[place]

    async def keep(
        self, name: str, value: str, tenant: Tenant, *, actor: Actor, expires_at: datetime | None = None
    ) -> None:
        """Have it, for somebody."""
        if self.fault is not None:
            raise self.fault
        self.kept.append((tenant.name, name))
        self.values[tenant.name, name] = value

    async def drop(self, name: str, tenant: Tenant, *, actor: Actor) -> None:
        """Have it no more."""
        self.values.pop((tenant.name, name), None)
