"""What the core and the broker need of the vault."""

from __future__ import annotations

from typing import Protocol

from innkeeper.core.tenant import Tenant


class Secrets(Protocol):
    """Secrets by name, in the clear: for the broker on the way out, and for what must lie in an agent's config."""

    async def reveal(self, name: str, tenant: Tenant | None) -> str:
        """The newest value of the tenant's secret, or with None of the platform's own.

        Raises SecretMissing, SecretExpired, KeyringFault. What it gives is hidden from logs from then on.
        """
        ...
