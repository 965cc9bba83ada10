"""What agents have in common that can't be asked about their sleep and their plans."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from innkeeper.core.ladder import Rung
from innkeeper.core.ports import Consent, Probe
from innkeeper.core.tenant import Spec


class Silent:
    """Neither consents nor objects, and has no scheduler that we could ask."""

    def suspend(self, spec: Spec, gateway_token: str, rung: Rung) -> Probe | None:
        """It has no such call: its connections, calls and processor time have to tell."""
        return None

    def consent(self, status: int, body: bytes) -> Consent:
        """It is never asked."""
        return Consent()

    def next_run(self, spec: Spec, gateway_token: str) -> Probe | None:
        """It can't be asked."""
        return None

    def run_at(self, status: int, body: bytes) -> datetime | None:
        """It is never asked."""
        return None

    def jobs(self, spec: Spec, gateway_token: str) -> Probe | None:
        """It can't be asked."""
        return None

    def missed(self, status: int, body: bytes, since: datetime, until: datetime) -> Mapping[str, int]:
        """It is never asked."""
        return {}

    def jobs_at_rest(self, status: int, body: bytes, now: datetime) -> Mapping[str, bool]:
        """It is never asked."""
        return {}

    def run_job(self, spec: Spec, gateway_token: str, job: str, now: datetime) -> Probe | None:
        """It can't be asked."""
        return None

    def resume(self, spec: Spec, gateway_token: str, suspension: str) -> Probe | None:
        """Nothing has to be said."""
        return None
