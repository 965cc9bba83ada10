"""Workforce's tenants: under TENANT_DATA_DIR a folder for each UUID, with agents, a config and a workspace."""

from __future__ import annotations

import json

from innkeeper.core.adoption import Adoption, Becomes
from innkeeper.units.importers.dossier import Dossier, Source
from innkeeper.units.importers.json_text import parsed
from innkeeper.units.importers.openclaw_config import adopt_config
from innkeeper.units.importers.openclaw_state import HOME, WORKSPACE
from innkeeper.units.importers.variables import settle_providers
from innkeeper.units.tar_headers import Kind

_AGENTS, _CONFIG = "agents", "config.json"
_KEPT = "workforce/config.json"
_OPENCLAWS = frozenset(
    {"agents", "channels", "models", "gateway", "tools", "session", "hooks", "skills", "env", "plugins"}
)


def is_unit(source: Source) -> bool:
    """Whether a folder is one tenant's."""
    return source.has(_AGENTS, Kind.FOLDER) or (source.has(_CONFIG, Kind.FILE) and source.has(WORKSPACE, Kind.FOLDER))


def read(source: Source) -> Adoption:
    """The tenant as it would be taken: out of the shared gateway into one of its own."""
    dossier = Dossier(source=source)
    target = source.agent.config_paths()[0]
    dossier.move("", HOME)
    if source.has(WORKSPACE, Kind.FOLDER):
        dossier.move(WORKSPACE, WORKSPACE)
    for part, lost in ((_AGENTS, "its agents and their conversations"), (WORKSPACE, "their files")):
        if not source.has(part, Kind.FOLDER):
            dossier.lacks(part, lost)
    _take_config(dossier, target)
    _introduce(dossier, target)
    settle_providers(dossier)
    dossier.notes.append(
        "The gateway's ANTHROPIC_API_KEY is the platform's and no tenant's: here the broker has the house's key. Users "
        "are Supabase's: let them in by its JWTs (INNKEEPER_JWT_ISSUER), or invite them."
    )
    return dossier.adoption()


def _take_config(dossier: Dossier, target: str) -> None:
    source = dossier.source
    content = source.read(_CONFIG)
    if content is None:
        return
    tree = parsed(content)
    if source.agent.name == "openclaw" and (tree is None or _OPENCLAWS & set(tree)):
        dossier.move(_CONFIG, None, f"written anew as {target}, without keys")
        adopt_config(dossier, content, source.at(_CONFIG), target, {})
    else:
        dossier.move(_CONFIG, None if tree else _KEPT, f"kept as {_KEPT}, without keys" if tree else "")
        dossier.tell(_CONFIG, source.at(_CONFIG), Becomes.KEPT, _KEPT, "it is none of the agent's own")
        if tree:
            dossier.secrets_out_of(tree, source.at(_CONFIG))
            dossier.written[_KEPT] = json.dumps(tree, indent=2, ensure_ascii=False).encode() + b"\n"


def _introduce(dossier: Dossier, target: str) -> None:
    """OpenClaw has the agents that its config names; the shared gateway had those that had a folder."""
    source = dossier.source
    slugs = [name for name in source.names(_AGENTS) if source.has(f"{_AGENTS}/{name}", Kind.FOLDER)]
    if source.agent.name != "openclaw" or slugs in ([], ["main"]):
        return
    tree = json.loads(dossier.written.get(target, b"{}"))
    agents = tree.setdefault("agents", {})
    if not isinstance(agents, dict) or agents.get("list") or agents.get("entries"):
        return
    inside = {slug: f"{WORKSPACE}/{slug}" for slug in slugs if source.has(f"{WORKSPACE}/{slug}", Kind.FOLDER)}
    agents["entries"] = {slug: {"workspace": f"/data/{inside.get(slug, WORKSPACE)}"} for slug in slugs}
    dossier.written[target] = json.dumps(tree, indent=2, ensure_ascii=False).encode() + b"\n"
    dossier.notes.append(f"Its agents are made known to OpenClaw: {', '.join(slugs[:10])}.")
