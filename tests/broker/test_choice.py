"""The settings choose who answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from innkeeper.broker.choice import platform_upstreams
from innkeeper.broker.keys import Lookup, Rests
from innkeeper.broker.outbound import outbound_client
from innkeeper.broker.problems import ProviderNotSet
from innkeeper.broker.providers import Providers
from innkeeper.settings import Settings
from tests.support.secrets import NamedSecrets


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "INNKEEPER_BROKER_PROVIDER", "INNKEEPER_BROKER_MODEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    async with outbound_client() as client:
        yield Providers(client=client, tenants_client=client, lookup=Lookup(NamedSecrets()), rests=Rests())


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
    monkeypatch: pytest.MonkeyPatch,
    providers: Providers,
    environment: dict[str, str],
    fields: dict[str, Any],
    name: str,
    model: str,
) -> None:
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    first = platform_upstreams(Settings(**fields), providers)[0]
    assert (first.name, first.default) == (name, model)


LOCAL = {"kind": "openai", "base_url": "http://127.0.0.1:8000/v1", "models": ["llama-*", "llama-4", "qwen"]}
WEATHER = {"kind": "http", "base_url": "https://weather.example"}


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, ["anthropic", "openai", "local"]),
        ({"broker_provider": "openai"}, ["openai", "local"]),
        ({"broker_provider": "demo"}, ["demo", "local"]),
        ({"broker_provider": "local"}, ["local", "anthropic", "openai"]),
    ],
)
async def test_all_that_are_set_are_there_and_the_first_is_the_chosen_one(
    monkeypatch: pytest.MonkeyPatch, providers: Providers, fields: dict[str, Any], names: list[str]
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a")
    monkeypatch.setenv("OPENAI_API_KEY", "b")
    settings = Settings(providers={"local": LOCAL, "weather": WEATHER}, **fields)
    assert [each.name for each in platform_upstreams(settings, providers)] == names


async def test_a_provider_of_ones_own_is_enough(providers: Providers) -> None:
    (only,) = platform_upstreams(Settings(providers={"local": LOCAL}), providers)
    assert (only.name, only.default) == ("local", "llama-4")
    (only,) = platform_upstreams(Settings(providers={"local": LOCAL}, broker_model="qwen"), providers)
    assert only.default == "qwen"


async def test_one_of_that_name_is_the_operators_own(monkeypatch: pytest.MonkeyPatch, providers: Providers) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "b")
    (only,) = platform_upstreams(Settings(providers={"openai": LOCAL}), providers)
    assert only.default == "llama-4"


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
async def test_chosen_but_not_set(provider: str, providers: Providers) -> None:
    with pytest.raises(ProviderNotSet, match=f"{provider.upper()}_API_KEY"):
        platform_upstreams(Settings(broker_provider=provider), providers)


@pytest.mark.parametrize("provider", ["nobody", "weather"])
async def test_chosen_but_not_there(provider: str, providers: Providers) -> None:
    with pytest.raises(ProviderNotSet, match=provider):
        platform_upstreams(Settings(broker_provider=provider, providers={"weather": WEATHER}), providers)


def test_a_server_of_tools_has_a_name_that_tenants_can_say() -> None:
    there = {"url": "https://tools.example/mcp"}
    assert Settings(mcp_servers={"shared": there}).mcp_servers == {"shared": there}
    with pytest.raises(ValidationError, match="tenants can say"):
        Settings(mcp_servers={"Shared_Tools": there})
