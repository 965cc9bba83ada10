"""A meter that counts for the metrics, too."""

from __future__ import annotations

from innkeeper import telemetry
from innkeeper.broker.metering import TenantMeter, Usage


class CountingMeter(TenantMeter):
    """Counts for each tenant, and for all together."""

    def used(self, usage: Usage) -> None:
        """Add one call."""
        super().used(usage)
        provider = "own" if usage.own else usage.provider  # tenants' own names would be labels without end
        telemetry.broker_calls.labels(provider=provider, usage="told" if usage.tokens else "unknown").inc()
        if usage.tokens is not None:
            telemetry.broker_tokens.labels(provider=provider, direction="input").inc(usage.tokens.input)
            telemetry.broker_tokens.labels(provider=provider, direction="output").inc(usage.tokens.output)
