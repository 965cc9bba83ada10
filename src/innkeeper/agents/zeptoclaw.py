"""ZeptoClaw: one small Rust program that listens on chat channels; the lightest.

Its binary can't be had from a package registry, so its operator brings an image; what is known here of its config,
health and HTTP interface is from its own source (qhkm/zeptoclaw), and tested with a stand-in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from innkeeper.agents import model
from innkeeper.agents.channels import is_channel_secret
from innkeeper.agents.fence import channel_fence
from innkeeper.agents.jsonfile import Tree, said, shared_json, value_at
from innkeeper.agents.silent import Silent
from innkeeper.core.errors import InvalidSpec
from innkeeper.core.openings import InboxPath, is_path
from innkeeper.core.ports import ConfigFile, Entrance, Probe, Seat
from innkeeper.core.tenant import Limits, Spec

_CONFIG_PATH = ".zeptoclaw/config.json"
_FENCE_PATH = ".zeptoclaw/innkeeper-fence.json"
_HEALTH_PORT, _ACP_PORT, _WEBHOOK_PORT = 9090, 8765, 9876
_ACP, _WEBHOOK = "acp", "webhook"
_PROVIDER = "openai"
"""Under which it takes any server that speaks OpenAI's protocol."""
_NO_CHANNELS = (_ACP,)
"""The Agent Client Protocol: how the edge gets in, and so never fenced."""
_COMES_IN = (_ACP, _WEBHOOK, "whatsapp_cloud")
"""Those that wait to be spoken to."""
_CAMEL = re.compile(r"[a-z0-9][A-Z]")
_OWN_NAMES = ("env", "roles", "tool_profiles", "approval_routing")
"""Below these the keys are names that somebody chose."""
_START = (
    f'if [ -n "${model.URL}" ]; then '
    f'export ZEPTOCLAW_PROVIDERS_OPENAI_API_BASE="${model.URL}" '
    f'ZEPTOCLAW_PROVIDERS_OPENAI_API_KEY="${{{model.KEY}:-none}}" '
    f'ZEPTOCLAW_AGENTS_DEFAULTS_MODEL="${{{model.NAME}:-default}}"; '
    "fi; exec zeptoclaw gateway"
)
"""It reads variables of its own alone, and takes an empty one for a value: hence the shell, whose words are these."""


class Zeptoclaw(Silent):
    """How ZeptoClaw is configured, started, asked and entered."""

    name = "zeptoclaw"
    title = "ZeptoClaw"
    limits = Limits(memory_mb=128, cpus=0.25, memory_reserve_mb=32, cpus_reserve=0.05)
    floor_mb = 16
    workspace = "workspace"
    minimum_version: str | None = None
    own_image = True
    stop_grace_s = 15
    start_timeout_s = 60
    hopeless_exits: frozenset[int] = frozenset()  # its 1 means anything

    def config_paths(self) -> Sequence[str]:
        """Its config, and what a fence keeps."""
        return (_CONFIG_PATH, _FENCE_PATH)

    def render(self, seat: Seat, existing: Mapping[str, bytes]) -> Sequence[ConfigFile]:
        """config.json with our keys set and the user's kept."""
        self.check_config(seat.config)
        theirs = said(_CONFIG_PATH, existing, seat.config)
        kept = existing.get(_FENCE_PATH)
        fence = channel_fence(theirs, seat.config, kept, path=_FENCE_PATH, up=seat.fenced, no_channels=_NO_CHANNELS)
        config = shared_json(
            _CONFIG_PATH,
            existing,
            ours=lambda below: fence.laid_on(_ours(seat, below)),
            defaults=_DEFAULTS,
            schema=_Config,
            config=seat.config,
        )
        return [*fence.before, *config, *fence.after]

    def caches(self) -> Sequence[str]:
        """None: what it has lies in its workspace and its sessions."""
        return ()

    def check_config(self, config: Mapping[str, Any]) -> None:
        """Its keys are in snake_case: others would be passed over without a word."""
        _check_spelling(config)

    def keeps_secret(self, path: tuple[str, ...]) -> bool:
        """A channel's own credentials."""
        return is_channel_secret(path)

    def command(self, spec: Spec) -> tuple[str, ...]:
        """Its gateway, with the model that the environment names, if it does."""
        return ("sh", "-c", _START)

    def env(self, spec: Spec) -> Mapping[str, str]:
        """Where it is at home, where it tells of its health, and that it logs as JSON."""
        return {
            "HOME": "/data",
            "RUST_LOG": "zeptoclaw=info",
            "RUST_LOG_FORMAT": "json",
            "ZEPTOCLAW_HEALTH_HOST": "0.0.0.0",  # noqa: S104 - its own network
            "ZEPTOCLAW_HEALTH_PORT": str(_HEALTH_PORT),
        }

    def fence(self, spec: Spec) -> Mapping[str, str]:
        """Neither routines nor the heartbeat start by themselves; channels are its config's."""
        return {"ZEPTOCLAW_ROUTINES_ENABLED": "false", "ZEPTOCLAW_HEARTBEAT_ENABLED": "false"}

    def examination(self, spec: Spec) -> Sequence[str]:
        """Its image holds one program, which can't read a folder for us."""
        return ()

    def examined(self, output: bytes) -> int | None:
        """It never is."""
        return None

    def sessions(self, spec: Spec, gateway_token: str) -> Probe | None:
        """It can't be asked."""
        return None

    def sessions_told(self, status: int, body: bytes) -> int | None:
        """It is never asked."""
        return None

    def mount(self, spec: Spec) -> str:
        """The home folder of its user."""
        return "/data"

    def probe(self, spec: Spec) -> Probe:
        """Ready when its agent has started."""
        return Probe(port=_HEALTH_PORT, path="/readyz")

    def is_ready(self, status: int, body: bytes) -> bool:
        """`{"status": "ready"}`."""
        return status == 200 and _object(body).get("status") == "ready"

    def health_command(self, spec: Spec) -> Sequence[str]:
        """Its image has wget."""
        return ("wget", "-qO", "/dev/null", f"http://127.0.0.1:{_HEALTH_PORT}/healthz")

    def entrance(self, spec: Spec, gateway_token: str) -> Entrance:
        """`POST /acp`, the Agent Client Protocol over HTTP, with the token that it asks for there."""
        return Entrance(port=_ACP_PORT, headers={"Authorization": f"Bearer {gateway_token}"})

    def listens_to(self, existing: Mapping[str, bytes]) -> Sequence[str]:
        """Every channel that is on, but for those that wait to be spoken to."""
        channels = _object(existing.get(_CONFIG_PATH, b"")).get("channels")
        return sorted(
            name
            for name, channel in (channels.items() if isinstance(channels, dict) else ())
            if name not in _COMES_IN and isinstance(channel, dict) and channel.get("enabled") is True
        )

    def webhooks(self, existing: Mapping[str, bytes]) -> Sequence[InboxPath]:
        """Its webhook channel's; for others the operator says."""
        channel = value_at(_object(existing.get(_CONFIG_PATH, b"")), "channels", _WEBHOOK)
        if not isinstance(channel, dict) or channel.get("enabled") is not True:
            return ()
        path, port = channel.get("path", "/webhook"), channel.get("port", _WEBHOOK_PORT)
        if not isinstance(path, str) or not is_path(path) or type(port) is not int or not 0 < port < 65536:
            return ()  # it will say itself what is wrong with that
        return (InboxPath(path=path, port=port),)

    def chat_model(self, spec: Spec) -> str | None:
        """Its gateway has no such endpoint."""
        return None


def _ours(seat: Seat, theirs: Tree) -> dict[str, Any]:
    values = model.broker_values(seat)
    tree: dict[str, Any] = {
        "providers": {_PROVIDER: {"api_base": values[model.URL], "api_key": values[model.KEY]}},
        # The broker's address is private, and with such a provider it doesn't start otherwise.
        "safety": {"allow_private_endpoints": True},
        "channels": {
            _ACP: {
                "enabled": True,
                "http": {
                    "enabled": True,
                    "bind": "0.0.0.0",  # noqa: S104 - its own network
                    "port": _ACP_PORT,
                    "auth_token": seat.gateway_token,
                },
            }
        },
    }
    if (webhook := value_at(theirs, "channels", _WEBHOOK)) and isinstance(webhook, dict) and webhook.get("enabled"):
        tree["channels"][_WEBHOOK] = {"bind_address": "0.0.0.0"}  # noqa: S104 - where the edge reaches it
    if not _has_another(theirs):
        tree["agents"] = {"defaults": {"model": values[model.NAME]}}
    return tree


def _has_another(theirs: Tree) -> bool:
    """Whether the user has a provider of their own, which goes first: then the model is theirs to name."""
    providers = value_at(theirs, "providers")
    return isinstance(providers, dict) and any(
        name != _PROVIDER and isinstance(each, dict) and each.get("api_key") for name, each in providers.items()
    )


_DEFAULTS = {
    "agents": {"defaults": {"workspace": "/data/workspace"}},
    # Each beat is a whole turn of the model, also for a tenant that nobody uses.
    "heartbeat": {"enabled": False, "interval_secs": 1800},
}


def _check_spelling(config: Mapping[str, Any]) -> None:
    """InvalidSpec where a key of the spec's is in camelCase: it would be passed over without a word."""
    for path in _camel(config, ()):
        raise InvalidSpec(
            f"config.{'.'.join(path)} isn't a key of ZeptoClaw's: its keys are in snake_case.",
            field=f"config.{'.'.join(path)}",
            hint=f"Like `{re.sub('(?<=[a-z0-9])([A-Z])', lambda found: '_' + found[1].lower(), path[-1])}`.",
        )


def _camel(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if _CAMEL.search(key):
                yield (*path, key)
            elif key not in _OWN_NAMES:
                yield from _camel(value, (*path, key))
    elif isinstance(tree, list | tuple):
        for each in tree:
            yield from _camel(each, path)


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, hide_input_in_errors=True)


_Secret = Annotated[str, Field(min_length=16, pattern=r"^[\x21-\x7e]+$")]


class _Http(_Part):
    enabled: Literal[True]
    bind: Literal["0.0.0.0"]  # noqa: S104
    port: Literal[8765]
    auth_token: _Secret


class _Acp(_Part):
    http: _Http


class _Channels(_Part):
    acp: _Acp


class _OpenAI(_Part):
    api_base: Annotated[str, Field(pattern=r"^https?://")]
    api_key: Annotated[str, Field(min_length=1)]


class _Providers(_Part):
    openai: _OpenAI


class _Defaults(_Part):
    workspace: str
    model: Annotated[str, Field(min_length=1)]


class _Agents(_Part):
    defaults: _Defaults


class _Config(_Part):
    agents: _Agents
    providers: _Providers
    channels: _Channels
