"""The courier's contract: it carries messages to tenants, and outlives us.

*Whole or not at all.* A message of which the courier has not got the last byte never reaches a tenant. One that it has
taken over it carries to the end, whether we live or not, and never twice.

*Told afterwards.* How an attempt ended stands in the courier's record before it lets go of our connection. So whatever
became of us: once every connection of that time is gone, what isn't in the record never reached the tenant.

*Overlap.* Any number of messages may be under way at once; order is the caller's business.

Where courier and host die in the same moment nobody can tell: then an attempt may be made again that had arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from innkeeper.core.messages import Payload


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """A message on its way."""

    attempt: str
    """Never used twice."""
    message_id: str
    """The tenant gets it as `X-Innkeeper-Delivery`, the same at every attempt."""
    to: str
    """`10.64.0.17:8787`"""
    path: str
    payload: Payload


class Afterwards(Protocol):
    """Looks into what was under way at a certain time."""

    async def ended(self, attempt: str) -> int | None:
        """How an attempt of before that time ended, once that is certain; None: it never reached the tenant."""
        ...


class Courier(Protocol):
    """Carries messages; the contract stands above."""

    name: str
    """Begins the id of each attempt: only this installation's courier can tell how it ended."""

    async def deliver(self, parcel: Parcel) -> int:
        """The status that the tenant answers with, or 502 or 504 in its stead. EdgeFault: the courier isn't there, and
        the message has not reached the tenant. Cancelled, it is under way none the less."""
        ...

    async def look_back(self) -> Afterwards:
        """A look at all that is under way now."""
        ...
