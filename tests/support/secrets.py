"""A vault for tests of those who only read it."""

from __future__ import annotations

from innkeeper.core.secret_errors import SecretMissing
from innkeeper.core.tenant import Tenant


class NamedSecrets:
    """The core's `Secrets`, with what the test puts in: by tenant ("": the platform's own) and name."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], str] = {}
        self.revealed: list[tuple[str, str]] = []

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
