"""Messages: webhooks that were accepted for a tenant, from their acceptance to their end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

ATTEMPTS_MAX = 35
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1, 3600
"""Doubled each time: twelve tries in the first hour or so, then one an hour; 35 of them take a day."""


class MessageState(StrEnum):
    """Where a message is."""

    WAITING = "waiting"
    DELIVERING = "delivering"  # under way, or was when a control plane died
    DELIVERED = "delivered"  # only its id is kept, to know it if it comes again
    DEAD = "dead"  # refused, or given up: kept for a person to look at

    @property
    def open(self) -> bool:
        """Whether it is still to be delivered."""
        return self in (MessageState.WAITING, MessageState.DELIVERING)


class Lane(NamedTuple):
    """What is delivered in order: the messages of one path of one tenant."""

    tenant: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Message:
    """All of a message but its payload."""

    id: str
    tenant: str
    tenant_id: str
    path: str
    port: int | None
    """Where the agent listened for it when it came; None: on its main port."""
    sender_id: str | None
    """The id that the sender gave it."""
    fingerprint: str | None
    """What makes it the same as another: the sender's id and the content, hashed. None: it may come twice."""
    size: int
    """Of its payload, in bytes, as kept."""
    received_at: datetime
    next_attempt_at: datetime
    number: int = 0
    """Its place in the order, given by the store."""
    state: MessageState = MessageState.WAITING
    attempts: int = 0
    attempt: str | None = None
    """The id of the latest attempt."""
    attempt_at: datetime | None = None
    ended_at: datetime | None = None
    last_error: str | None = None

    @property
    def lane(self) -> Lane:
        """Where it stands in line."""
        return Lane(self.tenant, self.path)


@dataclass(frozen=True, kw_only=True)
class Payload:
    """What the sender sent."""

    method: str
    query: str
    headers: tuple[tuple[str, str], ...]
    """Lower-case names; those that say who sent it and where to among them."""
    body: bytes

    def packed(self) -> bytes:
        """The whole of it as bytes: a line of JSON, then the body."""
        return json.dumps([self.method, self.query, self.headers]).encode() + b"\n" + self.body


def unpacked(raw: bytes) -> Payload:
    """What `packed` made bytes of."""
    head, _, body = raw.partition(b"\n")
    method, query, headers = json.loads(head)
    return Payload(method=method, query=query, headers=tuple((name, value) for name, value in headers), body=body)


# --- what becomes of it -----------------------------------------------------------------------------------------------


def begun(message: Message, attempt: str, now: datetime) -> Message:
    """The message on its way."""
    return replace(
        message,
        state=MessageState.DELIVERING,
        attempts=message.attempts + 1,
        attempt=attempt,
        attempt_at=now,
    )


def not_begun(message: Message, now: datetime) -> Message:
    """The message as if the attempt had never been made, for it never left the house."""
    return replace(message, state=MessageState.WAITING, attempts=message.attempts - 1, next_attempt_at=now)


def answered(message: Message, status: int, now: datetime, chance: Callable[[], float]) -> Message:
    """The message after the agent, or the edge in its stead, has answered with `status`."""
    if 200 <= status < 300:
        return replace(message, state=MessageState.DELIVERED, ended_at=now, last_error=None, size=0)
    error = f"It was answered with {status}."
    if refused(status) or message.attempts >= ATTEMPTS_MAX:
        return replace(message, state=MessageState.DEAD, ended_at=now, last_error=error)
    pause = timedelta(seconds=pause_s(message.attempts, chance))
    return replace(message, state=MessageState.WAITING, next_attempt_at=now + pause, last_error=error)


def refused(status: int) -> bool:
    """Whether the same again would get the same answer: the agent doesn't want it, rather than can't take it now."""
    return 400 <= status < 500 and status not in (408, 425, 429)


def pause_s(attempts: int, chance: Callable[[], float]) -> float:
    """How long to wait after so many attempts; spread by half, so that many who fail at once don't return at once."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S << (attempts - 1)) * (0.75 + chance() / 2)


def replayed(message: Message, now: datetime) -> Message:
    """A dead letter as if it had just come; it keeps its place in the order."""
    return replace(
        message,
        state=MessageState.WAITING,
        attempts=0,
        attempt=None,
        attempt_at=None,
        ended_at=None,
        next_attempt_at=now,
    )
