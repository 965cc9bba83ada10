"""The demo model's answers as the two protocols have them, whole and in events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from innkeeper.broker.metering import Tokens


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the model says, before it has a shape."""

    id: str
    model: str
    text: str
    pieces: tuple[str, ...]
    tokens: Tokens


def count(tokens: int) -> bytes:
    """Anthropic's answer to count_tokens."""
    return _json({"input_tokens": tokens})


def openai_reply(said: Said) -> bytes:
    """A chat completion."""
    message = {"role": "assistant", "content": said.text}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _json({**_completion(said, "chat.completion"), "choices": [choice], "usage": _openai_usage(said)})


def openai_events(said: Said) -> Iterator[bytes]:
    """The chunks of a chat completion, usage last."""
    base = _completion(said, "chat.completion.chunk")

    def chunk(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event({**base, "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    for piece in said.pieces:
        yield chunk({"content": piece})
    yield chunk({}, "stop")
    yield _event({**base, "choices": [], "usage": _openai_usage(said)})
    yield b"data: [DONE]\n\n"


def anthropic_reply(said: Said) -> bytes:
    """A message."""
    return _json(_message(said, [{"type": "text", "text": said.text}], "end_turn", said.tokens.output))


def anthropic_events(said: Said) -> Iterator[bytes]:
    """The events of a message."""
    yield _named({"type": "message_start", "message": _message(said, [], None, 0)})
    yield _named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    for piece in said.pieces:
        delta = {"type": "text_delta", "text": piece}
        yield _named({"type": "content_block_delta", "index": 0, "delta": delta})
    yield _named({"type": "content_block_stop", "index": 0})
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _named({"type": "message_delta", "delta": end, "usage": {"output_tokens": said.tokens.output}})
    yield _named({"type": "message_stop"})


def _completion(said: Said, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{said.id}", "object": kind, "created": 0, "model": said.model}


def _openai_usage(said: Said) -> dict[str, int]:
    tokens = said.tokens
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
    }


def _message(said: Said, content: list[dict[str, str]], stop_reason: str | None, output: int) -> dict[str, Any]:
    return {
        "id": f"msg_{said.id}",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": said.tokens.input, "output_tokens": output},
    }


def _named(payload: dict[str, Any]) -> bytes:
    return b"event: " + str(payload["type"]).encode() + b"\n" + _event(payload)


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + _json(payload) + b"\n\n"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
