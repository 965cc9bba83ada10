"""Models' providers by the names under which other systems keep their keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Known:
    """A provider that is known by its name."""

    kind: str
    base_url: str
    serves: tuple[str, ...] = ()
    """Patterns of what it serves; none: it is asked for whatever nobody else serves."""


KNOWN: Mapping[str, Known] = {
    "anthropic": Known(kind="anthropic", base_url="https://api.anthropic.com", serves=("claude-*",)),
    "openai": Known(kind="openai", base_url="https://api.openai.com/v1", serves=("gpt-*", "o1*", "o3*", "o4*")),
    "openrouter": Known(kind="openai", base_url="https://openrouter.ai/api/v1"),
    "groq": Known(kind="openai", base_url="https://api.groq.com/openai/v1"),
    "mistral": Known(kind="openai", base_url="https://api.mistral.ai/v1", serves=("mistral-*", "codestral-*")),
    "deepseek": Known(kind="openai", base_url="https://api.deepseek.com/v1", serves=("deepseek-*",)),
    "xai": Known(kind="openai", base_url="https://api.x.ai/v1", serves=("grok-*",)),
    "gemini": Known(
        kind="openai", base_url="https://generativelanguage.googleapis.com/v1beta/openai", serves=("gemini-*",)
    ),
    "together": Known(kind="openai", base_url="https://api.together.xyz/v1"),
}
ALIASES: Mapping[str, str] = {"google": "gemini", "zai": "openai-zai", "claude": "anthropic", "azure-openai": "azure"}
KEYS: Mapping[str, str] = {f"{name.upper()}_API_KEY": name for name in KNOWN} | {
    "GOOGLE_API_KEY": "gemini",
    "CLAUDE_API_KEY": "anthropic",
    "AZURE_OPENAI_API_KEY": "azure",
    "AZURE_OPENAI_KEY": "azure",
}
"""Variables that hold a provider's key."""
ADDRESSES: Mapping[str, str] = {
    **{f"{name.upper()}_{ending}": name for name in KNOWN for ending in ("BASE_URL", "API_BASE")},
    "AZURE_OPENAI_ENDPOINT": "azure",
    "AZURE_OPENAI_BASE_URL": "azure",
}
"""Variables that say where a provider is."""
MODELS: Mapping[str, str] = {
    **{f"{name.upper()}_MODEL": name for name in KNOWN},
    "AZURE_OPENAI_DEPLOYMENT": "azure",
    "AZURE_OPENAI_DEPLOYMENT_NAME": "azure",
    "AZURE_OPENAI_MODEL": "azure",
}
"""Variables that name a provider's model."""
_APIS: Mapping[str, str] = {
    "openai-completions": "openai",
    "openai-responses": "openai",
    "openai": "openai",
    "azure-openai-responses": "openai",
    "anthropic-messages": "anthropic",
}


@dataclass(kw_only=True)
class Provider:
    """A provider of a tenant's own, as it is found out bit by bit."""

    name: str
    kind: str | None = None
    base_url: str | None = None
    keys: list[str] = field(default_factory=list)
    """Names of secrets."""
    models: list[str] = field(default_factory=list)

    def spec(self) -> dict[str, Any]:
        """As `uses.providers` has it."""
        known = KNOWN.get(self.name)
        return {
            "kind": self.kind or (known.kind if known else "openai"),
            "base_url": self.base_url or (known.base_url if known else ""),
            "keys": [f"${{secret:{name}}}" for name in self.keys],
            "models": list(dict.fromkeys((*self.models, *(known.serves if known else ())))),
        }

    @property
    def is_whole(self) -> bool:
        """Whether it can be asked: somebody said where it is."""
        return bool(self.base_url or self.name in KNOWN)


def provider_name(text: str) -> str:
    """A provider's name as `uses` takes it."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:32].strip("-")
    return ALIASES.get(name, name)


def kind_of_api(api: object) -> str | None:
    """The protocol by OpenClaw's word for it; None for one that the broker doesn't speak."""
    return _APIS.get(str(api)) if api is not None else "openai"


def azure_address(endpoint: str) -> str:
    """Azure's address of the protocol that OpenAI's clients speak:
    https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle."""
    base = endpoint.rstrip("/")
    return base if base.endswith("/v1") else f"{base.removesuffix('/openai')}/openai/v1"
