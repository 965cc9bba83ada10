"""/v1/tenants/{name}/inbox: the webhooks that were accepted for a tenant, never what they say."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.pages import Page, cursor_after, number_in
from innkeeper.api.schema import Document, ItemsOf
from innkeeper.api.tenants import Name
from innkeeper.core.access import Action
from innkeeper.core.messages import Message, MessageState
from innkeeper.core.records import Look

router = APIRouter(prefix="/tenants/{name}/inbox", tags=["inbox"])

MessageId = Annotated[str, Path(description="The message's id, as listed.")]


class MessageDocument(Document):
    """A message, without its content, which nobody but the agent gets to see."""

    id: str = Field(examples=["msg_01kadn3v9f2q6m8x4c7r5t0w1y"])
    tenant: str
    path: str
    sender_id: str | None
    """The id that the sender gave it, by the path's rule; null: it has none, and may come twice."""
    state: MessageState
    """`waiting`, `delivering`, `delivered` (only its id is left, to know it if it comes again) or `dead`."""
    size: int
    """Of its content as it is kept, in bytes."""
    received_at: datetime
    attempts: int
    next_attempt_at: datetime | None
    """When it is due, if it waits and its turn has come."""
    ended_at: datetime | None
    """When it was delivered, refused or given up."""
    last_error: str | None


class MessagePage(ItemsOf[MessageDocument]):
    """One page of a tenant's inbox."""


class ReplayedDocument(Document):
    """What was replayed."""

    replayed: int
    """How many dead letters wait to be delivered again."""


@router.get("", summary="Look into an inbox")
@needs(Action.READ)
async def index(
    name: Name,
    inn: TheInn,
    guest: TheGuest,
    page: Page,
    state: Annotated[list[MessageState] | None, Query(description="Only those in this state; may be repeated.")] = None,
) -> MessagePage:
    """The messages in the order of their coming."""
    await inn.records.looked(guest.actor, await inn.control.tenant(name), Look.INBOX)
    read = await inn.inbox.page(name, states=state or (), after=number_in(page.after), limit=page.take)
    found, more = page.cut(read)
    items = [message_document(message) for message in found]
    return MessagePage(items=items, next_cursor=cursor_after(str(found[-1].number)) if more else None)


@router.post("/replay", summary="Replay all dead letters")
@needs(Action.STEER)
async def replay_all(name: Name, inn: TheInn, guest: TheGuest) -> ReplayedDocument:
    """Have every dead letter of the tenant delivered after all, each in its old place in the order."""
    return ReplayedDocument(replayed=len(await inn.inbox.replay_all(name, actor=guest.actor)))


@router.post("/{message_id}/replay", summary="Replay a dead letter")
@needs(Action.STEER)
async def replay(name: Name, message_id: MessageId, inn: TheInn, guest: TheGuest) -> MessageDocument:
    """Have it delivered after all, in its old place in the order. Any other message than a dead letter is refused."""
    return message_document(await inn.inbox.replay(name, message_id, actor=guest.actor))


@router.delete("/{message_id}", status_code=204, summary="Discard a message")
@needs(Action.STEER)
async def discard(name: Name, message_id: MessageId, inn: TheInn, guest: TheGuest) -> None:
    """Remove it for good, unless it is being delivered just now. If it comes again it is new."""
    await inn.inbox.discard(name, message_id, actor=guest.actor)


def message_document(message: Message) -> MessageDocument:
    """A message as the API shows it."""
    return MessageDocument(
        id=message.id,
        tenant=message.tenant,
        path=message.path,
        sender_id=message.sender_id,
        state=message.state,
        size=message.size,
        received_at=message.received_at,
        attempts=message.attempts,
        next_attempt_at=message.next_attempt_at if message.state is MessageState.WAITING else None,
        ended_at=message.ended_at,
        last_error=message.last_error,
    )
