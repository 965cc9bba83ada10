"""ZeptoClaw's tenants: `tenants/NAME/config.json`, and a named volume `NAME-data` for each, kept elsewhere.

The volume comes as a folder or as the archive that its backup script makes; trees.py puts it under `VOLUMES/NAME`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from innkeeper.core.adoption import Adoption, Becomes
from innkeeper.core.references import names_secret
from innkeeper.units.importers.compose_file import UnreadableComposeError, dangers, limits, read_compose
from innkeeper.units.importers.dossier import Dossier, Source
from innkeeper.units.importers.json_text import parsed
from innkeeper.units.importers.providers import KNOWN, Provider, provider_name
from innkeeper.units.importers.variables import settle_providers
from innkeeper.units.tar_headers import Kind

CONFIG, COMPOSE = "config.json", "docker-compose.multi-tenant.yml"
VOLUMES = ".volumes"
"""Where in the tree the volumes are, whatever they are called outside of it."""
_HOME = ".zeptoclaw"


def is_unit(source: Source) -> bool:
    """Whether a folder is one tenant's."""
    return source.has(CONFIG, Kind.FILE)


def read(source: Source) -> Adoption:
    """The tenant as it would be taken."""
    dossier = Dossier(source=source)
    _take_config(dossier)
    _take_volume(dossier)
    _take_limits(dossier)
    settle_providers(dossier)
    return dossier.adoption()


def _take_config(dossier: Dossier) -> None:
    source = dossier.source
    tree = parsed(source.read(CONFIG) or b"")
    if tree is None:
        dossier.refusals.append(f"{source.at(CONFIG)} is no JSON that can be read.")
        return
    where = source.at(CONFIG)
    _providers(dossier, tree, where)
    _channels(dossier, tree, where)
    if source.agent.name == "zeptoclaw":
        target = source.agent.config_paths()[0]
        dossier.move(CONFIG, None, f"written anew as {target}, without keys")
        for place in _kept_secrets(tree, ()):
            dossier.tell(place, where, Becomes.KEPT, place, "the agent reads it there itself, and nobody can put it on")
    else:
        # Nobody reads it, so there is no reason to have keys lie in it; what isn't a key may tell how it was.
        target = f"{_HOME}/{CONFIG}"
        dossier.move(CONFIG, None, f"kept as {target}, without keys: {source.agent.title} has its own")
        dossier.secrets_out_of(tree, where)
    dossier.written[target] = json.dumps(tree, indent=2, ensure_ascii=False).encode() + b"\n"


def _providers(dossier: Dossier, tree: dict[str, Any], where: str) -> None:
    providers = tree.get("providers")
    for name, said in providers.items() if isinstance(providers, dict) else ():
        if not isinstance(said, dict) or not isinstance(said.get("api_key"), str) or not said["api_key"]:
            continue
        called = provider_name(name)
        provider = dossier.providers.setdefault(called, Provider(name=called))
        if isinstance(said.get("api_base"), str) and said["api_base"]:
            provider.base_url = said["api_base"]
        secret = dossier.secret(
            f"providers.{name}.api_key",
            said.pop("api_key"),
            where,
            why=f"key of the provider {called}",
            called=f"{called.upper()}_API_KEY",
        )
        provider.keys.append(secret)
    defaults = _at(tree, "agents", "defaults")
    model = defaults.get("model") if isinstance(defaults, dict) else None
    if isinstance(model, str) and model and dossier.providers:
        name = _provider_of(model, dossier)
        provider = dossier.providers.pop(name)
        provider.models.insert(0, model.removeprefix(f"{name}/"))
        dossier.providers = {name: provider, **dossier.providers}
        dossier.tell("agents.defaults.model", where, Becomes.SETTING, f"uses.providers.{name}.models")


def _provider_of(model: str, dossier: Dossier) -> str:
    for name in dossier.providers:
        known = KNOWN.get(name)
        if model.startswith(f"{name}/") or (known and any(model.startswith(each.rstrip("*")) for each in known.serves)):
            return name
    return next(iter(dossier.providers))


def _channels(dossier: Dossier, tree: dict[str, Any], where: str) -> None:
    """Their tokens come back by reference where the agent has the channel; how they are set up stays in the file."""
    channels = tree.get("channels")
    for name, said in channels.items() if isinstance(channels, dict) else ():
        for key in list(said) if isinstance(said, dict) else ():
            path = ("channels", name, key)
            value = said[key]
            if not isinstance(value, str) or not value or not dossier.source.agent.keeps_secret(path):
                continue
            called = f"{name}_{'bot_token' if key == 'token' else key}".upper()
            secret = dossier.secret(".".join(path), value, where, why=f"channel {name}", called=called)
            dossier.set_config(_inside(dossier, path), f"${{secret:{secret}}}")
            del said[key]
        if isinstance(said, dict) and said.get("enabled") is True and dossier.config.get("channels", {}).get(name):
            dossier.set_config(("channels", name, "enabled"), True)


def _inside(dossier: Dossier, path: tuple[str, ...]) -> tuple[str, ...]:
    """Where the agent that takes over has it."""
    return (*path[:2], "botToken") if dossier.source.agent.name == "openclaw" and path[2] == "token" else path


def _kept_secrets(node: Any, path: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for key, value in node.items() if isinstance(node, dict) else ():
        if isinstance(value, str) and value and names_secret(str(key)):
            found.append(".".join((*path, str(key))))
        else:
            found += _kept_secrets(value, (*path, str(key)))
    for each in node if isinstance(node, list) else ():
        found += _kept_secrets(each, path)
    return found


def _take_volume(dossier: Dossier) -> None:
    """It is mounted at /data, the home of the agent."""
    source = dossier.source
    volume = f"{VOLUMES}/{source.key}"
    if volume not in source.tree.entries:
        dossier.lacks(
            f"volume {source.key}-data (looked for beside it, and where Docker keeps zeptoclaw_{source.key}-data; "
            "`--volumes` says where it is)",
            "its sessions and files",
        )
        return
    dossier.move_in_tree(volume, "")
    if f"{volume}/{CONFIG}" in source.tree.entries:
        dossier.move_in_tree(f"{volume}/{CONFIG}", None, "that was the mount of the config")
    for inner in (f"{volume}/{_HOME}/{CONFIG}",):
        if inner in source.tree.entries:
            dossier.move_in_tree(inner, None, f"{source.at(CONFIG)} counts")


def _take_limits(dossier: Dossier) -> None:
    source = dossier.source
    path = next((path for path in (COMPOSE, f".compose/{COMPOSE}") if path in source.tree.entries), None)
    if path is None:
        return
    try:
        compose = read_compose(source.tree.read(path) or b"", path)
    except UnreadableComposeError as error:
        dossier.refusals.append(str(error))
        return
    for name in (f"tenant-{source.key}", f"zc-{source.key}", source.key):
        service: Mapping[str, Any] | None = compose.services.get(name)
        if service is not None:
            dossier.refusals += dangers(name, service, compose.of_host)
            dossier.put_limits(*limits(service), where=path)
            return
    dossier.notes.append(f"{path} has no service for it: it gets the default limits.")


def _at(tree: Mapping[str, Any], *keys: str) -> Any:
    here: Any = tree
    for key in keys:
        here = here.get(key) if isinstance(here, dict) else None
    return here
