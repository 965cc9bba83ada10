"""Ties the trail of a test's store together, with a key that everybody knows."""

from __future__ import annotations

import hashlib
import hmac


class KnownLinks:
    """The core's `Links`."""

    def link(self, previous: str, row: bytes) -> str:
        return hmac.digest(b"known to all", previous.encode() + b"\n" + row, hashlib.sha256).hex()


LINKS = KnownLinks()
