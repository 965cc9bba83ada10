"""The fence around channels: it shuts all, keeps what the user had said, and brings back exactly that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from innkeeper.agents.custom import Custom
from innkeeper.agents.nanobot import Nanobot
from innkeeper.agents.openclaw import OpenClaw
from innkeeper.core.ports import Agent
from innkeeper.core.tenant import CustomAgent
from tests.agents.seats import seat_for, spec_for

OPENCLAW = OpenClaw(), ".openclaw/openclaw.json"
NANOBOT = Nanobot(), ".nanobot/config.json"
CHANNELS: dict[str, Any] = {
    "telegram": {"botToken": "1:a", "accounts": {"work": {"botToken": "2:b", "enabled": True}}},
    "slack": {"enabled": True, "appToken": "x"},
    "discord": {"enabled": False, "token": "y"},
    "odd": "no channel at all",
}


def fenced_off(files: Mapping[str, bytes], path: str) -> list[str]:
    channels = json.loads(files[path])["channels"]
    return sorted(name for name, said in channels.items() if isinstance(said, dict) and said.get("enabled") is False)


def rendered(
    agent: Agent, files: Mapping[str, bytes], *, fenced: bool, config: Mapping[str, Any] | None = None
) -> dict[str, bytes]:
    seat = replace(seat_for(agent), fenced=fenced, config=config or {})
    return {**files, **{file.path: file.content for file in agent.render(seat, files)}}


@pytest.mark.parametrize(("agent", "path"), [OPENCLAW, NANOBOT])
def test_every_channel_is_off_within_and_as_it_was_without(agent: Agent, path: str) -> None:
    before = rendered(agent, {path: json.dumps({"channels": CHANNELS}).encode()}, fenced=False)
    fenced = rendered(agent, before, fenced=True)
    assert fenced_off(fenced, path) == ["discord", "slack", "telegram"]
    assert not agent.listens_to(fenced)
    assert rendered(agent, fenced, fenced=True) == fenced, "a second time changes nothing"
    after = rendered(agent, fenced, fenced=False)
    assert json.loads(after[path]) == json.loads(before[path])
    again = rendered(agent, after, fenced=False)
    assert again == after


def test_what_is_said_of_all_channels_is_no_channel() -> None:
    agent, path = OPENCLAW
    own = {"channels": {"defaults": {"groupPolicy": "allowlist"}, "modelByChannel": {"telegram": {"1": "a/b"}}}}
    files = rendered(agent, {path: json.dumps(own).encode()}, fenced=True)
    assert json.loads(files[path])["channels"] == own["channels"]
    assert not agent.listens_to(files)


def test_what_the_user_and_the_agent_write_meanwhile_stands() -> None:
    agent, path = OPENCLAW
    files = rendered(agent, {path: json.dumps({"channels": CHANNELS}).encode()}, fenced=True)
    tree = json.loads(files[path])
    del tree["channels"]["slack"]
    tree["channels"]["discord"]["enabled"] = True
    tree["channels"]["signal"] = {"account": "+1"}
    files = rendered(agent, {**files, path: json.dumps(tree).encode()}, fenced=True)
    assert fenced_off(files, path) == ["discord", "signal", "telegram"]
    channels = json.loads(rendered(agent, files, fenced=False)[path])["channels"]
    assert channels["discord"]["enabled"] is True
    assert channels["signal"] == {"account": "+1"}
    assert "slack" not in channels
    assert "enabled" not in channels["telegram"]


def test_the_specs_own_word_counts_when_the_fence_falls() -> None:
    agent, path = OPENCLAW
    files = rendered(agent, {path: json.dumps({"channels": CHANNELS}).encode()}, fenced=True)
    said = {"channels": {"telegram": {"enabled": False}, "irc": {"host": "h", "enabled": True}}}
    files = rendered(agent, files, fenced=True, config=said)
    assert fenced_off(files, path) == ["discord", "irc", "slack", "telegram"]
    channels = json.loads(rendered(agent, files, fenced=False, config=said)[path])["channels"]
    assert (channels["telegram"]["enabled"], channels["irc"]["enabled"], channels["slack"]["enabled"]) == (
        False,
        True,
        True,
    )


def test_what_was_said_is_written_down_before_a_channel_is_shut_and_forgotten_after() -> None:
    agent, path = OPENCLAW
    files = {path: json.dumps({"channels": CHANNELS}).encode()}
    up = agent.render(replace(seat_for(agent), fenced=True), files)
    assert [file.path for file in up] == [".openclaw/innkeeper-fence.json", path]
    # It dies between the two: nothing is shut yet, and nothing was lost.
    half = {**files, up[0].path: up[0].content}
    assert rendered(agent, half, fenced=True) == {file.path: file.content for file in up}
    down = agent.render(seat_for(agent), {file.path: file.content for file in up})
    assert [file.path for file in down] == [path, ".openclaw/innkeeper-fence.json"]
    assert json.loads(down[1].content) == {}


@pytest.mark.parametrize("kept", [b"{", b"[]", b'{"channels": 1}', b'{"channels": {"slack": {"a": 1}}}', b"[" * 9999])
def test_a_file_of_ours_that_somebody_has_edited_does_no_harm(kept: bytes) -> None:
    agent, path = OPENCLAW
    config = json.dumps({"channels": {"slack": {"enabled": False}}}).encode()
    files = rendered(agent, {path: config, ".openclaw/innkeeper-fence.json": kept}, fenced=False)
    assert json.loads(files[path])["channels"] == {"slack": {"enabled": False}}


def test_without_a_channel_there_is_no_file() -> None:
    for agent, _ in (OPENCLAW, NANOBOT):
        assert rendered(agent, {}, fenced=True) == rendered(agent, {}, fenced=False)


def test_openclaw_is_started_without_channels_and_schedule() -> None:
    agent = OPENCLAW[0]
    fence = agent.fence(spec_for(agent))
    assert fence == {"OPENCLAW_SKIP_CHANNELS": "1", "OPENCLAW_SKIP_CRON": "1", "OPENCLAW_SKIP_GMAIL_WATCHER": "1"}


def test_an_unknown_program_is_told() -> None:
    agent = Custom()
    seat = replace(seat_for(agent), fenced=True)
    [file] = agent.render(seat, {})
    assert json.loads(file.content)["fenced"] is True
    told = spec_for(agent, custom=CustomAgent(image="x", port=1))
    assert agent.fence(told) == {"INNKEEPER_FENCED": "1"}
