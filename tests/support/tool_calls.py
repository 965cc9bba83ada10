"""What providers say when a model wants a tool, and what they say at OpenAI's newer endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.support.fake_provider import OPENAI_USAGE, Asked, Reply

ARGUMENTS = '{"city": "Oslo"}'
_CHAT = {"id": "c1", "created": 1, "model": "fake"}
_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}
_MESSAGE = {"id": "m1", "type": "message", "role": "assistant", "model": "fake", "stop_sequence": None}
_USE = {"type": "tool_use", "id": "toolu_1", "name": "weather"}
_USED = {"input_tokens": 9, "output_tokens": 5}
_RESPONSES_USED = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 8},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 25,
}


async def wants_a_tool(reply: Reply) -> None:
    """The script: asks for the tool, or embeds, in the protocol and the manner that the request wants."""
    asked = reply.asked
    if asked.body.get("stream"):
        await reply.start()
        await reply.write(*_events(asked))
        await reply.end()
    else:
        await reply.start(content_type="application/json")
        await reply.end(json.dumps(_whole(asked)).encode())


def _whole(asked: Asked) -> dict[str, Any]:
    match asked.path.rpartition("/v1/")[2]:
        case "messages":
            use = {**_USE, "input": json.loads(ARGUMENTS)}
            return {**_MESSAGE, "content": [use], "stop_reason": "tool_use", "usage": _USED}
        case "embeddings":
            embedded = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}]
            used = {"prompt_tokens": 8, "total_tokens": 8}
            return {"object": "list", "data": embedded, "model": "fake", "usage": used}
        case "responses":
            return _response("completed", [_function_call("completed")], _RESPONSES_USED)
        case _:
            message = {"role": "assistant", "content": None, "tool_calls": [_CALL]}
            choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
            return {**_CHAT, "object": "chat.completion", "choices": [choice], "usage": OPENAI_USAGE}


def _events(asked: Asked) -> Iterator[bytes]:
    match asked.path.rpartition("/v1/")[2]:
        case "messages":
            payloads, named = _message_payloads(), True
        case "responses":
            payloads, named = _response_payloads(), True
        case _:
            payloads, named = _chat_payloads(), False
    for payload in payloads:
        name = f"event: {payload['type']}\n" if named else ""
        yield f"{name}data: {json.dumps(payload)}\n\n".encode()
    if not named:
        yield b"data: [DONE]\n\n"


def _chat_payloads() -> list[dict[str, Any]]:
    first = {"index": 0, **_CALL, "function": {"name": "weather", "arguments": ""}}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "tool_calls": [first]}]
    deltas += [
        {"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in (ARGUMENTS[:5], ARGUMENTS[5:])
    ]
    choices: list[list[dict[str, Any]]] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    choices.append([{"index": 0, "delta": {}, "finish_reason": "tool_calls"}])
    chunks: list[dict[str, Any]] = [{**_CHAT, "object": "chat.completion.chunk", "choices": each} for each in choices]
    return [*chunks, {**_CHAT, "object": "chat.completion.chunk", "choices": [], "usage": OPENAI_USAGE}]


def _message_payloads() -> list[dict[str, Any]]:
    message: dict[str, Any] = {
        **_MESSAGE,
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 9, "output_tokens": 1},
    }
    parts = [{"type": "input_json_delta", "partial_json": part} for part in (ARGUMENTS[:5], ARGUMENTS[5:])]
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {**_USE, "input": {}}},
        *({"type": "content_block_delta", "index": 0, "delta": part} for part in parts),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 5},
        },
        {"type": "message_stop"},
    ]


def _function_call(status: str) -> dict[str, Any]:
    arguments = ARGUMENTS if status == "completed" else ""
    return {
        "id": "fc_1",
        "type": "function_call",
        "call_id": "call_1",
        "name": "weather",
        "arguments": arguments,
        "status": status,
    }


def _response(status: str, output: list[dict[str, Any]], usage: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "fake",
        "status": status,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
    }


def _response_payloads() -> list[dict[str, Any]]:
    at = {"item_id": "fc_1", "output_index": 0}
    payloads: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response("in_progress", [], None)},
        {"type": "response.output_item.added", "output_index": 0, "item": _function_call("in_progress")},
        {"type": "response.function_call_arguments.delta", **at, "delta": ARGUMENTS[:5]},
        {"type": "response.function_call_arguments.delta", **at, "delta": ARGUMENTS[5:]},
        {"type": "response.function_call_arguments.done", **at, "arguments": ARGUMENTS, "name": "weather"},
        {"type": "response.output_item.done", "output_index": 0, "item": _function_call("completed")},
        {
            "type": "response.completed",
            "response": _response("completed", [_function_call("completed")], _RESPONSES_USED),
        },
    ]
    return [{**payload, "sequence_number": number} for number, payload in enumerate(payloads)]
