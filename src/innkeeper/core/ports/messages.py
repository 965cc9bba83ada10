"""What the core needs of a store for messages; all of it happens within a transaction of the store's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from innkeeper.core.messages import Lane, Message, MessageState


@dataclass(frozen=True, kw_only=True)
class Load:
    """What lies in a tenant's inbox and is still to be delivered."""

    messages: int
    bytes: int


class Messages(Protocol):
    """The messages of all tenants. They go with their tenant."""

    async def add(self, message: Message, sealed: bytes) -> Message:
        """Write it down at the end of the order; the message with its number. UnknownTenant; Conflict when its
        fingerprint is there already on that path of that tenant."""
        ...

    async def get(self, tenant: str, message_id: str) -> Message | None: ...

    async def like(self, tenant_id: str, path: str, fingerprint: str) -> Message | None:
        """The message with that fingerprint."""
        ...

    async def sealed(self, message_id: str) -> bytes | None:
        """Its payload; None once it is delivered, or gone."""
        ...

    async def page(
        self, tenant: str, *, states: Collection[MessageState] = (), after: int = 0, limit: int | None = None
    ) -> Sequence[Message]:
        """Those in one of the states (none given: in any), in their order."""
        ...

    async def head(self, lane: Lane) -> Message | None:
        """The first of the lane that is still to be delivered, or under way."""
        ...

    async def lanes(self) -> Sequence[Lane]:
        """Those in which something is still to be delivered, or under way."""
        ...

    async def under_way(self) -> Sequence[Message]:
        """Those that are being delivered, or were when a control plane died."""
        ...

    async def load(self, tenant: str) -> Load: ...

    async def change(self, message: Message, *, was: Message) -> bool:
        """Write what has become of it, unless it isn't any more what it was (state and attempt); whether that was
        written. A delivered message loses its payload at once."""
        ...

    async def drop(self, message_ids: Collection[str]) -> int:
        """Remove them, payload and all; how many were there."""
        ...

    async def counts(self) -> Mapping[MessageState, int]:
        """How many are in each state, over all tenants."""
        ...

    async def forget(self, *, before: datetime, keep: int) -> int:
        """Drop those that were delivered before that, and of each tenant's all but the latest `keep`; how many."""
        ...
