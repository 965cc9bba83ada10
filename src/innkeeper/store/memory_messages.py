"""The core's `Messages` on plain dictionaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from innkeeper.core.messages import Lane, Message, MessageState
from innkeeper.core.ports import Load
from innkeeper.store import rules
from innkeeper.store.memory_tables import Tables


class MemoryMessages:
    """The inboxes, within one transaction."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def add(self, message: Message, sealed: bytes) -> Message:
        tenant = self._tables.tenants.get(message.tenant)
        if tenant is None or tenant.id != message.tenant_id:
            raise rules.no_tenant(message.tenant)
        if message.fingerprint is not None and await self.like(message.tenant_id, message.path, message.fingerprint):
            raise rules.kept_already()
        self._tables.last_number = [self._tables.last_number[0] + 1]
        added = replace(message, number=self._tables.last_number[0])
        self._tables.messages[added.number] = added, sealed
        return added

    async def get(self, tenant: str, message_id: str) -> Message | None:
        return next((each for each in self._all() if each.id == message_id and each.tenant == tenant), None)

    async def like(self, tenant_id: str, path: str, fingerprint: str) -> Message | None:
        same = (tenant_id, path, fingerprint)
        return next((each for each in self._all() if (each.tenant_id, each.path, each.fingerprint) == same), None)

    async def sealed(self, message_id: str) -> bytes | None:
        return next((sealed for each, sealed in self._tables.messages.values() if each.id == message_id), None)

    async def page(
        self, tenant: str, *, states: Collection[MessageState] = (), after: int = 0, limit: int | None = None
    ) -> Sequence[Message]:
        wanted = states or tuple(MessageState)
        found = [each for each in self._all() if each.tenant == tenant and each.number > after and each.state in wanted]
        return found[:limit]

    async def head(self, lane: Lane) -> Message | None:
        return next((each for each in self._all() if each.lane == lane and each.state.open), None)

    async def lanes(self) -> Sequence[Lane]:
        return list(dict.fromkeys(each.lane for each in self._all() if each.state.open))

    async def under_way(self) -> Sequence[Message]:
        return [each for each in self._all() if each.state is MessageState.DELIVERING]

    async def load(self, tenant: str) -> Load:
        sizes = [each.size for each in self._all() if each.tenant == tenant and each.state.open]
        return Load(messages=len(sizes), bytes=sum(sizes))

    async def change(self, message: Message, *, was: Message) -> bool:
        kept = self._tables.messages.get(was.number)
        if kept is None or (kept[0].state, kept[0].attempt) != (was.state, was.attempt):
            return False
        sealed = None if message.state is MessageState.DELIVERED else kept[1]
        self._tables.messages[was.number] = replace(message, number=was.number), sealed
        return True

    async def drop(self, message_ids: Collection[str]) -> int:
        return self._drop([each for each in self._all() if each.id in message_ids])

    async def counts(self) -> Mapping[MessageState, int]:
        return Counter(each.state for each in self._all())

    async def forget(self, *, before: datetime, keep: int) -> int:
        delivered: dict[str, list[Message]] = {}
        for each in self._all():
            if each.state is MessageState.DELIVERED:
                delivered.setdefault(each.tenant, []).append(each)
        old = [each for its in delivered.values() for each in its if each.ended_at and each.ended_at < before]
        dropped = self._drop(old)
        left = [[each for each in its if each.number in self._tables.messages] for its in delivered.values()]
        return dropped + self._drop([each for its in left for each in its[: max(0, len(its) - keep)]])

    def _drop(self, messages: Sequence[Message]) -> int:
        for each in messages:
            del self._tables.messages[each.number]
        return len(messages)

    def _all(self) -> Iterator[Message]:
        return (each for each, _ in tuple(self._tables.messages.values()))
