"""What the broker asks of whoever answers model calls: a provider's API, or the built-in demo model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from innkeeper.broker.calls import Call, Endpoint
from innkeeper.broker.exchange import Headers


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A whole answer, an error of the provider's included."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Stream:
    """An answer in events, as they come. Its chunks raise a Problem where the provider breaks off."""

    headers: Headers
    chunks: AsyncGenerator[bytes, None]


Answer = Reply | Stream


class Upstream(Protocol):
    """Answers calls, in the protocol of each call's endpoint."""

    name: str
    endpoints: frozenset[Endpoint]
    default: str | None
    """The model that `default` means here."""
    patterns: Sequence[str]
    """Of the models that it serves; none: it doesn't say, and is asked for any."""
    slashed: bool
    """Whether its models' names may themselves begin with its name and a slash, as at a server of many makers'."""

    def model_for(self, model: str) -> str:
        """The model that will really answer when this one is asked for."""
        ...

    def answer(self, call: Call) -> AbstractAsyncContextManager[Answer]:
        """Make the call; leaving the block ends it, whatever has been read. Raises Problem when there is no answer.

        A streamed answer in OpenAI's protocol always ends with an event about usage, asked for or not.
        """
        ...
