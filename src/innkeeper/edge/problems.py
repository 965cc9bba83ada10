"""What can go wrong at the edge itself, in the words that a client reads."""

from __future__ import annotations

from innkeeper.core.errors import EdgeFault, Kind, Problem


class GateAway(EdgeFault):
    """Caddy asked the gate again and again, and nobody answered: the control plane is down."""

    code = "gate_away"
    default_hint = "Try again shortly. Operators: is `innkeeper serve` running?"


class TenantUnreachable(Problem):
    """The gate let the request in, but the tenant's instance broke off or wasn't there."""

    code = "tenant_unreachable"
    kind = Kind.UNAVAILABLE
    default_hint = "Try again shortly; `innkeeper tenant show NAME` says how the tenant is."
