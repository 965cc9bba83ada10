"""How OpenAI, and the many servers that speak its protocol, want their calls."""

from __future__ import annotations

from innkeeper.broker.calls import Call, Endpoint
from innkeeper.broker.provider import Provider, Route

DEFAULT_MODEL = "gpt-5.4"


class OpenAI(Provider):
    """OpenAI or a compatible server; Anthropic's protocol is refused, for nothing there would understand it."""

    name = "openai"
    endpoints = frozenset({Endpoint.CHAT})

    def route(self, call: Call) -> Route:
        """`base_url` ends in `/v1` or whatever the server has in its place."""
        return Route(
            url=f"{self.base_url}/chat/completions",
            headers={"authorization": f"Bearer {self.key}"} if self.key else {},
        )
