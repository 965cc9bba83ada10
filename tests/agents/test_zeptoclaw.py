"""ZeptoClaw's adapter: its config as its own source reads it, its fence, its channels."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from innkeeper.agents.zeptoclaw import Zeptoclaw
from innkeeper.core.errors import InvalidSpec
from innkeeper.core.openings import InboxPath
from innkeeper.core.release import Release
from innkeeper.core.specs import SpecPatch, new_spec
from tests.agents.seats import BROKER_TOKEN, GATEWAY_TOKEN, seat_for, spec_for

AGENT = Zeptoclaw()
PATH = ".zeptoclaw/config.json"


def rendered(before: Mapping[str, Any] | bytes | None = None, *, fenced: bool = False, **config: Any) -> dict[str, Any]:
    content = before if isinstance(before, bytes) else json.dumps(before or {}).encode()
    seat = replace(seat_for(AGENT), fenced=fenced, config=config)
    files = {file.path: file.content for file in AGENT.render(seat, {PATH: content})}
    tree: dict[str, Any] = json.loads(files[PATH])
    return tree


def keys(tree: Any) -> set[str]:
    if isinstance(tree, dict):
        return set(tree) | {key for value in tree.values() for key in keys(value)}
    return {key for each in tree for key in keys(each)} if isinstance(tree, list) else set()


def test_every_key_of_ours_is_in_snake_case() -> None:
    assert all(re.fullmatch(r"[a-z0-9_]+", key) for key in keys(rendered()))


def test_its_model_is_the_brokers_and_it_may_go_there() -> None:
    tree = rendered()
    assert tree["providers"] == {"openai": {"api_base": "http://10.9.0.1:8701/v1", "api_key": BROKER_TOKEN}}
    assert tree["agents"]["defaults"] == {"workspace": "/data/workspace", "model": "demo"}
    assert tree["safety"]["allow_private_endpoints"] is True


def test_the_edge_gets_in_by_its_client_protocol() -> None:
    http = rendered()["channels"]["acp"]["http"]
    assert http == {"enabled": True, "bind": "0.0.0.0", "port": 8765, "auth_token": GATEWAY_TOKEN}
    entrance = AGENT.entrance(spec_for(AGENT), GATEWAY_TOKEN)
    assert (entrance.port, entrance.headers) == (8765, {"Authorization": f"Bearer {GATEWAY_TOKEN}"})


def test_what_the_user_says_stays_but_for_what_is_ours() -> None:
    own: dict[str, Any] = {
        "providers": {"anthropic": {"api_key": "of-my-own"}, "openai": {"api_base": "http://elsewhere", "quota": None}},
        "agents": {"defaults": {"model": "claude-x", "max_tokens": 100}},
        "channels": {"telegram": {"enabled": True, "token": "1:a"}},
        "heartbeat": {"enabled": True, "interval_secs": 60},
    }
    tree = rendered(own)
    assert tree["providers"]["anthropic"] == {"api_key": "of-my-own"}
    assert tree["providers"]["openai"]["api_base"] == "http://10.9.0.1:8701/v1"
    assert tree["agents"]["defaults"]["model"] == "claude-x", "a provider of theirs goes first, and so does its model"
    assert tree["channels"]["telegram"] == own["channels"]["telegram"]
    assert tree["heartbeat"] == own["heartbeat"]


def test_a_broken_file_is_kept_aside() -> None:
    files = AGENT.render(seat_for(AGENT), {PATH: b"{nonsense"})
    assert [file.content for file in files if ".broken-" in file.path] == [b"{nonsense"]


def test_camel_case_in_the_spec_is_refused_by_name_and_told_right() -> None:
    with pytest.raises(InvalidSpec, match=r"channels\.telegram\.allowFrom") as told:
        rendered(channels={"telegram": {"allowFrom": ["1"]}})
    assert "allow_from" in told.value.hint
    release = Release(
        agent="zeptoclaw", version="0.9.2", image="sha256:0", source="", size_mb=0, created_at=datetime.now(UTC)
    )
    with pytest.raises(InvalidSpec, match="allowFrom"):  # when it is asked for, not when the tenant is down for it
        new_spec(AGENT, release, SpecPatch(config={"channels": {"telegram": {"allowFrom": ["1"]}}}), domain="localhost")
    assert rendered(swarm={"roles": {"bestFriend": {}}}), "names that somebody chose are theirs"


def test_fenced_nothing_of_it_polls_and_the_edge_still_gets_in() -> None:
    own = {"channels": {"telegram": {"enabled": True, "token": "1:a"}, "webhook": {"enabled": True}}}
    files = {PATH: json.dumps(own).encode()}

    def turned(fenced: bool) -> dict[str, Any]:
        seat = replace(seat_for(AGENT), fenced=fenced)
        files.update({file.path: file.content for file in AGENT.render(seat, files)})
        channels: dict[str, Any] = json.loads(files[PATH])["channels"]
        return channels

    before = turned(fenced=False)
    assert AGENT.listens_to(files) == ["telegram"]
    within = turned(fenced=True)
    assert (within["telegram"]["enabled"], within["webhook"]["enabled"]) == (False, False)
    assert within["telegram"]["token"] == "1:a"
    assert within["acp"] == before["acp"]
    assert AGENT.listens_to(files) == []
    assert turned(fenced=False) == before


def test_its_webhook_channel_is_an_inbox_path() -> None:
    def told(**channel: Any) -> Any:
        return AGENT.webhooks({PATH: json.dumps({"channels": {"webhook": channel}}).encode()})

    assert told(enabled=True) == (InboxPath(path="/webhook", port=9876),)
    assert told(enabled=True, path="/in", port=9000) == (InboxPath(path="/in", port=9000),)
    assert told(enabled=False) == told(enabled=True, path="nonsense") == told(enabled=True, port=True) == ()
    assert rendered({"channels": {"webhook": {"enabled": True}}})["channels"]["webhook"]["bind_address"] == "0.0.0.0"


@pytest.mark.parametrize("config", [b"", b"[]", b'{"channels": []}', b'{"channels": {"telegram": 1}}', b"\xff"])
def test_a_config_that_is_none_has_no_channels(config: bytes) -> None:
    assert AGENT.listens_to({PATH: config}) == []
    assert AGENT.webhooks({PATH: config}) == ()


def test_it_is_ready_when_it_says_so() -> None:
    assert AGENT.is_ready(200, b'{"status":"ready"}')
    assert not AGENT.is_ready(503, b'{"status":"not_ready"}')
    assert not AGENT.is_ready(200, b"<html>")


def test_a_channels_token_may_be_a_secret_and_no_other() -> None:
    assert AGENT.keeps_secret(("channels", "telegram", "token"))
    assert AGENT.keeps_secret(("channels", "whatsapp_cloud", "access_token"))
    assert not AGENT.keeps_secret(("providers", "anthropic", "api_key"))
    assert not AGENT.keeps_secret(("channels", "acp", "http", "auth_token"))
