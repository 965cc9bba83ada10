"""A release: a version of an agent, recorded with the very image that it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Release:
    """A version of an agent that tenants can run."""

    agent: str
    version: str
    image: str
    """Image ID or repository@digest."""
    source: str
    """Where it came from: `registry` or `packages`."""
    size_mb: int
    created_at: datetime


def version_key(version: str) -> tuple[int, ...]:
    """A key that orders versions by their numbers: 2026.9.10 comes after 2026.9.6."""
    return tuple(int(part) for part in re.findall(r"\d+", version))
