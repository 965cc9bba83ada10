"""Calls of tools: what is told of them, and of the servers that have the tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from innkeeper.core.tenant import Tenant

TOOL_CALL = "tool.call"
"""The trail's word for it."""


class Outcome(StrEnum):
    """How a call of a tool ended."""

    OK = "ok"
    ERROR = "error"  # the tool itself says that it failed
    REFUSED = "refused"  # there is no such tool, or it isn't allowed
    FAILED = "failed"  # the server couldn't be reached, or gave no answer that counts
    TIMEOUT = "timeout"
    ABANDONED = "abandoned"  # the agent hung up; whether the tool did its work isn't known


@dataclass(frozen=True, kw_only=True)
class ToolSeen:
    """A tool as its server has it."""

    tool: str
    """The server's own name for it."""
    name: str | None
    """What the agent calls it; null where it can't."""
    description: str = ""
    allowed: bool = True
    says: str | None = None
    """Why it isn't offered, though it is allowed."""


@dataclass(frozen=True, kw_only=True)
class ServerSeen:
    """A server of tools, as it was found just now or a moment ago."""

    name: str
    url: str | None = None
    house: bool = False
    """Whether it stands in the settings, for all tenants to be given."""
    tools: Sequence[ToolSeen] = ()
    whole: bool = True
    """False: it has more tools than are read."""
    error: str | None = None
    """Why its tools are missing."""
    code: str | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None


class Tools(Protocol):
    """Whoever knows what tools a tenant has."""

    async def seen(self, tenant: Tenant) -> Sequence[ServerSeen]:
        """The tenant's servers, asked where nothing fresh is known of them; takes some seconds at most."""
        ...
