"""/v1/tenants/{name}/chat: a conversation with a tenant's agent, by the same door as the edge, which wakes it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx2
from fastapi import APIRouter, Request
from pydantic import Field, model_validator

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.schema import Body
from innkeeper.api.sse import STREAM, Events, EventStream, Sse
from innkeeper.api.tenants import Name
from innkeeper.api.waiting import until_over
from innkeeper.core.access import Action
from innkeeper.core.errors import Conflict, Kind, Problem, TenantNotReady, Unauthenticated
from innkeeper.core.records import Look
from innkeeper.core.tenant import Tenant

ANSWER_MAX = 4 << 20
"""Bytes of an answer that isn't streamed, or of one event of one that is: no agent is to fill our memory."""
_TIMEOUT = httpx2.Timeout(10.0, read=600.0)  # an agent may think for minutes before its first word

router = APIRouter(prefix="/tenants/{name}", tags=["tenants"])


class NoChat(Conflict):
    """The tenant's agent has no chat endpoint."""

    code = "no_chat"
    default_hint = "Open the tenant's own page instead: `innkeeper tenant url NAME`."


class AgentFault(Problem):
    """The tenant's agent was reached, but didn't give a proper answer."""

    code = "agent_fault"
    kind = Kind.FAILED
    default_hint = "Read its log with `innkeeper tenant logs NAME`."


class Message(Body):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Chat(Body):
    """What is said to the agent: one `message`, or a whole conversation as `messages`."""

    message: str | None = Field(default=None, min_length=1, examples=["What can you do?"])
    messages: list[Message] | None = Field(default=None, min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _exactly_one(self) -> Chat:
        if (self.message is None) == (self.messages is None):
            raise ValueError("send either `message` or `messages`")
        return self

    def turns(self) -> list[dict[str, str]]:
        """The conversation in the form that agents take."""
        if self.messages is not None:
            return [{"role": turn.role, "content": turn.content} for turn in self.messages]
        return [{"role": "user", "content": self.message or ""}]


STAND_IN_CLIENT = "192.0.2.1"
"""We come from the edge's address, and OpenClaw refuses a trusted proxy that names no client behind it; see the edge's
own stand-in."""


@router.post("/chat", summary="Chat with a tenant", **STREAM)
@needs(Action.ENTER)
async def chat(name: Name, body: Chat, request: Request, inn: TheInn, guest: TheGuest) -> EventStream:
    """Wakes the tenant, then streams the answer: events `delta` with `text`, then one `done`, or `error`."""
    tenant = await inn.control.tenant(name)
    model = inn.control.agent(tenant.spec.agent).chat_model(tenant.spec)
    if model is None:
        raise NoChat(f"The agent `{tenant.spec.agent}` has no chat endpoint.")
    await inn.records.looked(guest.actor, tenant, Look.CHAT)
    upstream = await until_over(inn.door.enter(tenant), request=request, inn=inn)
    if not guest.is_still_welcome():
        raise Unauthenticated(
            "The credential isn't valid any more."
        )  # the agent would do what it is told to all the same
    inn.door.touched(tenant)
    asked = {"messages": body.turns(), "stream": True} | ({"model": model} if model else {})
    answer = _answer(tenant, f"http://{upstream.address}/v1/chat/completions", asked, inn)
    return EventStream(answer, guest=guest, stopping=inn.stopping)


async def _answer(tenant: Tenant, url: str, asked: dict[str, object], inn: Inn) -> Events:
    reason = None
    with inn.dormitory.working(tenant.name):
        async with _asked(tenant, url, asked, inn) as response:
            async for piece in _pieces(response):
                inn.door.touched(tenant)
                if text := _text(piece):
                    yield Sse(event="delta", data={"text": text})
                reason = _choice(piece).get("finish_reason") or reason
    yield Sse(event="done", data={"finish_reason": reason})


@asynccontextmanager
async def _asked(tenant: Tenant, url: str, asked: dict[str, object], inn: Inn) -> AsyncIterator[httpx2.Response]:
    """The agent's response, its head received and judged. A connection of its own: a kept one would count as use."""
    headers = {
        **inn.entrance(tenant).headers,
        "Accept": "text/event-stream",
        "Accept-Encoding": "identity",
        "X-Forwarded-For": STAND_IN_CLIENT,
        "X-Forwarded-Proto": "http",
    }
    try:
        async with (
            httpx2.AsyncClient(timeout=_TIMEOUT, trust_env=False, follow_redirects=False) as client,
            client.stream("POST", url, json=asked, headers=headers) as response,
        ):
            if response.status_code != 200 or "content-encoding" in response.headers:
                raise AgentFault(f"{tenant.name} answered with status {response.status_code}.")
            yield response
    except httpx2.ConnectError as error:
        raise TenantNotReady(f"{tenant.name} doesn't take connections.") from error
    except httpx2.HTTPError as error:
        raise AgentFault(f"{tenant.name} broke off: {type(error).__name__}.") from error


async def _pieces(response: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
    """The chunks of a streamed answer; one that comes whole is one chunk."""
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        yield _parsed(await _whole(response))
        return
    async for event in httpx2.EventSource(response, max_event_size=ANSWER_MAX):
        if event.data == "[DONE]":
            return
        yield _parsed(event.data)


async def _whole(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > ANSWER_MAX:
            raise AgentFault("The answer is too long.")
    return bytes(body)


def _parsed(text: str | bytes) -> dict[str, Any]:
    try:
        piece = json.loads(text)
    except ValueError as error:
        raise AgentFault("The answer isn't JSON.") from error
    if not isinstance(piece, dict) or "error" in piece:
        raise AgentFault("The agent reported an error instead of an answer.")
    return piece


def _choice(piece: dict[str, Any]) -> dict[str, Any]:
    choices = piece.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _text(piece: dict[str, Any]) -> str:
    said = _choice(piece).get("delta") or _choice(piece).get("message")
    content = said.get("content") if isinstance(said, dict) else None
    return content if isinstance(content, str) else ""
