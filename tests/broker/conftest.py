"""Brokers in front of a provider that does as it is told, and with the built-in model."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from innkeeper.broker.anthropic import Anthropic
from innkeeper.broker.demo import DemoModel
from innkeeper.broker.openai import OpenAI
from tests.broker.house import House, house_with, upstream_to
from tests.support.fake_provider import FakeProvider, fake_provider


@pytest.fixture
async def provider() -> AsyncIterator[tuple[FakeProvider, str]]:
    """The fake provider and its URL."""
    async with fake_provider() as served:
        yield served


@pytest.fixture
def fake(provider: tuple[FakeProvider, str]) -> FakeProvider:
    """The fake provider behind `openai_house` and `anthropic_house`."""
    return provider[0]


@pytest.fixture
async def openai_house(provider: tuple[FakeProvider, str]) -> AsyncIterator[House]:
    """In front of a server that speaks OpenAI's protocol."""
    async with upstream_to(OpenAI(base_url=f"{provider[1]}/v1")) as upstream, house_with(upstream) as house:
        yield house


@pytest.fixture
async def anthropic_house(provider: tuple[FakeProvider, str]) -> AsyncIterator[House]:
    """In front of a server that speaks both protocols, as Anthropic does."""
    anthropic = Anthropic(base_url=provider[1])
    async with upstream_to(anthropic, model="claude-1") as upstream, house_with(upstream) as house:
        yield house


@pytest.fixture
async def demo_house() -> AsyncIterator[House]:
    """With the built-in model."""
    async with house_with(DemoModel()) as house:
        yield house
