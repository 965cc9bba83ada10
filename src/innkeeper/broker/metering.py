"""What model calls use: read from the providers' own answers, told to a meter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from innkeeper.broker.sse import Event

_OPENAI_FIELDS = ("prompt_tokens", "completion_tokens")
# Anthropic's, and those of OpenAI's responses; the latter count cached tokens among the input.
_TOKENS_FIELDS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What a provider says that a call used. Each token is counted once: cached input isn't in `input` too."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            input=self.input + other.input,
            output=self.output + other.output,
            cache_read=self.cache_read + other.cache_read,
            cache_write=self.cache_write + other.cache_write,
        )


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
    """Gathers what an answer says about its own cost; later numbers replace earlier ones, as both protocols mean it."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def note(self, payload: Mapping[str, Any]) -> None:
        """Read a whole JSON answer, or one event's payload."""
        for part in (payload, payload.get("message"), payload.get("response")):
            usage = part.get("usage") if isinstance(part, dict) else None
            if isinstance(usage, dict):
                self._take(usage, *_OPENAI_FIELDS, *_TOKENS_FIELDS)
                for name in ("prompt_tokens_details", "input_tokens_details"):
                    if isinstance(details := usage.get(name), dict):
                        self._take(details, "cached_tokens")

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

    def _take(self, source: Mapping[str, Any], *names: str) -> None:
        for name in names:
            value = source.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                self._counts[name] = value


def usage_payload(event: Event) -> Mapping[str, Any] | None:
    """The payload of an event that speaks of usage; the many that don't are never parsed."""
    if b'"usage"' not in event.raw:
        return None
    return json_object(event.data)


def json_object(text: bytes) -> Mapping[str, Any] | None:
    """The JSON object that the text is, if it is one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
