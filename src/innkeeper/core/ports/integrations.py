"""What the broker needs of a tenant's integrations."""

from __future__ import annotations

from typing import Protocol

from innkeeper.core.tenant import Tenant


class Integrations(Protocol):
    """Access tokens of services that a tenant's owner has connected."""

    async def token(self, name: str, tenant: Tenant) -> str:
        """A token that is good now, renewed where it had run out; raises Problem when there is none to be had.

        What it gives is hidden from logs from then on.
        """
        ...
