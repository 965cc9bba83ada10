"""How many tokens a call may use, before anybody has counted them: cautious, so that a budget isn't passed unseen.

Two bytes of a request count as one token of its input. What isn't words is counted apart: a picture costs what
providers ask for a large one, whatever its bytes are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from innkeeper.broker.calls import Call, Endpoint
from innkeeper.broker.metering import BYTES_A_TOKEN

OUTPUT_TOKENS = 4096
"""Where the call doesn't say how long its answer may be. An answer that gets longer counts as long as it is."""
OUTPUT_MAX = 1_000_000
CHOICES_MAX = 128
PICTURE_TOKENS = 5000
"""More than Anthropic and OpenAI count for the largest that they look at."""
DOCUMENT_TOKENS = 100_000
"""One that is only named: as many pages as Anthropic takes, at a thousand each."""
KEPT_TOKENS = 100_000
"""Where the call only names what the provider keeps, such as the conversation so far: nobody here knows its length."""
SOUND_BYTES_A_TOKEN = 64
"""Of base64: some ten tokens are a second, in which even narrow-band speech has a kilobyte."""
_KEPT_FIELDS = ("previous_response_id", "conversation", "prompt")
_OUTPUT_FIELDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What may be used."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, kw_only=True)
class _Attachment:
    """A part of a request that isn't words: how many bytes of the body it is, and what it costs instead."""

    size: int
    tokens: int


def estimate_of(call: Call) -> Estimate:
    """What the call may use."""
    attached = [each for name in ("messages", "input") for each in _attachments(call.request.get(name))]
    words = max(0, call.size - sum(each.size for each in attached))
    kept = call.endpoint is Endpoint.RESPONSES and any(call.request.get(name) for name in _KEPT_FIELDS)
    return Estimate(
        input_tokens=-(-words // BYTES_A_TOKEN) + sum(each.tokens for each in attached) + KEPT_TOKENS * kept,
        output_tokens=0
        if call.endpoint is Endpoint.EMBEDDINGS
        else _output_tokens(call.request) * _whole(call.request.get("n"), CHOICES_MAX, 1),
    )


def _output_tokens(request: Mapping[str, Any]) -> int:
    said = [
        _whole(request[name], OUTPUT_MAX, OUTPUT_TOKENS) for name in _OUTPUT_FIELDS if request.get(name) is not None
    ]
    return max(said, default=OUTPUT_TOKENS)


def _whole(said: Any, most: int, instead: int) -> int:
    if isinstance(said, bool) or not isinstance(said, int) or said < 1:
        return instead
    return min(said, most)


def _attachments(messages: Any) -> Iterator[_Attachment]:
    for message in _dicts(messages):
        for part in _dicts(message.get("content")):
            yield from _attachment(part)
            if part.get("type") == "tool_result":
                for within in _dicts(part.get("content")):
                    yield from _attachment(within)


def _attachment(part: Mapping[str, Any]) -> Iterator[_Attachment]:
    match part.get("type"):
        case "image":
            yield _Attachment(size=_length(_of(part, "source"), "data"), tokens=PICTURE_TOKENS)
        case "image_url":
            yield _Attachment(size=_length(_of(part, "image_url"), "url"), tokens=PICTURE_TOKENS)
        case "input_image":
            yield _Attachment(size=_length(part, "image_url"), tokens=PICTURE_TOKENS)
        case "input_audio":
            size = _length(_of(part, "input_audio"), "data")
            yield _Attachment(size=size, tokens=-(-size // SOUND_BYTES_A_TOKEN))
        case "document" if _of(part, "source").get("type") in ("url", "file"):
            yield _Attachment(size=0, tokens=DOCUMENT_TOKENS)
        case "file" if not _length(_of(part, "file"), "file_data"):
            yield _Attachment(size=0, tokens=DOCUMENT_TOKENS)
        case "input_file" if not _length(part, "file_data"):
            yield _Attachment(size=0, tokens=DOCUMENT_TOKENS)
        case _:
            pass


def _dicts(values: Any) -> Iterable[Mapping[str, Any]]:
    return (each for each in values if isinstance(each, dict)) if isinstance(values, list) else ()


def _of(part: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = part.get(name)
    return value if isinstance(value, dict) else {}


def _length(part: Mapping[str, Any], name: str) -> int:
    value = part.get(name)
    return len(value) if isinstance(value, str) else 0
