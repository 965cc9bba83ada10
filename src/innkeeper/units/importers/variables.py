"""What becomes of an environment: keys of providers, tokens of channels, other secrets, settings, and what we set."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType

from innkeeper.core.adoption import Becomes
from innkeeper.core.credential_patterns import without_patterns
from innkeeper.core.openings import InboxPath
from innkeeper.core.references import names_secret
from innkeeper.units.importers.dossier import Dossier
from innkeeper.units.importers.providers import ADDRESSES, KEYS, MODELS, Provider, azure_address

_CREDENTIAL = re.compile(r"(?i)(?:^|_)(?:key|token|secret|pass|passwd|password|pwd|credentials?|auth|cookie|dsn)\d*$")
_CHANNELS: Mapping[str, tuple[str, str]] = {
    "TELEGRAM_BOT_TOKEN": ("telegram", "botToken"),
    "DISCORD_BOT_TOKEN": ("discord", "token"),
    "SLACK_BOT_TOKEN": ("slack", "botToken"),
    "SLACK_APP_TOKEN": ("slack", "appToken"),
    "MSTEAMS_APP_ID": ("msteams", "appId"),
    "MSTEAMS_APP_PASSWORD": ("msteams", "appPassword"),
    "MSTEAMS_TENANT_ID": ("msteams", "tenantId"),
}
"""Where OpenClaw has in its config what it also reads from these variables."""
_BUNDLED = frozenset({"telegram"})
"""The channels that come in OpenClaw's own package (2026.9.6); the others are plugins of their own."""
_OURS = re.compile(
    r"(?:OPENCLAW|CLAWDBOT|ZEPTOCLAW|INNKEEPER|DOCKER|COMPOSE|LD)_.*|HOME|PATH|USER|HOSTNAME|PORT|TZ_FILE|TENANT_DATA_DIR|"
    r"DATA_DIR|NODE_ENV|NODE_OPTIONS|RUST_LOG|RUST_LOG_FORMAT"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def is_credential(name: str, value: str) -> bool:
    """Whether a variable holds one, by its name or by its looks."""
    if names_secret(name) or _CREDENTIAL.search(name):
        return True
    return without_patterns(value) != value


def adopt_variables(
    dossier: Dossier,
    values: Mapping[str, str],
    otherwise: str,
    *,
    given: Collection[str] | None,
    used: Collection[str] = (),
    places: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Decide of each variable. `given`: those that the agent really had (None: all); `used`: those that its config has
    taken in already; `places`: where those were said, if not in `otherwise`."""
    for name, value in values.items():
        where = places.get(name, otherwise)
        if name in used:
            kept = next((each for each, secret in dossier.secrets.items() if secret == value), "")
            becomes = Becomes.SECRET if kept else Becomes.SETTING
            dossier.tell(name, where, becomes, kept, "the agent's config refers to it")
        elif not value:
            dossier.tell(name, where, Becomes.IGNORED, why="it is empty")
        elif name in KEYS:
            _provider(dossier, KEYS[name]).keys.append(
                dossier.secret(name, value, where, why=f"key of the provider {KEYS[name]}")
            )
        elif name in ADDRESSES:
            address = azure_address(value) if ADDRESSES[name] == "azure" else value
            _provider(dossier, ADDRESSES[name]).base_url = address
            dossier.tell(name, where, Becomes.SETTING, f"uses.providers.{ADDRESSES[name]}.base_url")
        elif name in MODELS:
            _provider(dossier, MODELS[name]).models.insert(0, value)
            dossier.tell(name, where, Becomes.SETTING, f"uses.providers.{MODELS[name]}.models")
        elif name in _CHANNELS and dossier.source.agent.name == "openclaw":
            _channel(dossier, name, value, where)
        elif _OURS.fullmatch(name):
            dossier.tell(name, where, Becomes.IGNORED, why="Innkeeper says where the agent is, lies and listens")
        elif is_credential(name, value):
            dossier.secret(name, value, where, why="nothing refers to it yet")
        elif given is not None and name not in given:
            dossier.tell(name, where, Becomes.IGNORED, why="the compose file doesn't give it to the agent")
        elif not _NAME.fullmatch(name):
            dossier.refusals.append(f"{where}: {name[:60]!r} is no name that a variable can have here.")
        elif "\n" in value or "\r" in value:
            dossier.refusals.append(
                f"{where}: {name} has several lines, which no variable can have here. Take it out of a copy of the "
                "source, and give it to the agent as a file."
            )
        else:
            dossier.env[name] = value
            dossier.tell(name, where, Becomes.SETTING, f"env.{name}")


def settle_providers(dossier: Dossier) -> None:
    """What is known of the tenant's own providers, as far as they can be asked."""
    for name, provider in list(dossier.providers.items()):
        if not provider.is_whole:
            del dossier.providers[name]
            dossier.notes.append(
                f"Of the provider {name} it isn't said where it is: its key lies in the vault, unused."
            )
        elif not provider.models:
            dossier.notes.append(
                f"No model of {name} is named: where the agent leaves the choice it gets the house's. To have another, "
                f"name it first in `uses.providers.{name}.models`."
            )


def _provider(dossier: Dossier, name: str) -> Provider:
    return dossier.providers.setdefault(name, Provider(name=name))


def _channel(dossier: Dossier, name: str, value: str, where: str) -> None:
    channel, key = _CHANNELS[name]
    path = ("channels", channel, key)
    if dossier.source.agent.keeps_secret(path):
        secret = dossier.secret(name, value, where, why=f"channel {channel}")
        dossier.set_config(path, f"${{secret:{secret}}}")
    else:
        dossier.set_config(path, value)
        dossier.tell(name, where, Becomes.SETTING, "config." + ".".join(path))
    dossier.set_config(("channels", channel, "enabled"), True)
    if channel == "msteams" and not dossier.inbox:
        dossier.set_config(("channels", channel, "webhook"), {"port": 3978, "path": "/api/messages"})
        dossier.inbox.append(InboxPath(path="/api/messages", port=3978))
    if channel not in _BUNDLED:
        dossier.notes.append(
            f"OpenClaw's package has no plugin for {channel}: it stays silent until that is installed in the tenant."
        )
