"""References to secrets in an agent's config: where they may be, what they become, and what is refused there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from innkeeper.agents import AGENTS
from innkeeper.core.errors import AgentConfigInvalid, InvalidSpec
from innkeeper.core.references import checked_config, paths, references, resolved

TELEGRAM = {"channels": {"telegram": {"enabled": True, "botToken": "${secret:TELEGRAM_TOKEN}", "dmPolicy": "open"}}}
SLACK = {
    "channels": {"slack": {"accounts": {"work": {"appToken": "${secret:slack.app}", "signingSecret": "${secret:S}"}}}}
}


@pytest.mark.parametrize("agent", ["openclaw", "nanobot"])
@pytest.mark.parametrize(
    "config", [{}, TELEGRAM, SLACK, {"logging": {"level": "debug"}, "list": [1, None, {"a": "b"}]}]
)
def test_a_channels_own_credentials_may_be_inside(agent: str, config: dict[str, Any]) -> None:
    assert checked_config(config, AGENTS[agent].keeps_secret) == config


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"models": {"providers": {"x": {"apiKey": "${secret:KEY}"}}}}, "config.models.providers.x.apiKey"),
        ({"env": {"vars": {"ANTHROPIC_API_KEY": "${secret:KEY}"}}}, "config.env.vars.ANTHROPIC_API_KEY"),
        ({"gateway": {"auth": {"token": "${secret:KEY}"}}}, "config.gateway.auth.token"),
        ({"channels": {"token": "${secret:KEY}"}}, "config.channels.token"),
        ({"channels": {"discord": {"name": "${secret:KEY}"}}}, "config.channels.discord.name"),
        (
            {"channels": {"discord": {"voice": {"tts": {"token": "${secret:K}"}}}}},
            "config.channels.discord.voice.tts.token",
        ),
        ({"channels": {"telegram": {"botToken": "bot ${secret:KEY}"}}}, "config.channels.telegram.botToken"),
        ({"channels": {"telegram": {"botToken": "${secret:}"}}}, "config.channels.telegram.botToken"),
        ({"channels": {"telegram": {"botToken": "${secret:../x}"}}}, "config.channels.telegram.botToken"),
        ({"channels": {"telegram": {"botToken": "${secret:a}\n"}}}, "config.channels.telegram.botToken"),
        ({"channels": {"telegram": {"botToken": "${secret:integration.x}"}}}, "config.channels.telegram.botToken"),
        ({"channels": {"telegram": {"botToken": "12345:canary"}}}, "config.channels.telegram.botToken"),
        ({"channels": {"telegram": {"botToken": ["12345:canary"]}}}, "config.channels.telegram.botToken"),
        ({"channels": {"matrix": {"password": "canary"}}}, "config.channels.matrix.password"),
        ({"skills": {"entries": {"x": {"apiKey": "canary"}}}}, "config.skills.entries.x.apiKey"),
        ({"mcp": {"x": {"headers": {"Authorization": "Bearer canary"}}}}, "config.mcp.x.headers.Authorization"),
        ({"mcp": {"x": {"headers": {"X-Api-Key": "canary"}}}}, "config.mcp.x.headers.X-Api-Key"),
        ({"tools": {"s3": {"secretAccessKey": "canary"}}}, "config.tools.s3.secretAccessKey"),
        ({"tools": {"web": {"cookie": "canary"}}}, "config.tools.web.cookie"),
        ({"${secret:KEY}": 1}, "config"),
        ({"a": float("nan")}, "config"),
        ({"a": "x" * 70_000}, "config"),
        (json.loads('{"a":' * 30 + "1" + "}" * 30), "config"),
    ],
)
def test_anything_else_is_refused_by_its_place_and_never_by_its_value(config: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        checked_config(config, AGENTS["openclaw"].keeps_secret)
    assert refused.value.field == field
    assert "canary" not in refused.value.message + refused.value.hint


def test_the_custom_agent_holds_no_secret() -> None:
    with pytest.raises(InvalidSpec):
        checked_config(TELEGRAM, AGENTS["custom"].keeps_secret)


def test_the_trail_is_told_places_alone() -> None:
    assert paths(TELEGRAM | {"a": ["x", {"b": "y"}]}) == [
        "a",
        "a.b",
        "channels.telegram.botToken",
        "channels.telegram.dmPolicy",
        "channels.telegram.enabled",
    ]


def test_values_take_their_references_places() -> None:
    assert references(SLACK) == {"slack.app", "S"}
    filled = resolved(SLACK, {"slack.app": "xapp-1", "S": 'quo"te\n'})
    assert filled == {
        "channels": {"slack": {"accounts": {"work": {"appToken": "xapp-1", "signingSecret": 'quo"te\n'}}}}
    }
    assert references(filled) == frozenset(), "a value is no reference, whatever it says"


def test_a_value_that_the_agent_would_take_for_a_variable_is_refused() -> None:
    with pytest.raises(AgentConfigInvalid, match="S") as refused:
        resolved(SLACK, {"slack.app": "x", "S": "canary${HOME}"})
    assert "canary" not in refused.value.message
