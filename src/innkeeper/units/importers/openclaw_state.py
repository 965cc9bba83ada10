"""OpenClaw's own folder, wherever another system keeps it: four of the five have one at their heart."""

from __future__ import annotations

from collections.abc import Mapping

from innkeeper.core.adoption import Becomes
from innkeeper.units.importers.dossier import Dossier, Source
from innkeeper.units.importers.openclaw_config import adopt_config
from innkeeper.units.tar_headers import Kind

HOME, WORKSPACE = ".openclaw", "workspace"
_CONFIGS = ("openclaw.json", "config/openclaw.json", "clawdbot.json")
_ANEW = ("cache/control-ui-assets", "tmp", "plugin-skills")
"""What it makes anew at each start: 54 MB of its own page, locks, and links into its image."""
_PARTS = ("openclaw.json", "config/openclaw.json", "clawdbot.json", "agents", "credentials", "state/openclaw.sqlite")


def is_state(source: Source, path: str = "") -> bool:
    """Whether that folder of the unit's is OpenClaw's own."""
    return any(source.has(_below(path, part)) for part in _PARTS)


def take_state(dossier: Dossier, path: str, env: Mapping[str, str]) -> set[str]:
    """The folder at `path` becomes `.openclaw`; the variables that its config takes in."""
    source = dossier.source
    dossier.move(path, HOME)
    for part in _ANEW:
        if source.has(_below(path, part)):
            dossier.move(_below(path, part), None, "OpenClaw makes it anew")
    live = [each for each in source.tree.entries if each.startswith(source.at(path)) and each.endswith(".sqlite-wal")]
    if any(source.tree.entries[each].size for each in live):
        dossier.notes.append(
            "A database of it is open, or was when it died (there is a -wal with something in it): stop the source "
            "first, or what is copied may not be of one moment."
        )
    if any(each.endswith("/auth-profiles.json") for each in source.tree.entries if each.startswith(source.at(path))):
        dossier.tell("auth-profiles.json", source.at(path), Becomes.KEPT, why="OpenClaw reads its own logins there")
    return take_config(dossier, path, env)


def take_config(dossier: Dossier, path: str, env: Mapping[str, str]) -> set[str]:
    """The config of the OpenClaw at `path`, where it has one."""
    source = dossier.source
    found = [_below(path, name) for name in _CONFIGS if source.has(_below(path, name), Kind.FILE)]
    if not found:
        return set()
    for other in found[1:]:
        dossier.notes.append(f"There is {source.at(other)}, too; {source.at(found[0])} counts.")
    content = source.read(found[0])
    if content is None:
        dossier.refusals.append(f"{source.at(found[0])} is too large to be a config.")
        return set()
    if source.agent.name != "openclaw":
        dossier.notes.append(
            f"{source.agent.title} doesn't read {source.at(found[0])}: it is copied as it is, keys and all."
        )
        return set()
    target = source.agent.config_paths()[0]
    dossier.move(found[0], None, f"written anew as {target}, without keys")
    return adopt_config(dossier, content, source.at(found[0]), target, env)


def _below(path: str, part: str) -> str:
    return f"{path}/{part}" if path else part
