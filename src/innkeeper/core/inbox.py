"""The use cases of the inbox: a webhook is accepted once it is written down, and people look after the dead letters."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from weakref import WeakValueDictionary

from innkeeper.core.access import Actor
from innkeeper.core.audit import Entry, entry
from innkeeper.core.errors import InboxFull, MessageNotDead, MessageUnderWay, UnknownMessage, UnknownTenant
from innkeeper.core.ids import new_id
from innkeeper.core.messages import Lane, Message, MessageState, Payload, replayed
from innkeeper.core.openings import InboxPath
from innkeeper.core.ports import Clock, Seals, Store, Transaction
from innkeeper.core.sender_ids import sender_id
from innkeeper.core.tenant import Tenant, Wanted

_ID = re.compile(r"msg_[0-9a-z]{26}")
FULL_FOR_S = 1.0
"""A full inbox isn't asked again so soon: a flood at it costs the store nothing."""


class Accepted(StrEnum):
    """How accepting ended, for the metrics."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    FULL = "full"


@dataclass(frozen=True, kw_only=True)
class InboxLimits:
    """What one tenant's inbox holds: of messages that are still to be delivered, and once more of dead letters."""

    messages: int = 1000
    bytes: int = 64 << 20


class Inbox:
    """Takes in what is sent to tenants that may be asleep."""

    def __init__(
        self,
        *,
        store: Store,
        seals: Seals,
        clock: Clock,
        limits: InboxLimits,
        count: Callable[[Accepted], object] = lambda _: None,
    ) -> None:
        self._store = store
        self._seals = seals
        self._clock = clock
        self._limits = limits
        self._count = count
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._full_until: dict[str, float] = {}
        self._listeners: list[Callable[[Lane], None]] = []

    def on_waiting(self, listener: Callable[[Lane], None]) -> None:
        """Call `listener` with the lane of each message that waits from now on."""
        self._listeners.append(listener)

    async def accept(self, tenant: str, tenant_id: str, at: InboxPath, payload: Payload) -> bool:
        """Write the message down, on the disk; False: it is there already. Raises InboxFull, UnknownTenant.

        One and the same are messages with the same id and content: with the id alone, whoever guesses the next one
        could keep a sender's own message out.
        """
        name = sender_id(at.id, dict(payload.headers), payload.body)
        fingerprint = None if name is None else self._fingerprint(tenant_id, name, payload.body)
        turn = self._turns.setdefault(tenant, asyncio.Lock())
        async with turn:  # of a flood, one waits for the store; the others wait here, and keep nobody else waiting
            self._refuse_if_full(tenant)
            added = await self._add(tenant, tenant_id, at, payload, name, fingerprint)
        self._count(Accepted.ACCEPTED if added else Accepted.DUPLICATE)
        if added:
            self._tell(Lane(tenant, at.path))
        return added

    async def _add(
        self, tenant: str, tenant_id: str, at: InboxPath, payload: Payload, name: str | None, fingerprint: str | None
    ) -> bool:
        now, message_id = self._clock.now(), new_id("msg")
        sealed = self._seals.seal(tenant_id, message_id, payload.packed())
        message = Message(
            id=message_id,
            tenant=tenant,
            tenant_id=tenant_id,
            path=at.path,
            port=at.port,
            sender_id=name,
            fingerprint=fingerprint,
            size=len(sealed),
            received_at=now,
            next_attempt_at=now,
        )
        async with self._store.begin(synced=True) as tx:
            there = await tx.tenant(tenant)
            if there is None or there.id != tenant_id or there.wanted is Wanted.GONE:
                raise UnknownTenant("No tenant answers at this address.", hint="")
            same = await tx.messages.like(tenant_id, at.path, fingerprint) if fingerprint else None
            if same is not None and same.state is not MessageState.DEAD:
                return False
            load = await tx.messages.load(tenant)
            if load.messages >= self._limits.messages or load.bytes + len(sealed) > self._limits.bytes:
                self._full_until[tenant] = asyncio.get_running_loop().time() + FULL_FOR_S
                raise self.full(f"The inbox of {tenant} is full.")
            if same is not None:  # the agent didn't take it then, and somebody has sent it again
                await tx.messages.drop([same.id])
            await tx.messages.add(message, sealed)
        return True

    def _fingerprint(self, tenant_id: str, name: str, body: bytes) -> str:
        return self._seals.fingerprint(tenant_id, b"\n".join((name.encode(errors="replace"), body)))

    def _refuse_if_full(self, tenant: str) -> None:
        until = self._full_until.get(tenant)
        if until is None:
            return
        if asyncio.get_running_loop().time() < until:
            raise self.full(f"The inbox of {tenant} is full.")
        del self._full_until[tenant]

    def full(self, why: str) -> InboxFull:
        """The refusal, counted."""
        self._count(Accepted.FULL)
        return InboxFull(why)

    def _tell(self, lane: Lane) -> None:
        for listener in self._listeners:
            listener(lane)

    # --- for people -----------------------------------------------------------------------------------------------

    async def page(
        self, name: str, *, states: Collection[MessageState] = (), after: int = 0, limit: int | None = None
    ) -> Sequence[Message]:
        """A tenant's messages in their order, without their payloads."""
        async with self._store.look() as tx:
            await _tenant(tx, name)
            return await tx.messages.page(name, states=states, after=after, limit=limit)

    async def replay(self, name: str, message_id: str, *, actor: Actor) -> Message:
        """Have a dead letter delivered after all; UnknownMessage, MessageNotDead."""
        async with self._store.begin() as tx:
            message = await _message(tx, name, message_id)
            if message.state is not MessageState.DEAD:
                raise MessageNotDead(f"{message.id} is {message.state}.")
            again = await self._replay(tx, message)
            await tx.audit(self._entry(actor, "inbox.replay", message, message=message.id, path=message.path))
        self._tell(again.lane)
        return again

    async def replay_all(self, name: str, *, actor: Actor) -> Sequence[Message]:
        """The same for all dead letters of a tenant."""
        async with self._store.begin() as tx:
            await _tenant(tx, name)
            dead = await tx.messages.page(name, states=[MessageState.DEAD])
            again = [await self._replay(tx, message) for message in dead]
            if again:
                await tx.audit(self._entry(actor, "inbox.replay", again[0], messages=len(again)))
        for lane in {message.lane for message in again}:
            self._tell(lane)
        return again

    async def discard(self, name: str, message_id: str, *, actor: Actor) -> None:
        """Away with it, payload and all; UnknownMessage, MessageUnderWay."""
        async with self._store.begin() as tx:
            message = await _message(tx, name, message_id)
            if message.state is MessageState.DELIVERING:
                raise MessageUnderWay(f"{message.id} is being delivered.")
            await tx.messages.drop([message.id])
            await tx.audit(self._entry(actor, "inbox.discard", message, message=message.id, path=message.path))

    async def _replay(self, tx: Transaction, message: Message) -> Message:
        again = replayed(message, self._clock.now())
        await tx.messages.change(again, was=message)
        return again

    def _entry(self, actor: Actor, action: str, of: Message, **detail: object) -> Entry:
        return entry(actor, action, at=self._clock.now(), tenant=of.tenant, tenant_id=of.tenant_id, detail=detail)


async def _tenant(tx: Transaction, name: str) -> Tenant:
    tenant = await tx.tenant(name)
    if tenant is None:
        raise UnknownTenant(f"There is no tenant {name[:60]!r}.")
    return tenant


async def _message(tx: Transaction, name: str, message_id: str) -> Message:
    await _tenant(tx, name)
    message = await tx.messages.get(name, message_id) if _ID.fullmatch(message_id) else None
    if message is None:
        raise UnknownMessage(f"The inbox of {name} has no message {message_id[:60]!r}.")
    return message
