"""The settings choose who answers."""

from __future__ import annotations

from typing import Any

import pytest

from innkeeper.broker.choice import upstream_from
from innkeeper.broker.problems import ProviderNotSet
from innkeeper.settings import Settings


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "INNKEEPER_BROKER_PROVIDER", "INNKEEPER_BROKER_MODEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "fields", "name", "model"),
    [
        ({}, {}, "demo", "innkeeper-demo"),
        ({"ANTHROPIC_API_KEY": ""}, {}, "demo", "innkeeper-demo"),
        ({"ANTHROPIC_API_KEY": "a"}, {}, "anthropic", "claude-sonnet-4-6"),
        ({"OPENAI_API_KEY": "b"}, {}, "openai", "gpt-5.4"),
        ({"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "b"}, {}, "anthropic", "claude-sonnet-4-6"),
        ({"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "b"}, {"broker_provider": "openai"}, "openai", "gpt-5.4"),
        ({"OPENAI_API_KEY": "b"}, {"broker_provider": "demo"}, "demo", "innkeeper-demo"),
        ({}, {"openai_base_url": "http://127.0.0.1:11434/v1", "broker_model": "local"}, "openai", "local"),
        ({}, {"anthropic_base_url": "http://127.0.0.1:1"}, "anthropic", "claude-sonnet-4-6"),
    ],
)
async def test_choice(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], fields: dict[str, Any], name: str, model: str
) -> None:
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    upstream = upstream_from(Settings(**fields))
    assert (upstream.name, tuple(upstream.models)) == (name, ("default", model))
    await upstream.close()


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_chosen_but_not_set(provider: str) -> None:
    with pytest.raises(ProviderNotSet, match=f"{provider.upper()}_API_KEY"):
        upstream_from(Settings(broker_provider=provider))
