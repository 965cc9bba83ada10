"""How Anthropic wants its calls."""

from __future__ import annotations

from innkeeper.broker.calls import Call, Endpoint
from innkeeper.broker.provider import Provider, Route

DEFAULT_MODEL = "claude-sonnet-4-6"
_DEFAULT_VERSION = "2023-06-01"


class Anthropic(Provider):
    """Anthropic, or a server that speaks its messages API; OpenAI's protocol goes to the endpoint it has for that."""

    kind = "anthropic"
    endpoints = frozenset({Endpoint.CHAT, Endpoint.MESSAGES, Endpoint.COUNT_TOKENS})

    def route(self, call: Call, key: str) -> Route:
        """`base_url` may end in `/v1` or not."""
        url = self.base_url.removesuffix("/v1") + call.endpoint.value[1]
        if call.endpoint is Endpoint.CHAT:
            return Route(url=url, headers={"authorization": f"Bearer {key}"} if key else {})
        headers = {"anthropic-version": _DEFAULT_VERSION, **call.headers}
        return Route(url=url, headers={**headers, "x-api-key": key} if key else headers)
