"""What whoever comes to a closed tenant is told."""

from __future__ import annotations

from innkeeper.core.errors import TenantNotReady


class TenantClosed(TenantNotReady):
    """The tenant is being restored or moved: nothing of it runs until that is over."""

    code = "tenant_closed"
    default_hint = "It comes back by itself; try again shortly. Operators: `innkeeper operation list --open`."
