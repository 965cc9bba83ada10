"""Host headers as people and attackers write them, brought to the one form that tenants are found by."""

from __future__ import annotations

import re
from functools import lru_cache

_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")
_LONGEST = 253


@lru_cache(maxsize=4096)
def plain_host(raw: bytes) -> str:
    """The name in `raw`: lower case, without port and final dot; empty for anything else (say, an IPv6 address)."""
    name, _, port = raw.decode("latin-1").partition(":")
    if port and not port.isdecimal():
        return ""
    name = name.removesuffix(".").lower()
    if len(name) > _LONGEST or ".." in name or not _NAME.fullmatch(name):
        return ""
    return name
