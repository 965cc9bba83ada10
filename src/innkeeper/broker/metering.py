"""What model calls use: read from the providers' own answers, told to a meter."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from innkeeper.broker.marks import ANSWERED_COMMAS_LIMIT, is_readable
from innkeeper.broker.sse import Event
from innkeeper.core.usage import Tokens as Tokens

_OPENAI_FIELDS = ("prompt_tokens", "completion_tokens")
# Anthropic's, and those of OpenAI's responses; the latter count cached tokens among the input.
_TOKENS_FIELDS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")

_INPUT_FIELDS = frozenset({"prompt_tokens", "input_tokens"})
_OUTPUT_FIELDS = frozenset({"completion_tokens", "output_tokens"})
BYTES_A_TOKEN = 2
"""For estimates: English has 4 to 5 bytes a token, code 3, so they err against the tenant; little has less than 2."""
_ABSURD = 100_000_000
"""No model takes or says so many tokens in a call."""
_TEXT = re.compile(
    rb'"(?:text|content|arguments|partial_json|thinking|delta|reasoning|reasoning_content|refusal)"\s*:\s*"((?:[^"\\]|\\.)*+)'
)
"""Where the words of an answer stand, in any of the protocols."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """One call that a provider answered."""

    tenant: str
    tenant_id: str
    provider: str
    model: str
    tokens: Tokens | None
    """None: the provider didn't say, or the stream broke before it did."""
    own: bool = False
    """Whether the provider is the tenant's own, and so are its bills."""


class Meter(Protocol):
    """Whoever counts, limits or bills what tenants use."""

    def used(self, usage: Usage) -> None:
        """Take note of a call that has ended; must not block."""
        ...


@dataclass(frozen=True, kw_only=True)
class Total:
    """All that one tenant used."""

    calls: int = 0
    unmeasured: int = 0
    tokens: Tokens = field(default_factory=Tokens)


class TenantMeter:
    """Counts per tenant, in memory, since the start of the process."""

    def __init__(self) -> None:
        self._totals: dict[str, Total] = {}

    def used(self, usage: Usage) -> None:
        """Add one call."""
        total = self.total(usage.tenant)
        self._totals[usage.tenant] = Total(
            calls=total.calls + 1,
            unmeasured=total.unmeasured + (usage.tokens is None),
            tokens=total.tokens + (usage.tokens or Tokens()),
        )

    def total(self, tenant: str) -> Total:
        """What the tenant has used so far."""
        return self._totals.get(tenant, Total())


class Reading:
    """Gathers what an answer says about its own cost; later numbers replace earlier ones, as both protocols mean it.

    It also listens to how much is said, for answers that don't tell their cost, or tell what can't be.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._heard_bytes = 0
        self._final = False
        self.ended = False
        """Whether the answer came to its end."""
        self.odd = False
        """Whether it told something that can't be: less than nothing, or more than any model takes."""

    def note(self, payload: Mapping[str, Any]) -> None:
        """Read a whole JSON answer, or one event's payload."""
        # The beginning of a message tells a first number of its output, which is no more than that.
        parts = ((payload.get("message"), False), (payload.get("response"), True), (payload, True))
        for part, final in parts:
            usage = part.get("usage") if isinstance(part, dict) else None
            if isinstance(usage, dict):
                taken = self._take(usage, *_OPENAI_FIELDS, *_TOKENS_FIELDS)
                self._final = self._final or (final and bool(taken & _OUTPUT_FIELDS))
                for name in ("prompt_tokens_details", "input_tokens_details"):
                    if isinstance(details := usage.get(name), dict):
                        self._take(details, "cached_tokens")

    def hear(self, event: bytes) -> None:
        """Count the words in an event; some tell again in the end what came piece by piece, and count for nothing."""
        if b"delta" in event:
            self._heard_bytes += _words(event)

    def hear_whole(self, answer: bytes) -> None:
        """Count the words in a whole answer; where none are found, all of it."""
        self._heard_bytes += _words(answer) or len(answer)

    @property
    def heard_tokens(self) -> int:
        """How many tokens the words can have been, at a cautious estimate."""
        return (self._heard_bytes + BYTES_A_TOKEN - 1) // BYTES_A_TOKEN

    @property
    def tokens(self) -> Tokens | None:
        """The sum of it, or None when nothing usable was said."""
        counts = self._counts
        if any(name in counts for name in _OPENAI_FIELDS):
            prompt, cached = counts.get("prompt_tokens", 0), counts.get("cached_tokens", 0)
            return Tokens(
                input=max(0, prompt - cached),
                output=counts.get("completion_tokens", 0),
                cache_read=min(cached, prompt),
            )
        if any(name in counts for name in _TOKENS_FIELDS):
            given, output, read, written = (counts.get(name, 0) for name in _TOKENS_FIELDS)
            cached = min(counts.get("cached_tokens", 0), given)
            return Tokens(input=given - cached, output=output, cache_read=read + cached, cache_write=written)
        return None

    def used(self, sent_tokens: int, *, answers: bool = True) -> tuple[Tokens, bool]:
        """What the call used, and whether all of that was told; what wasn't is made up for by what was sent and heard.

        `sent_tokens`: an estimate of the input. `answers`: whether there is any output, as embeddings have none.
        """
        told, heard = self.tokens or Tokens(), self.heard_tokens
        input_told = not self.odd and not self._counts.keys().isdisjoint(_INPUT_FIELDS)
        # The beginning of a message tells a first number of its output, which is no more than that.
        final = self._final and (told.output > 0 or not heard)
        output_told = not self.odd and self.ended and (final or not answers)
        if not input_told:
            told = Tokens(input=max(told.input + told.cache_read + told.cache_write, sent_tokens), output=told.output)
        if not output_told and answers:
            told = replace(told, output=max(told.output, heard))
        return told, input_told and output_told

    def _take(self, source: Mapping[str, Any], *names: str) -> set[str]:
        taken = set()
        for name in names:
            value = source.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _ABSURD:
                self._counts[name] = value
                taken.add(name)
            elif value is not None:
                self.odd = True
        return taken


def _words(text: bytes) -> int:
    return sum(map(len, _TEXT.findall(text)))


def usage_payload(event: Event) -> Mapping[str, Any] | None:
    """The payload of an event that speaks of usage; the many that don't are never parsed."""
    if b'"usage"' not in event.raw:
        return None
    return json_object(event.data)


def json_object(text: bytes) -> Mapping[str, Any] | None:
    """The JSON object that the text is, if it is one, and no larger than is read."""
    if not is_readable(text, commas=ANSWERED_COMMAS_LIMIT):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
