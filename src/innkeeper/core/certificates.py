"""What is known of the edge's certificates, and how well they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

RENEWED_BY = 1 / 3
"""Caddy renews when so much of a certificate's life is left (its `renewal_window_ratio`)."""
LATE = RENEWED_BY / 2
"""With less than this left, whatever should have renewed it hasn't."""


class CertificateState(StrEnum):
    """How a host's certificate is."""

    VALID = "valid"
    EXPIRING = "expiring"  # late to be renewed, or over: nobody has come by to have it renewed, or nobody could
    FAILING = "failing"  # the last attempt to get or renew it failed


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """One that is there."""

    host: str
    begins_at: datetime
    expires_at: datetime
    is_own: bool = False
    """The operator's own, which nobody renews but the operator."""

    def is_late(self, now: datetime) -> bool:
        """Whether it should have been renewed by now."""
        return self.expires_at - now < (self.expires_at - self.begins_at) * LATE


@dataclass(frozen=True, kw_only=True)
class CertificateFailure:
    """An attempt to get or renew one that went wrong."""

    host: str
    at: datetime
    says: str


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """All of them, at one moment."""

    found: Sequence[Certificate] = ()
    """One a host, the one that lasts longest."""
    failures: Sequence[CertificateFailure] = ()
    """The last of each host that no certificate has followed."""

    def states(self, now: datetime) -> Mapping[str, CertificateState]:
        """How each host's is."""
        states = {
            each.host: CertificateState.EXPIRING if each.is_late(now) else CertificateState.VALID for each in self.found
        }
        return states | {failure.host: CertificateState.FAILING for failure in self.failures}

    def counts(self, now: datetime) -> Mapping[CertificateState, int]:
        """How many hosts are in each state; every state is there."""
        counted = Counter(self.states(now).values())
        return {state: counted[state] for state in CertificateState}
