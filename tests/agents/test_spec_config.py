"""What the spec says of an agent's config: over the user's, below ours, with null to take away."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from innkeeper.agents import AGENTS
from innkeeper.agents.jsonfile import overlaid, patched
from innkeeper.core.ports import Agent
from tests.agents.seats import GATEWAY_TOKEN, seat_for

TOKEN = "12345:canary"


def rendered(agent: Agent, config: dict[str, Any], existing: dict[str, Any] | None = None) -> dict[str, Any]:
    path = agent.config_paths()[0]
    files = {} if existing is None else {path: json.dumps(existing).encode()}
    made = {file.path: file.content for file in agent.render(replace(seat_for(agent), config=config), files)}
    tree: dict[str, Any] = json.loads(made[path])
    return tree


@pytest.mark.parametrize("name", ["openclaw", "nanobot"])
def test_it_is_laid_over_the_users_and_below_ours(name: str) -> None:
    agent = AGENTS[name]
    theirs = {"channels": {"telegram": {"botToken": "old", "dmPolicy": "open"}, "slack": {"enabled": True}}}
    config = {
        "channels": {"telegram": {"botToken": TOKEN}, "slack": None},
        "gateway": {"port": 1},
        "api": {"port": 1},
    }
    tree = rendered(agent, config, theirs)
    assert tree["channels"] == {"telegram": {"botToken": TOKEN, "dmPolicy": "open"}}
    assert (tree["gateway"] if name == "openclaw" else tree["api"])["port"] in (18789, 8900)
    assert GATEWAY_TOKEN in json.dumps(tree)
    assert rendered(agent, config, tree) == tree, "again it is the same"
    kept = rendered(agent, {}, tree)["channels"]["telegram"]
    assert kept["botToken"] == TOKEN, "what is no longer said stays as it was last"
    assert (
        "botToken" not in rendered(agent, {"channels": {"telegram": {"botToken": None}}}, tree)["channels"]["telegram"]
    )


def test_openclaw_takes_it_for_a_channel_that_it_fetches_messages_from() -> None:
    agent = AGENTS["openclaw"]
    tree = rendered(agent, {"channels": {"telegram": {"botToken": TOKEN}}})
    assert agent.listens_to({agent.config_paths()[0]: json.dumps(tree).encode()}) == ["telegram"]


def test_openclaws_webhook_listener_is_reachable_when_the_spec_sets_it_up() -> None:
    config = {"channels": {"telegram": {"botToken": TOKEN, "webhookUrl": "https://x.example/telegram-webhook"}}}
    assert rendered(AGENTS["openclaw"], config)["channels"]["telegram"]["webhookHost"] == "0.0.0.0"


def test_a_merge_patch_is_that_of_rfc_7396() -> None:
    # The examples of its appendix A whose target and patch are objects.
    for target, patch, result in (
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ):
        assert overlaid(target, patched(patch)) == result
