"""OpenClaw's config, probe and entrance, without OpenClaw."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from innkeeper.agents.openclaw import OpenClaw
from innkeeper.core.errors import AgentConfigInvalid
from innkeeper.core.ladder import Rung
from innkeeper.core.openings import InboxPath
from innkeeper.core.ports import Consent
from innkeeper.core.tenant import Access
from tests.agents.seats import BROKER_TOKEN, GATEWAY_TOKEN, seat_for, spec_for

AGENT = OpenClaw()
PATH = ".openclaw/openclaw.json"


def rendered(existing: dict[str, Any] | None = None, **seat: Any) -> dict[str, Any]:
    files = {} if existing is None else {PATH: json.dumps(existing).encode()}
    [file] = AGENT.render(seat_for(AGENT, **seat), files)
    assert file.path == PATH
    tree = json.loads(file.content)
    assert isinstance(tree, dict)
    return tree


def test_it_is_closed_quiet_and_points_at_the_broker() -> None:
    tree = rendered()
    gateway = tree["gateway"]
    assert (gateway["mode"], gateway["bind"], gateway["port"]) == ("local", "lan", 18789)
    assert gateway["trustedProxies"] == ["10.9.0.1"]
    origins = ["http://alice.localhost:8080", "https://bot.example.com", "${INNKEEPER_ORIGIN}"]
    assert gateway["controlUi"]["allowedOrigins"] == origins
    assert gateway["terminal"] == {"enabled": False}
    assert gateway["http"]["endpoints"] == {"chatCompletions": {"enabled": True}, "responses": {"enabled": True}}
    assert tree["update"] == {"checkOnStart": False, "auto": {"enabled": False}}
    assert tree["telemetry"] == {"enabled": False}
    assert tree["discovery"] == {"mdns": {"mode": "off"}}
    assert tree["skills"] == {"load": {"watch": False}}
    assert tree["plugins"] == {"entries": {"admin-http-rpc": {"enabled": True}}}
    assert tree["models"]["catalogRefresh"] == {"enabled": False}
    assert tree["agents"]["defaults"]["heartbeat"] == {"every": "0m"}


def test_the_environment_may_name_another_model_and_holds_no_token() -> None:
    tree = rendered(model="claude-sonnet-5")
    assert tree["env"]["vars"] == {
        "INNKEEPER_MODEL_BASE_URL": "http://10.9.0.1:8701/v1",
        "INNKEEPER_MODEL_API_KEY": BROKER_TOKEN,
        "INNKEEPER_MODEL_NAME": "claude-sonnet-5",
        "INNKEEPER_LOGIN": "trusted-proxy",
        "INNKEEPER_ORIGIN": "http://alice.localhost:8080",
    }
    provider = tree["models"]["providers"]["innkeeper"]
    assert provider["baseUrl"] == "${INNKEEPER_MODEL_BASE_URL}"
    assert provider["apiKey"] == "${INNKEEPER_MODEL_API_KEY}"
    assert provider["models"][0]["id"] == "${INNKEEPER_MODEL_NAME}"
    assert tree["agents"]["defaults"]["model"]["primary"] == "innkeeper/${INNKEEPER_MODEL_NAME}"
    environment = " ".join(AGENT.env(spec_for(AGENT)).values()) + " ".join(AGENT.command(spec_for(AGENT)))
    assert BROKER_TOKEN not in environment
    assert GATEWAY_TOKEN not in environment


def test_those_whom_the_edge_lets_in_need_no_login_and_no_pairing() -> None:
    gateway = rendered()["gateway"]
    assert gateway["trustedProxies"] == ["10.9.0.1"], "only the edge may say who has come"
    assert gateway["auth"] == {
        "mode": "${INNKEEPER_LOGIN}",
        "password": GATEWAY_TOKEN,
        "trustedProxy": {
            "userHeader": "x-forwarded-user",
            "requiredHeaders": ["x-forwarded-proto"],
            "allowLoopback": False,
            "deviceAutoApprove": {
                "enabled": True,
                "scopes": [
                    "operator.admin",
                    "operator.read",
                    "operator.write",
                    "operator.approvals",
                    "operator.questions",
                    "operator.pairing",
                ],
            },
        },
    }


def test_where_everybody_may_come_its_own_login_decides() -> None:
    assert rendered(access=Access.OPEN)["gateway"]["auth"] == {"mode": "token", "token": GATEWAY_TOKEN}


def test_a_token_in_the_specs_environment_doesnt_keep_it_from_starting() -> None:
    assert AGENT.env(spec_for(AGENT))["OPENCLAW_GATEWAY_TOKEN"] == ""
    assert "OPENCLAW_GATEWAY_TOKEN" not in AGENT.env(spec_for(AGENT, access=Access.OPEN))


@pytest.mark.parametrize("now", list(Access))
@pytest.mark.parametrize("before", list(Access))
def test_nothing_is_left_of_the_way_in_that_there_was_before(before: Access, now: Access) -> None:
    assert rendered(rendered(access=before), access=now)["gateway"] == rendered(access=now)["gateway"]


@pytest.mark.parametrize("access", list(Access))
def test_rendering_again_changes_nothing(access: Access) -> None:
    [first] = AGENT.render(seat_for(AGENT, access=access), {})
    assert AGENT.render(seat_for(AGENT, access=access), {PATH: first.content}) == [first]


def test_a_user_cant_open_what_we_close() -> None:
    tree = rendered(
        {
            "gateway": {
                "auth": {
                    "mode": "none",
                    "token": "of-their-own",
                    "trustedProxy": {"userHeader": "x-me", "allowLoopback": True, "allowUsers": ["nobody"]},
                },
                "trustedProxies": ["0.0.0.0/0"],
                "controlUi": {"allowedOrigins": ["*"]},
                "terminal": {"enabled": True},
                "bind": "loopback",
            },
            "update": {"auto": {"enabled": True}},
        }
    )
    for ours in ("auth", "trustedProxies", "controlUi", "terminal", "bind"):
        assert tree["gateway"][ours] == rendered()["gateway"][ours]
    assert tree["update"] == rendered()["update"]


def test_a_users_own_settings_stay() -> None:
    own = {
        "agents": {"defaults": {"heartbeat": {"every": "2h"}, "model": {"primary": "own/model"}}},
        "models": {"providers": {"own": {"baseUrl": "https://models.example.com"}}},
        "channels": {"telegram": {"enabled": True}},
        "env": {"vars": {"THEIRS": "1"}},
        "meta": {"lastTouchedVersion": "2026.9.6"},
    }
    tree = rendered(own)
    assert tree["agents"]["defaults"]["heartbeat"] == {"every": "2h"}
    assert tree["agents"]["defaults"]["model"]["primary"] == "own/model"
    assert set(tree["models"]["providers"]) == {"own", "innkeeper"}
    assert tree["channels"] == own["channels"]
    assert tree["meta"] == own["meta"]
    assert tree["env"]["vars"]["THEIRS"] == "1"


def test_the_brokers_model_follows_the_broker() -> None:
    old = rendered()
    old["agents"]["defaults"]["model"]["primary"] = "innkeeper/gone"
    assert rendered(old)["agents"]["defaults"]["model"]["primary"] == "innkeeper/${INNKEEPER_MODEL_NAME}"


@pytest.mark.parametrize(
    "seat",
    [
        {"gateway_token": ""},
        {"gateway_token": "short"},
        {"gateway_token": "with a space, and long enough"},
        {"edge_address": "nowhere"},
        {"origins": ()},
        {"origins": ("http://alice.localhost:8080/",)},
        {"model": "de${HOME}mo"},
        {"model": 'de"mo'},
        {"broker_url": "http://10.9.0.1:8701\n"},
    ],
)
def test_what_openclaw_would_choke_on_is_refused(seat: dict[str, Any]) -> None:
    with pytest.raises(AgentConfigInvalid) as caught:
        AGENT.render(seat_for(AGENT, **seat), {})
    assert caught.value.hint


def test_a_broken_file_is_kept() -> None:
    aside, file = AGENT.render(seat_for(AGENT), {PATH: b"{ gateway: "})
    assert aside.content == b"{ gateway: "
    assert aside.path.startswith(PATH + ".broken-")
    assert json.loads(file.content) == rendered()


@pytest.mark.parametrize(
    ("status", "body", "ready"),
    [
        (200, b'{"ok":true,"status":"started"}', True),
        (503, b'{"ok":true,"status":"started"}', False),
        (200, b'{"ok":false,"status":"starting"}', False),
        (200, b'{"ok":true,"status":"draining"}', False),
        (200, b"<!doctype html>", False),
        (200, b"[]", False),
        (200, b"", False),
        (403, b'{"error":{"message":"Proxy client attribution is required."}}', False),
    ],
)
def test_readiness_is_in_the_body(status: int, body: bytes, ready: bool) -> None:
    assert AGENT.is_ready(status, body) is ready


def test_probes_come_from_somewhere_for_the_gateway_refuses_nowhere() -> None:
    assert AGENT.probe(spec_for(AGENT)).headers["X-Forwarded-For"] == "192.0.2.1"


def test_the_edge_names_a_user_and_for_a_gateway_of_an_older_innkeeper_brings_the_token() -> None:
    entrance = AGENT.entrance(spec_for(AGENT), "t")
    assert entrance.port == 18789
    assert entrance.headers == {"Authorization": "Bearer t", "X-Forwarded-User": "innkeeper"}


def test_where_everybody_may_come_nobody_is_named() -> None:
    assert AGENT.entrance(spec_for(AGENT, access=Access.OPEN), "t").headers == {"Authorization": "Bearer t"}


def test_it_is_asked_as_the_edge_asks_and_with_all_rights() -> None:
    ask = AGENT.next_run(spec_for(AGENT), "t")
    assert ask is not None
    assert ask.headers == {
        "Authorization": "Bearer t",
        "X-Forwarded-User": "innkeeper",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-For": "192.0.2.1",
        "X-OpenClaw-Scopes": "operator.admin",
    }
    own_login = AGENT.next_run(spec_for(AGENT, access=Access.OPEN), "t")
    assert own_login is not None
    assert own_login.headers["Authorization"] == "Bearer t"
    assert "X-Forwarded-User" not in own_login.headers


def answered(payload: object) -> bytes:
    return json.dumps({"id": "1", "ok": True, "payload": payload}).encode()


BUSY = {
    "status": "busy",
    "reason": "active-work",
    "blockers": [{"kind": "root-request", "count": 1, "message": "1 active gateway request(s): chat"}],
}


@pytest.mark.parametrize(
    ("status", "body", "objection"),
    [
        (200, answered({"status": "ready", "suspensionId": "s1", "blockers": []}), None),
        (200, answered(BUSY), "1 active gateway request(s): chat"),
        (200, answered({"status": "draining", "suspensionId": "s1"}), "draining"),
        (200, answered({"status": "busy", "reason": "active-work"}), "active-work"),
        (404, b"<html>not here</html>", None),
        (500, b"", "its gateway doesn't say whether it is busy: status 500"),
        (200, b"<html>hello</html>", "its gateway doesn't say whether it is busy: status 200"),
        (401, b'{"ok":false,"error":{"message":"no"}}', "its gateway doesn't say whether it is busy: no"),
    ],
)
def test_only_a_clear_yes_is_consent(status: int, body: bytes, objection: str | None) -> None:
    assert AGENT.consent(status, body).objection == objection


def test_consent_has_a_name_and_an_end() -> None:
    ready = answered({"status": "ready", "suspensionId": "s1", "expiresAtMs": 1795230000000})
    until = datetime(2026, 11, 21, 3, tzinfo=UTC)
    assert AGENT.consent(200, ready) == Consent(suspension="s1", until=until)
    draining = AGENT.consent(200, answered({"status": "draining", "suspensionId": "s1"}))
    assert draining == Consent(objection="draining", suspension="s1"), "it takes no new work, and must be told to again"


def test_frozen_it_keeps_its_work_and_to_be_stopped_it_ends_it() -> None:
    asked = {rung: AGENT.suspend(spec_for(AGENT), "token", rung) for rung in (Rung.PAUSED, Rung.STOPPED)}
    params = {rung: probe.json["params"] for rung, probe in asked.items() if probe and probe.json}
    assert params == {
        Rung.PAUSED: {"requestId": "innkeeper-paused", "terminalPolicy": "preserve"},
        Rung.STOPPED: {"requestId": "innkeeper-stopped", "terminalPolicy": "terminate", "drain": True},
    }


def test_a_thawed_gateway_is_told_that_its_suspension_is_over() -> None:
    ask = AGENT.resume(spec_for(AGENT), "token", "s1")
    assert ask is not None
    assert ask.json == {"method": "gateway.suspend.resume", "params": {"suspensionId": "s1"}}
    assert "token" in ask.headers["Authorization"]


@pytest.mark.parametrize(
    ("payload", "at"),
    [
        ({"enabled": True, "nextWakeAtMs": 1795230000000}, datetime(2026, 11, 21, 3, tzinfo=UTC)),
        ({"enabled": False, "nextWakeAtMs": 1795230000000}, None),
        ({"enabled": True}, None),
        ({"enabled": True, "nextWakeAtMs": 1e300}, None),
        ({"enabled": True, "nextWakeAtMs": -5}, None),
        ("nonsense", None),
    ],
)
def test_its_scheduler_tells_the_next_run(payload: object, at: datetime | None) -> None:
    assert AGENT.run_at(200, answered(payload)) == at


@pytest.mark.parametrize(
    ("channels", "names"),
    [
        ({}, []),
        ({"telegram": {"botToken": "1:a"}}, ["telegram"]),
        ({"telegram": {"botToken": "1:a", "enabled": False}}, []),
        ({"telegram": {"botToken": "1:a", "webhookUrl": "https://x.example/hook"}}, []),
        ({"discord": {"enabled": True}, "whatsapp": {}, "defaults": {"a": 1}, "odd": 3}, ["discord", "whatsapp"]),
        ("nonsense", []),
    ],
)
def test_channels_that_it_fetches_from_are_known(channels: object, names: list[str]) -> None:
    assert list(AGENT.listens_to({PATH: json.dumps({"channels": channels}).encode()})) == names


def test_no_config_and_a_broken_one_have_no_channels() -> None:
    assert list(AGENT.listens_to({})) == list(AGENT.listens_to({PATH: b"{"})) == []


# --- Telegram by webhook ----------------------------------------------------------------------------------------------

URL = "https://alice.example.com/telegram-webhook"
USUAL = InboxPath(path="/telegram-webhook", id="json:update_id", port=8787)


def webhooks(telegram: object) -> list[InboxPath]:
    return list(AGENT.webhooks({PATH: json.dumps({"channels": {"telegram": telegram}}).encode()}))


@pytest.mark.parametrize(
    ("telegram", "found"),
    [
        ({"webhookUrl": URL}, [USUAL]),
        ({"webhookUrl": URL, "webhookPath": "/tg", "webhookPort": 9000}, [replace(USUAL, path="/tg", port=9000)]),
        ({"webhookUrl": URL, "enabled": False}, []),
        ({"webhookUrl": ""}, []),
        ({"botToken": "x"}, []),
        ({"webhookUrl": URL, "webhookPath": "/a/../b"}, []),
        ({"webhookUrl": URL, "webhookPath": 7}, []),
        ({"webhookUrl": URL, "webhookPort": 0}, []),
        ({"webhookUrl": URL, "webhookPort": True}, []),
        ({"webhookUrl": URL, "accounts": {"a": {}, "b": {"webhookPort": 8788}}}, [USUAL, replace(USUAL, port=8788)]),
        ({"accounts": {"a": {"webhookUrl": URL}, "b": {}, "c": {"webhookUrl": URL, "enabled": False}}}, [USUAL]),
        ({"webhookUrl": URL, "enabled": False, "accounts": {"a": {"enabled": True}}}, []),
        ([], []),
        (None, []),
    ],
)
def test_webhooks_are_known_from_the_config(telegram: object, found: list[InboxPath]) -> None:
    assert webhooks(telegram) == found


@pytest.mark.parametrize("config", [b"", b"{", b"[]", b'{"channels": []}', b'{"channels": {"telegram": 1}}'])
def test_a_config_that_says_nothing_has_none(config: bytes) -> None:
    assert list(AGENT.webhooks({PATH: config})) == list(AGENT.webhooks({})) == []


@pytest.mark.parametrize(
    ("telegram", "listens"),
    [
        ({"webhookUrl": URL}, False),
        ({"botToken": "x"}, True),
        ({"webhookUrl": URL, "accounts": {"a": {}}}, False),
        ({"accounts": {"a": {"webhookUrl": URL}}}, False),
        ({"accounts": {"a": {"webhookUrl": URL}, "b": {"botToken": "x"}}}, True),
        ({"botToken": "x", "accounts": {"a": {"webhookUrl": URL}}}, True),
        ({"accounts": {"a": {"enabled": False}}}, False),
    ],
)
def test_telegram_only_fetches_where_it_has_no_webhook(telegram: object, listens: bool) -> None:
    existing = {PATH: json.dumps({"channels": {"telegram": telegram}}).encode()}
    assert list(AGENT.listens_to(existing)) == (["telegram"] if listens else [])


def test_its_listener_is_made_reachable() -> None:
    own = {"webhookUrl": URL, "webhookHost": "127.0.0.1", "accounts": {"a": {"webhookHost": "::1"}, "b": {"x": 1}}}
    telegram = rendered({"channels": {"telegram": own}})["channels"]["telegram"]
    assert telegram["webhookHost"] == "0.0.0.0"
    assert telegram["accounts"] == {"a": {"webhookHost": "0.0.0.0"}, "b": {"x": 1}}
    fetching = {"botToken": "x", "webhookHost": "127.0.0.1"}
    assert rendered({"channels": {"telegram": fetching}})["channels"]["telegram"] == fetching
    assert "channels" not in rendered({})
