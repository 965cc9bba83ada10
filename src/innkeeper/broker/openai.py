"""How OpenAI, and the many servers that speak its protocol, want their calls."""

from __future__ import annotations

from innkeeper.broker.calls import Call, Endpoint
from innkeeper.broker.provider import Provider, Route

DEFAULT_MODEL = "gpt-5.4"


class OpenAI(Provider):
    """OpenAI or a compatible server; Anthropic's protocol is refused, for nothing there would understand it."""

    kind = "openai"
    endpoints = frozenset({Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.EMBEDDINGS})

    def route(self, call: Call, key: str) -> Route:
        """`base_url` ends in `/v1` or whatever the server has in its place."""
        return Route(
            url=self.base_url + call.endpoint.value[1].removeprefix("/v1"),
            headers={"authorization": f"Bearer {key}"} if key else {},
        )
