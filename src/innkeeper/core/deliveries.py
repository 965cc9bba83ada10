"""What is written down of deliveries: begun before anything is sent, ended when the answer is there."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from innkeeper.core.errors import Problem
from innkeeper.core.inbox import InboxLimits
from innkeeper.core.messages import Lane, Message, MessageState, Payload, answered, begun, not_begun, unpacked
from innkeeper.core.ports import Clock, Seals, Store, Transaction
from innkeeper.core.redaction import redact


class Deliveries:
    """The use cases of whoever delivers."""

    def __init__(
        self,
        *,
        store: Store,
        seals: Seals,
        clock: Clock,
        limits: InboxLimits,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._seals = seals
        self._clock = clock
        self._limits = limits
        self._chance = chance

    async def lanes(self) -> Sequence[Lane]:
        """Where something waits, or is under way."""
        async with self._store.look() as tx:
            return await tx.messages.lanes()

    async def head(self, lane: Lane) -> Message | None:
        """The first in the lane."""
        async with self._store.look() as tx:
            return await tx.messages.head(lane)

    async def under_way(self) -> Sequence[Message]:
        """What was being delivered, perhaps by a control plane that is no more."""
        async with self._store.look() as tx:
            return await tx.messages.under_way()

    async def begin(self, message: Message, attempt: str) -> tuple[Message, Payload] | None:
        """Write down that the attempt begins; the message and what it says, or None where it isn't the first in its
        lane any more. Only then may anything be sent."""
        async with self._store.begin() as tx:
            head, sealed = await tx.messages.head(message.lane), await tx.messages.sealed(message.id)
            if head is None or sealed is None or (head.id, head.state) != (message.id, MessageState.WAITING):
                return None
            try:
                payload = unpacked(self._seals.unseal(head.tenant_id, head.id, sealed))
            except Problem as problem:  # a person has to look at it, and the others needn't wait for that
                dead = replace(
                    head, state=MessageState.DEAD, ended_at=self._clock.now(), last_error=redact(problem.message)
                )
                await tx.messages.change(dead, was=head)
                return None
            under_way = begun(head, attempt, self._clock.now())
            await tx.messages.change(under_way, was=head)
        return under_way, payload

    async def end(self, message: Message, status: int) -> Message:
        """Write down how it was answered; the message as it is then."""
        after = answered(message, status, self._clock.now(), self._chance)
        async with self._store.begin() as tx:
            if await tx.messages.change(after, was=message) and after.state is MessageState.DEAD:
                await self._make_room(tx, message.tenant)
        return after

    async def undo(self, message: Message) -> None:
        """Write down that the attempt came to nothing: it never reached the tenant."""
        async with self._store.begin() as tx:
            await tx.messages.change(not_begun(message, self._clock.now()), was=message)

    async def _make_room(self, tx: Transaction, tenant: str) -> None:
        dead = await tx.messages.page(tenant, states=[MessageState.DEAD])
        if too_many := superfluous(dead, self._limits):
            await tx.messages.drop([message.id for message in too_many])


def superfluous(dead: Sequence[Message], limits: InboxLimits) -> Sequence[Message]:
    """The dead letters that have to go: first those that were refused at the first try, which anybody can send."""
    number, size = len(dead), sum(message.size for message in dead)
    gone: list[Message] = []
    for message in sorted(dead, key=lambda each: (each.attempts > 1, each.number)):
        if number <= limits.messages and size <= limits.bytes:
            break
        gone.append(message)
        number, size = number - 1, size - message.size
    return gone
