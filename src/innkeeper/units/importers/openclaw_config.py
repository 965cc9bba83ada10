"""An openclaw.json of another system's, taken apart: keys to the vault, what is ours to say left out, the rest kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from innkeeper.core.adoption import Becomes
from innkeeper.core.references import names_secret
from innkeeper.units.importers.dossier import Dossier
from innkeeper.units.importers.json_text import parsed
from innkeeper.units.importers.providers import KEYS, KNOWN, Provider, kind_of_api, provider_name

_REFERENCE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_OURS = ("gateway", "update", "telemetry", "discovery")
"""What Innkeeper says of a tenant's OpenClaw; half of it and half of the old would not start."""
Path = tuple[str, ...]


def adopt_config(dossier: Dossier, content: bytes, where: str, target: str, env: Mapping[str, str]) -> set[str]:
    """Write what remains of the config to `target`; the variables that went into it."""
    tree = parsed(content)
    if tree is None:
        dossier.refusals.append(f"{where} is no JSON that can be read.")
        return set()
    used: set[str] = set()
    for key in _OURS:
        if tree.pop(key, None) is not None:
            dossier.tell(key, where, Becomes.IGNORED, why="Innkeeper sets it")
    _relocate(tree)
    _models(dossier, tree, where, env, used)
    _variables(dossier, tree, where)
    _workspace(dossier, tree, where)
    _secrets(dossier, tree, where, env, used)
    dossier.written[target] = json.dumps(tree, indent=2, ensure_ascii=False).encode() + b"\n"
    return used


def _models(dossier: Dossier, tree: dict[str, Any], where: str, env: Mapping[str, str], used: set[str]) -> None:
    """Providers become the tenant's own at the broker, and the model that was chosen their first."""
    providers = _at(tree, "models", "providers")
    for name, said in list(providers.items()) if isinstance(providers, dict) else ():
        if isinstance(said, dict) and (kind := kind_of_api(said.get("api"))) is not None:
            _own_provider(dossier, name, said, kind, where, env, used)
            del providers[name]
        else:
            dossier.notes.append(
                f"{where}: the broker doesn't speak {name}'s protocol; it stays in the config as it is."
            )
    model = _at(tree, "agents", "defaults", "model")
    chosen = model.get("primary") if isinstance(model, dict) else model
    if not isinstance(chosen, str) or "/" not in chosen:
        return
    name, _, wanted = chosen.partition("/")
    name = provider_name(name)
    key = next((each for each, of in KEYS.items() if of == name and (env.get(each) or _in_config(tree, each))), None)
    if name not in dossier.providers and not (key and name in KNOWN):
        dossier.notes.append(
            f"Its model was {chosen[:120]}, and no key for that came along: it gets the house's model."
        )
    else:
        provider = dossier.providers.pop(name, None) or Provider(name=name)
        provider.models.insert(0, wanted)
        dossier.providers = {name: provider, **dossier.providers}  # the first one's first model is the default
    del tree["agents"]["defaults"]["model"]
    dossier.tell(
        "agents.defaults.model", where, Becomes.SETTING, f"uses.providers.{name}.models", "the broker chooses it"
    )


def _in_config(tree: Mapping[str, Any], name: str) -> bool:
    return isinstance(_at(tree, "env", name), str) or isinstance(_at(tree, "env", "vars", name), str)


def _own_provider(
    dossier: Dossier, name: str, said: dict[str, Any], kind: str, where: str, env: Mapping[str, str], used: set[str]
) -> None:
    called = provider_name(name)
    provider = dossier.providers.setdefault(called, Provider(name=called))
    provider.kind = kind
    if isinstance(said.get("baseUrl"), str):
        provider.base_url = said["baseUrl"]
    provider.models += [
        each["id"] for each in said.get("models") or () if isinstance(each, dict) and isinstance(each.get("id"), str)
    ]
    place = f"models.providers.{name}.apiKey"
    if isinstance(key := said.get("apiKey"), str) and key:
        value, lacking = _filled(key, env, used)
        if lacking:
            dossier.notes.append(
                f"{where}: {place} refers to {', '.join(lacking)}, which isn't set: {called} has no key."
            )
        else:
            secret = dossier.secret(
                place, value, where, why=f"key of the provider {called}", called=f"{called.upper()}_API_KEY"
            )
            provider.keys.append(secret)
    dossier.tell(f"models.providers.{name}", where, Becomes.SETTING, f"uses.providers.{called}")


def _variables(dossier: Dossier, tree: dict[str, Any], where: str) -> None:
    """Variables that the config itself sets are decided of like any others."""
    from innkeeper.units.importers.variables import adopt_variables

    said = tree.get("env")
    if not isinstance(said, dict):
        return
    inner = said.get("vars")
    found = {name: value for name, value in said.items() if isinstance(value, str)}
    found |= {name: value for name, value in inner.items() if isinstance(value, str)} if isinstance(inner, dict) else {}
    adopt_variables(dossier, found, f"{where}: env", given=None)
    for name in found:
        said.pop(name, None)
    said.pop("vars", None)
    if not said:
        del tree["env"]


def _workspace(dossier: Dossier, tree: dict[str, Any], where: str) -> None:
    """It lies where Innkeeper has it."""
    defaults = _at(tree, "agents", "defaults")
    if isinstance(defaults, dict) and defaults.pop("workspace", None) is not None:
        dossier.tell("agents.defaults.workspace", where, Becomes.IGNORED, why="it lies in /data/workspace")
    session = tree.get("session")
    if isinstance(session, dict) and session.pop("store", None) is not None:
        dossier.tell("session.store", where, Becomes.IGNORED, why="it lies in the agent's own folder")


def _relocate(tree: dict[str, Any]) -> None:
    """Paths of the old home become those of the new one."""
    for holder, key, _ in list(_texts(tree, ())):
        text = _OLD_HOME.sub("/data/.openclaw", holder[key])
        if text != holder[key]:
            holder[key] = re.sub(r"^/data/\.openclaw/workspace(?=/|$)", "/data/workspace", text)


_OLD_HOME = re.compile(r"^(?:~|\$\{?HOME\}?|/home/[^/]+|/root|/data)/\.(?:openclaw|clawdbot|moltbot)(?=/|$)")


def _secrets(dossier: Dossier, tree: dict[str, Any], where: str, env: Mapping[str, str], used: set[str]) -> None:
    """A channel's credentials go to the vault and come back by reference; what else OpenClaw must hold stays."""
    for holder, key, path in list(_texts(tree, ())):
        text = holder[key]
        place = ".".join(path)
        value, lacking = _filled(text, env, used)
        if lacking:
            dossier.notes.append(
                f"{where}: {place} refers to {', '.join(lacking)}, which isn't set; it may not start so."
            )
            continue
        if not names_secret(path[-1]) or not value:
            holder[key] = value
        elif isinstance(holder, dict) and dossier.source.agent.keeps_secret(path):
            called = "_".join(path[1:]).replace("accounts_", "").upper()
            secret = dossier.secret(place, value, where, why=f"channel {path[1]}", called=_words(called))
            dossier.set_config(path, f"${{secret:{secret}}}")
            del holder[key]
        else:
            holder[key] = value
            dossier.tell(place, where, Becomes.KEPT, place, "the agent reads it there itself, and nobody can put it on")


def _words(name: str) -> str:
    return name.replace("BOTTOKEN", "BOT_TOKEN").replace("APPTOKEN", "APP_TOKEN").replace("APPPASSWORD", "APP_PASSWORD")


def _filled(text: str, env: Mapping[str, str], used: set[str]) -> tuple[str, list[str]]:
    """The text with OpenClaw's `${NAME}` put in, and the variables that it lacks."""
    names = _REFERENCE.findall(text)
    lacking = [name for name in names if name not in env]
    if not lacking:
        used.update(names)
    return _REFERENCE.sub(lambda match: env.get(match[1], match[0]), text), lacking


def _at(tree: Mapping[str, Any], *keys: str) -> Any:
    here: Any = tree
    for key in keys:
        here = here.get(key) if isinstance(here, dict) else None
    return here


def _texts(node: Any, path: Path) -> Iterator[tuple[Any, Any, Path]]:
    """Every text with what holds it; lists count as the key that they stand under."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        below = (*path, str(key)) if isinstance(node, dict) else path
        if isinstance(value, str):
            yield node, key, below
        else:
            yield from _texts(value, below)
