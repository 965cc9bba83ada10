"""What openclaw.json must hold for a tenant, what it holds unless the user says otherwise, and its check."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress

from innkeeper.agents import model
from innkeeper.agents.jsonfile import Tree, value_at
from innkeeper.agents.openclaw_telegram import reachable_telegram
from innkeeper.core.ladder import MissedRuns
from innkeeper.core.ports import Seat

CONFIG_PATH = ".openclaw/openclaw.json"
PORT = 18789

_PROVIDER = "innkeeper"
_CONTEXT_TOKENS = 128_000
_ANSWER_TOKENS = 8_192


def ours(seat: Seat, theirs: Tree) -> dict[str, Any]:
    """The keys that keep a tenant reachable, closed to others and quiet; the user's don't win here."""
    tree: dict[str, Any] = {
        "gateway": {
            "mode": "local",
            "port": PORT,
            "bind": "lan",
            "auth": {"mode": "token", "token": seat.gateway_token},
            "trustedProxies": [seat.edge_address],
            "controlUi": {"enabled": True, "allowedOrigins": list(seat.origins)},
            "http": {"endpoints": {"chatCompletions": {"enabled": True}, "responses": {"enabled": True}}},
            "terminal": {"enabled": False},  # a shell in the browser, with the gateway's own environment
        },
        # Variables that the environment lacks are taken from here.
        "env": {"vars": model.broker_values(seat)},
        "models": {"providers": {_PROVIDER: _provider()}, "catalogRefresh": {"enabled": False}},
        "update": {"checkOnStart": False, "auto": {"enabled": False}},
        "telemetry": {"enabled": False},
        "discovery": {"mdns": {"mode": "off"}},
        # Runs that fell due while it was stopped: dropped, or made up for with one run each.
        "cron": {"skipMissedJobs": seat.spec.sleep.missed_runs is MissedRuns.SKIP},
        # The image never changes, and a watcher on it keeps a running gateway from being saved.
        "skills": {"load": {"watch": False}},
        "plugins": {"entries": {"admin-http-rpc": {"enabled": True}}},  # suspend, cron status, pairing
    }
    if telegram := reachable_telegram(theirs):
        tree["channels"] = {"telegram": telegram}
    chosen = value_at(theirs, "agents", "defaults", "model", "primary")
    if chosen is None or str(chosen).startswith(f"{_PROVIDER}/"):  # the broker's model is ours to name
        tree["agents"] = {"defaults": {"model": {"primary": f"{_PROVIDER}/{model.reference(model.NAME)}"}}}
    return tree


DEFAULTS = {
    "agents": {
        "defaults": {
            "workspace": "/data/workspace",
            # The first message gets an answer instead of a ceremony.
            "skipBootstrap": True,
            # Each beat is a whole turn of the model, every 30 minutes, also for a tenant that nobody uses.
            "heartbeat": {"every": "0m"},
        }
    },
    "models": {"mode": "replace"},
    "browser": {"enabled": False},  # the image has none
    "logging": {"consoleStyle": "json"},
}
"""The keys that a user may change."""


def _provider() -> dict[str, Any]:
    return {
        "baseUrl": model.reference(model.URL),
        "apiKey": model.reference(model.KEY),
        "api": "openai-completions",
        "models": [
            {
                "id": model.reference(model.NAME),
                "name": model.reference(model.NAME),
                "reasoning": False,
                "input": ["text"],
                "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
                "contextWindow": _CONTEXT_TOKENS,
                "maxTokens": _ANSWER_TOKENS,
            }
        ],
    }


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, hide_input_in_errors=True)


_Secret = Annotated[str, Field(min_length=16, pattern=r"^[\x21-\x7e]+$")]
_Origin = Annotated[str, Field(pattern=r"^https?://[a-z0-9.\-]+(:[0-9]+)?$")]


class _Auth(_Part):
    mode: Literal["token"]
    token: _Secret


class _ControlUi(_Part):
    allowedOrigins: Annotated[list[_Origin], Field(min_length=1)]  # noqa: N815 - OpenClaw's own spelling


class _Gateway(_Part):
    mode: Literal["local"]
    port: Literal[18789]
    bind: Literal["lan"]
    auth: _Auth
    trustedProxies: Annotated[list[IPvAnyAddress], Field(min_length=1)]  # noqa: N815
    controlUi: _ControlUi  # noqa: N815


class _Models(_Part):
    providers: dict[str, Any]


class _Agents(_Part):
    defaults: dict[str, Any]


class OpenClawConfig(_Part):
    """The part of openclaw.json that a tenant can't run without; OpenClaw itself judges the rest."""

    gateway: _Gateway
    models: _Models
    agents: _Agents
