"""How Anthropic wants its calls."""

from __future__ import annotations

from innkeeper.broker.calls import Call, Endpoint
from innkeeper.broker.provider import Provider, Route

DEFAULT_MODEL = "claude-sonnet-4-6"
_DEFAULT_VERSION = "2023-06-01"


class Anthropic(Provider):
    """Anthropic, or a server that speaks its messages API; OpenAI's protocol goes to the endpoint it has for that."""

    name = "anthropic"
    endpoints = frozenset({Endpoint.CHAT, Endpoint.MESSAGES, Endpoint.COUNT_TOKENS})

    def route(self, call: Call) -> Route:
        """`base_url` is without `/v1`."""
        url = self.base_url + call.endpoint.value[1]
        if call.endpoint is Endpoint.CHAT:
            return Route(url=url, headers={"authorization": f"Bearer {self.key}"} if self.key else {})
        headers = {"anthropic-version": _DEFAULT_VERSION, **call.headers}
        return Route(url=url, headers={**headers, "x-api-key": self.key} if self.key else headers)
