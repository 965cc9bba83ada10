"""nanobot: a small Python agent behind an OpenAI-compatible API; light."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from innkeeper.agents import examinations, model
from innkeeper.agents.channels import is_channel_secret
from innkeeper.agents.fence import channel_fence
from innkeeper.agents.jsonfile import NOTHING, Tree, said, shared_json, value_at
from innkeeper.agents.silent import Silent
from innkeeper.core.openings import InboxPath
from innkeeper.core.ports import ConfigFile, Entrance, Probe, Seat
from innkeeper.core.tenant import Limits, Spec

_CONFIG_PATH = ".nanobot/config.json"
_MODEL_PATH = ".nanobot/model.env"
_FENCE_PATH = ".nanobot/innkeeper-fence.json"
_PORT = 8900

_ALIVE = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{_PORT}/health', timeout=4)"


class Nanobot(Silent):
    """How nanobot is configured, started, asked and entered."""

    name = "nanobot"
    title = "nanobot"
    limits = Limits(memory_mb=512, cpus=1.0)
    floor_mb = 160  # with 128 MB it is killed while it starts
    minimum_version: str | None = "0.3.5"
    own_image = False
    stop_grace_s = 15
    workspace = "workspace"
    start_timeout_s = 60  # 1.3 s on a free core, 4 s on half of one
    hopeless_exits: frozenset[int] = frozenset()  # its 1 means anything

    def config_paths(self) -> Sequence[str]:
        """Its config, the variables that the config refers to, and what a fence keeps."""
        return (_CONFIG_PATH, _MODEL_PATH, _FENCE_PATH)

    def render(self, seat: Seat, existing: Mapping[str, bytes]) -> Sequence[ConfigFile]:
        """config.json with our keys set and the user's kept; model.env wholly ours."""
        theirs = said(_CONFIG_PATH, existing, seat.config)
        fence = channel_fence(theirs, seat.config, existing.get(_FENCE_PATH), path=_FENCE_PATH, up=seat.fenced)
        config = shared_json(
            _CONFIG_PATH,
            existing,
            ours=lambda below: fence.laid_on(_ours(seat, below)),
            defaults=_DEFAULTS,
            schema=_Config,
            config=seat.config,
        )
        return [*fence.before, *config, ConfigFile(path=_MODEL_PATH, content=_model_env(seat)), *fence.after]

    def caches(self) -> Sequence[str]:
        """None: it keeps what it has."""
        return ()

    def check_config(self, config: Mapping[str, Any]) -> None:
        """Whatever it says."""

    def keeps_secret(self, path: tuple[str, ...]) -> bool:
        """A channel's own credentials."""
        return is_channel_secret(path)

    def command(self, spec: Spec) -> tuple[str, ...]:
        """Its API server; the gateway that it also has serves channels, and no API.

        nanobot reads variables from its environment alone and ends when one is missing: hence the shell, whose words
        are always these.
        """
        return ("sh", "-c", f". /data/{_MODEL_PATH} && exec nanobot serve --config /data/{_CONFIG_PATH}")

    def env(self, spec: Spec) -> Mapping[str, str]:
        """Where it is at home."""
        return {"HOME": "/data"}

    def fence(self, spec: Spec) -> Mapping[str, str]:
        """As a server it starts neither channels nor a schedule."""
        return {}

    def mount(self, spec: Spec) -> str:
        """The home folder of the image."""
        return "/data"

    def probe(self, spec: Spec) -> Probe:
        """Answers as soon as it serves; asks for no key."""
        return Probe(port=_PORT, path="/health")

    def is_ready(self, status: int, body: bytes) -> bool:
        """`{"status": "ok"}`."""
        try:
            answer = json.loads(body)
        except ValueError:
            return False
        return status == 200 and isinstance(answer, dict) and answer.get("status") == "ok"

    def health_command(self, spec: Spec) -> Sequence[str]:
        """Python is what its image has."""
        return ("python3", "-c", _ALIVE)

    def entrance(self, spec: Spec, gateway_token: str) -> Entrance:
        """With the key of its API."""
        return Entrance(port=_PORT, headers={"Authorization": f"Bearer {gateway_token}"})

    def listens_to(self, existing: Mapping[str, bytes]) -> Sequence[str]:
        """Its channels belong to its gateway mode, and it runs as a server."""
        return ()

    def webhooks(self, existing: Mapping[str, bytes]) -> Sequence[InboxPath]:
        """Its channels belong to its gateway mode, and it runs as a server."""
        return ()

    def examination(self, spec: Spec) -> Sequence[str]:
        """Every line of every session."""
        return examinations.NANOBOT

    def examined(self, output: bytes) -> int | None:
        """A file each."""
        return examinations.sessions_found(output)

    def sessions(self, spec: Spec, gateway_token: str) -> Probe | None:
        """As a server it knows one, and doesn't tell of it."""
        return None

    def sessions_told(self, status: int, body: bytes) -> int | None:
        """It is never asked."""
        return None

    def chat_model(self, spec: Spec) -> str | None:
        """Empty: it takes no `model` but the one of its config, which only a request without one is sure to hit."""
        return ""


def _ours(seat: Seat, theirs: Tree) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "providers": {
            "custom": {"apiBase": model.reference(model.URL), "apiKey": model.reference(model.KEY)},
        },
        "api": {"host": "0.0.0.0", "port": _PORT, "apiKey": seat.gateway_token},  # noqa: S104 - its own network
    }
    if model.has_tools(seat):
        tree["tools"] = {"mcpServers": {model.SERVER: _TOOLS}, **_reachable(seat, theirs)}
    elif value_at(theirs, "tools", "mcpServers", model.SERVER) is not None:
        tree["tools"] = {"mcpServers": {model.SERVER: NOTHING}}
    if value_at(theirs, "agents", "defaults", "provider") in {None, "custom"}:
        tree["agents"] = {"defaults": {"provider": "custom", "model": model.reference(model.NAME)}}
    return tree


_TOOLS = {
    "type": "streamableHttp",
    "url": model.reference(model.TOOLS_URL),
    "headers": {"Authorization": f"Bearer {model.reference(model.TOOLS_KEY)}"},
    "toolTimeout": model.TOOL_TIMEOUT_S,
}


def _reachable(seat: Seat, theirs: Tree) -> dict[str, Any]:
    """The broker's address is private, and to such nanobot connects only where its config names them."""
    try:
        broker = str(ip_network(urlsplit(seat.broker_url).hostname or ""))
    except ValueError:
        return {}
    named = value_at(theirs, "tools", "ssrfWhitelist")
    others = [each for each in named if each != broker] if isinstance(named, list) else []
    return {"ssrfWhitelist": [*others, broker]}


_DEFAULTS = {"agents": {"defaults": {"workspace": "/data/workspace"}}}


def _model_env(seat: Seat) -> bytes:
    lines = [f'export {name}="${{{name}:-{value}}}"\n' for name, value in model.broker_values(seat).items()]
    return "".join(lines).encode()


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, hide_input_in_errors=True)


class _Api(_Part):
    host: Literal["0.0.0.0"]  # noqa: S104
    port: Literal[8900]
    apiKey: Annotated[str, Field(min_length=16, pattern=r"^[\x21-\x7e]+$")]  # noqa: N815 - nanobot's own spelling


class _AgentDefaults(_Part):
    model: Annotated[str, Field(min_length=1)]


class _Agents(_Part):
    defaults: _AgentDefaults


class _Config(_Part):
    agents: _Agents
    providers: dict[str, Any]
    api: _Api
