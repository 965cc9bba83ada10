"""The built-in model: no key, no network, no thought. It shows that everything around it works."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from innkeeper.broker import demo_shapes
from innkeeper.broker.calls import Call, Dialect, Endpoint
from innkeeper.broker.exchange import JSON
from innkeeper.broker.metering import Tokens
from innkeeper.broker.upstream import Answer, Reply, Stream
from innkeeper.core.errors import Invalid

DEMO_MODEL = "innkeeper-demo"

# What agents put around a user's words. Nothing of it is ever repeated: OpenClaw's streams break when it is.
_INTERNAL = re.compile(
    r"<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>.*?(?:<<<END_OPENCLAW_INTERNAL_CONTEXT>>>|\Z)"
    r"|\[Runtime Context\b.*?(?:\[/Runtime Context\]|\Z)"
    r"|\n\nRuntime: .*\Z",
    re.DOTALL,
)
_TIMESTAMP = re.compile(r"\A\s*\[[^\]\n]{1,80}\]\s*")
_EVENT_STREAM = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))
_PIECE = re.compile(r"(?:\S+\s*){1,5}")


class DemoModel:
    """Answers the same words with the same words: how many there were, and a checksum to tell turns apart."""

    name = "demo"
    endpoints = frozenset({Endpoint.CHAT, Endpoint.MESSAGES, Endpoint.COUNT_TOKENS})
    default: str | None = DEMO_MODEL
    patterns: Sequence[str] = ()
    slashed = False

    def model_for(self, model: str) -> str:
        """Whatever was asked for."""
        return DEMO_MODEL

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[Answer]:
        """Answer at once; streams come in several chunks, as a real model's do."""
        messages = call.request.get("messages")
        if not isinstance(messages, list) or not messages:
            raise Invalid("`messages` must be a list that isn't empty.", field="messages")
        prompt = [text for message in _dicts(messages) for text in _texts(message)]
        asked = sum(len(text.split()) for text in (*prompt, *_texts({"content": call.request.get("system")})))
        if call.endpoint is Endpoint.COUNT_TOKENS:
            yield _reply(demo_shapes.count(asked))
            return
        text = demo_answer(last_words(messages))
        said = demo_shapes.Said(
            id=_checksum("\n".join(prompt)),
            model=DEMO_MODEL,
            text=text,
            pieces=tuple(_PIECE.findall(text)),
            tokens=Tokens(input=asked, output=len(text.split())),
        )
        yield _shaped(call, said)


def demo_answer(words: str) -> str:
    """What the demo model says to these words."""
    count = len(words.split())
    return (
        "This is Innkeeper's built-in demo model. It doesn't think: it shows that your agent, its network and the "
        f"broker work together. You wrote {count} {'word' if count == 1 else 'words'} (checksum {_checksum(words)}). "
        "Set ANTHROPIC_API_KEY or OPENAI_API_KEY for a real model."
    )


def last_words(messages: Iterable[Any]) -> str:
    """The user's last words, without what the agent put around them."""
    for message in reversed(list(_dicts(messages))):
        if message.get("role") != "user":
            continue
        text = _TIMESTAMP.sub("", _INTERNAL.sub("", "\n".join(_texts(message)))).strip()
        if text:
            return text
    return ""


def _shaped(call: Call, said: demo_shapes.Said) -> Answer:
    openai = call.dialect is Dialect.OPENAI
    if not call.streams:
        return _reply(demo_shapes.openai_reply(said) if openai else demo_shapes.anthropic_reply(said))
    events = demo_shapes.openai_events(said) if openai else demo_shapes.anthropic_events(said)
    return Stream(headers=_EVENT_STREAM, chunks=_one_by_one(events))


async def _one_by_one(events: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    for event in events:
        yield event
        await asyncio.sleep(0)


def _reply(body: bytes) -> Reply:
    return Reply(status=200, headers=JSON, body=body)


def _dicts(messages: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    return (message for message in messages if isinstance(message, dict))


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    """A message's text, in either protocol's shape: a string, or parts of which some are text."""
    content = message.get("content")
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
                yield part["text"]


def _checksum(words: str) -> str:
    return hashlib.sha256(words.encode(errors="replace")).hexdigest()[:8]
