"""A model call as an agent makes it: which endpoint, which protocol, what it asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from innkeeper.broker.callers import Caller
from innkeeper.broker.marks import COMMAS_LIMIT, is_readable
from innkeeper.broker.problems import UnknownEndpoint
from innkeeper.core.errors import Invalid, TooLarge

MODEL_ALIAS = "default"
"""What agents ask for when they leave the choice of model to the operator."""

MODEL_MAX = 300
"""Letters of a model's name: some are kept in memory, to be logged once each."""

_CARRIED = ("anthropic-version", "anthropic-beta")
"""The only headers of an agent's call that reach a provider."""
_OTHER_MODELS = ("models", "fallbacks")
"""Where routers such as OpenRouter and LiteLLM look for models that may answer in place of the one that is named."""


class Dialect(StrEnum):
    """The protocols that agents speak."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Endpoint(Enum):
    """What the broker serves to tenants: method and path."""

    CHAT = ("POST", "/v1/chat/completions")
    MESSAGES = ("POST", "/v1/messages")
    COUNT_TOKENS = ("POST", "/v1/messages/count_tokens")
    RESPONSES = ("POST", "/v1/responses")
    EMBEDDINGS = ("POST", "/v1/embeddings")
    MODELS = ("GET", "/v1/models")

    @classmethod
    def of(cls, method: str, path: str) -> Endpoint:
        """The endpoint at that method and path, or UnknownEndpoint."""
        try:
            return cls((method, path))
        except ValueError:
            raise UnknownEndpoint("The broker has nothing at this method and path.") from None


_OPENAIS = frozenset(each.value[1] for each in (Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.EMBEDDINGS))


def dialect_of(path: str, headers: Mapping[str, str]) -> Dialect:
    """The protocol that the client understands, so that even a refusal is in its own words."""
    if path.startswith("/v1/messages"):
        return Dialect.ANTHROPIC
    if path not in _OPENAIS and "anthropic-version" in headers:
        return Dialect.ANTHROPIC
    return Dialect.OPENAI


@dataclass(frozen=True, kw_only=True)
class Call:
    """One model call of one tenant."""

    caller: Caller
    endpoint: Endpoint
    dialect: Dialect
    request: Mapping[str, Any]
    """The body. Every field but those below is the provider's business."""
    headers: Mapping[str, str]
    size: int = 0
    """Of the body, in bytes."""

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return str(self.request["model"])

    @property
    def streams(self) -> bool:
        """Whether the answer is wanted as a stream of events."""
        return self.request.get("stream") is True

    @property
    def hides_usage(self) -> bool:
        """Whether the client streams a chat completion, and didn't ask for a last event with the usage."""
        if self.endpoint is not Endpoint.CHAT or not self.streams:
            return False
        options = self.request.get("stream_options")
        return not (isinstance(options, dict) and options.get("include_usage") is True)


def read_call(caller: Caller, endpoint: Endpoint, dialect: Dialect, headers: Mapping[str, str], body: bytes) -> Call:
    """The call in a request's body, or Invalid; TooLarge where it holds more values than are read."""
    if not is_readable(body):
        raise TooLarge("The body holds too many values.", hint=f"Send at most {COMMAS_LIMIT} in one call.")
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Invalid("The body isn't valid JSON.", hint="Send a JSON object.") from error
    if not isinstance(request, dict):
        raise Invalid("The body isn't a JSON object.", hint="Send a JSON object.")
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise Invalid("`model` is missing.", hint=f"Name a model; `{MODEL_ALIAS}` is the operator's.", field="model")
    if len(model) > MODEL_MAX:
        raise Invalid(f"`model` is longer than {MODEL_MAX} letters.", hint="Name a model.", field="model")
    if endpoint is Endpoint.RESPONSES and request.get("background"):
        raise Invalid("`background` isn't served: what it used would come after the answer.", field="background")
    for field in _OTHER_MODELS:
        if request.get(field):
            raise Invalid(
                f"`{field}` isn't served: a call is allowed, and paid for, by the one model that it names.",
                hint=f"Leave `{field}` out, and make another call where one fails.",
                field=field,
            )
    carried = {name: headers[name] for name in _CARRIED if name in headers}
    if not all(value.isascii() for value in carried.values()):
        raise Invalid(f"{' and '.join(carried)} must be ASCII.")
    return Call(caller=caller, endpoint=endpoint, dialect=dialect, request=request, headers=carried, size=len(body))
