"""Sealed envelopes: what a browser keeps for us while it is away at the identity provider, and can neither read nor
change."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import timedelta

from innkeeper.core.errors import Problem
from innkeeper.core.identity import Pending
from innkeeper.core.ports import Clock, Seals
from innkeeper.core.secrets import PLATFORM

LASTS = timedelta(minutes=15)
_NAME = "pending sign-in"


class Envelopes:
    """Seals a pending sign-in, with the page that it began from, into a cookie's value."""

    def __init__(self, *, seals: Seals, clock: Clock) -> None:
        self._seals = seals
        self._clock = clock

    def seal(self, pending: str, then: str) -> str:
        """The cookie's value."""
        plain = json.dumps([self._clock.now().timestamp(), pending, then]).encode()
        return base64.urlsafe_b64encode(self._seals.seal(PLATFORM, _NAME, plain)).decode()

    def open(self, value: str) -> tuple[Pending, str] | None:
        """What was sealed, with the page; None for what isn't ours or too old."""
        try:
            sealed = base64.urlsafe_b64decode(value.encode("ascii"))
            at, pending, then = json.loads(self._seals.unseal(PLATFORM, _NAME, sealed))
            opened = Pending.loads(pending)
        except (Problem, ValueError, TypeError, binascii.Error):
            return None
        age_s = self._clock.now().timestamp() - at
        return (opened, then) if 0 <= age_s <= LASTS.total_seconds() else None
