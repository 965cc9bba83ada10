"""What openclaw.json must hold for a tenant, what it holds unless the user says otherwise, and its check."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress

from innkeeper.agents import model
from innkeeper.agents.jsonfile import NOTHING, Tree, value_at
from innkeeper.agents.openclaw_telegram import reachable_telegram
from innkeeper.core.ladder import MissedRuns
from innkeeper.core.ports import Seat
from innkeeper.core.tenant import Access

CONFIG_PATH = ".openclaw/openclaw.json"
FENCE_PATH = ".openclaw/innkeeper-fence.json"
NO_CHANNELS = frozenset({"defaults", "modelByChannel"})
"""Keys among its channels that say something of all of them."""
PORT = 18789
LOGIN, ORIGIN = "INNKEEPER_LOGIN", "INNKEEPER_ORIGIN"
"""The variables by which a compose file has OpenClaw ask for a password, and says where browsers find it, for there is
no edge then."""
USER_HEADER, PROTO_HEADER = "X-Forwarded-User", "X-Forwarded-Proto"

_PROVIDER = "innkeeper"
_SCOPES = tuple(f"operator.{each}" for each in ("admin", "read", "write", "approvals", "questions", "pairing"))
"""What the web interface asks for: over HTTP, too, whoever is let in by the edge may do anything with the gateway."""
_CONTEXT_TOKENS = 128_000
_ANSWER_TOKENS = 8_192


def ours(seat: Seat, theirs: Tree) -> dict[str, Any]:
    """The keys that keep a tenant reachable, closed to others and quiet; the user's don't win here."""
    origin = "".join(seat.origins[:1])
    tree: dict[str, Any] = {
        "gateway": {
            "mode": "local",
            "port": PORT,
            "bind": "lan",
            "auth": _auth(seat),
            "trustedProxies": [seat.edge_address],
            "controlUi": {"enabled": True, "allowedOrigins": [*seat.origins, model.reference(ORIGIN)]},
            "http": {"endpoints": {"chatCompletions": {"enabled": True}, "responses": {"enabled": True}}},
            "terminal": {"enabled": False},  # a shell in the browser, with the gateway's own environment
        },
        # Variables that the environment lacks are taken from here.
        "env": {"vars": {**_NO_TOOLS, **model.broker_values(seat), LOGIN: "trusted-proxy", ORIGIN: origin}},
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
    if model.has_tools(seat):
        tree["mcp"] = {"servers": {model.SERVER: _TOOLS}}
    elif value_at(theirs, "mcp", "servers", model.SERVER) is not None:
        tree["mcp"] = {"servers": {model.SERVER: NOTHING}}
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


_NO_TOOLS = {model.TOOLS_URL: NOTHING, model.TOOLS_KEY: NOTHING}
_TOOLS = {
    "url": model.reference(model.TOOLS_URL),
    "transport": "streamable-http",
    "headers": {"Authorization": f"Bearer {model.reference(model.TOOLS_KEY)}"},
    "requestTimeoutMs": model.TOOL_TIMEOUT_S * 1000,
    "supportsParallelToolCalls": True,
}


def _auth(seat: Seat) -> dict[str, Any]:
    """Its own login for a tenant that everybody may come to; else it takes the edge's word for who has come.

    The word counts from the edge's address only. There the password is of no use: it lets in who comes from the
    gateway's own loopback, OpenClaw's own commands among them, and without Innkeeper everybody who knows it.
    """
    if seat.spec.access is Access.OPEN:
        return {"mode": "token", "token": seat.gateway_token, "password": NOTHING, "trustedProxy": NOTHING}
    return {
        "mode": model.reference(LOGIN),
        "token": NOTHING,  # with one it doesn't start
        "password": seat.gateway_token,
        "trustedProxy": {
            "userHeader": USER_HEADER.lower(),
            "requiredHeaders": [PROTO_HEADER.lower()],
            "allowUsers": NOTHING,  # the gate has let them in, and we ask it things, too
            "allowLoopback": False,
            # A new browser of somebody whom the gate has let in isn't asked to be paired.
            "deviceAutoApprove": {"enabled": True, "scopes": list(_SCOPES)},
        },
    }


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
_Origin = Annotated[str, Field(pattern=r"^(https?://[a-z0-9.\-]+(:[0-9]+)?|\$\{INNKEEPER_ORIGIN\})$")]


class _TokenAuth(_Part):
    mode: Literal["token"]
    token: _Secret


class _EdgeAuth(_Part):
    mode: Literal["${INNKEEPER_LOGIN}"]
    password: _Secret


class _ControlUi(_Part):
    allowedOrigins: Annotated[list[_Origin], Field(min_length=2)]  # noqa: N815 - OpenClaw's own spelling


class _Gateway(_Part):
    mode: Literal["local"]
    port: Literal[18789]
    bind: Literal["lan"]
    auth: Annotated[_TokenAuth | _EdgeAuth, Field(discriminator="mode")]
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
