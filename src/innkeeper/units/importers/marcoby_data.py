"""Where a Marcoby unit's data lie: what of its folder is mounted where OpenClaw keeps its home and its workspace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from innkeeper.units.importers.compose_file import mounts
from innkeeper.units.importers.dossier import Dossier, Source
from innkeeper.units.importers.openclaw_state import HOME, WORKSPACE
from innkeeper.units.tar_headers import Kind

PERSISTENCE, INSIDE = "persistence", "/data"
_HOMES = re.compile(r"(?:/home/[^/]+|/root)/\.(?:openclaw|clawdbot|moltbot)(?=/|$)")
"""Where OpenClaw's own images have it."""
_SAYS_HOME = ("OPENCLAW_CONFIG_DIR", "OPENCLAW_STATE_DIR", "CLAWDBOT_STATE_DIR")
_SAYS_WORKSPACE = ("OPENCLAW_WORKSPACE_DIR",)


@dataclass(frozen=True, kw_only=True)
class _Mount:
    path: str
    """In the unit."""
    inside: str
    """In the agent's container."""


def take_data(dossier: Dossier, service: Mapping[str, Any] | None, given: Mapping[str, str]) -> str | None:
    """Have what the agent's data were become the tenant's persistence; where in the unit OpenClaw's own folder is, if
    it is there."""
    there = [_Mount(path=PERSISTENCE, inside=INSIDE)] if service is None else _mounted(dossier, service)
    for each in there:
        at_home = _HOMES.match(each.inside)
        target = f"{HOME}{each.inside[at_home.end() :]}" if at_home else each.inside[len(INSIDE) :].lstrip("/")
        if dossier.source.has(each.path, Kind.FOLDER):
            dossier.move(each.path, target)
        else:
            dossier.lacks(each.path, "its data: it begins empty")
    homes = [f"{INSIDE}/{HOME}", *(found[0] for each in there if (found := _HOMES.match(each.inside)))]
    home = _first(dossier.source, there, [*_said(given, _SAYS_HOME), *homes])
    places = [*_said(given, _SAYS_WORKSPACE), f"{INSIDE}/{WORKSPACE}", *(f"{each}/{WORKSPACE}" for each in homes)]
    if (workspace := _first(dossier.source, there, places)) is not None:
        dossier.move(workspace, WORKSPACE)
    return home


def _mounted(dossier: Dossier, service: Mapping[str, Any]) -> list[_Mount]:
    found = []
    for raw, target in mounts(service):
        if "docker.sock" in raw:
            continue  # refused already
        inside = target.split(":")[0].rstrip("/")
        shown = f"Mount {raw[:120] or 'without a source'} at {inside[:120]}"
        path = _in_unit(dossier, raw)
        if path is None:
            dossier.may_be_left_out(f"{shown} isn't in the unit's folder.")
        elif not _is_data(inside):
            dossier.may_be_left_out(f"{shown} is none of OpenClaw's data.")
        else:
            found.append(_Mount(path=path, inside=inside))
    if not found:
        dossier.refusals.append("Nothing of the folder is mounted at /data: where its data lie isn't known.")
    return found


def _in_unit(dossier: Dossier, path: str) -> str | None:
    """Where in the unit that is; an absolute path is the unit's own by the folder's name, for it may be a copy."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        return None
    if path.startswith("."):
        return "/".join(parts)
    folder = dossier.source.top.rpartition("/")[2] or dossier.source.key
    if not path.startswith("/") or folder not in parts:
        return None
    below = "/".join(parts[len(parts) - parts[::-1].index(folder) :])
    if not below or not dossier.source.has(below, Kind.FOLDER):
        return None
    dossier.notes.append(f"{path[:120]} is taken for the unit's own {below[:120]}.")
    return below


def _is_data(inside: str) -> bool:
    return inside == INSIDE or inside.startswith(f"{INSIDE}/") or _HOMES.match(inside) is not None


def _said(given: Mapping[str, str], names: Iterable[str]) -> list[str]:
    return [value.rstrip("/") for name in names if _is_data(value := given.get(name, ""))]


def _first(source: Source, there: Sequence[_Mount], places: Iterable[str]) -> str | None:
    """The first of these places of the container that is a folder of the unit's."""
    by_length = sorted(there, key=lambda each: len(each.inside), reverse=True)
    for place in places:
        mount = next((each for each in by_length if f"{place}/".startswith(f"{each.inside}/")), None)
        path = f"{mount.path}{place[len(mount.inside) :]}" if mount is not None else None
        if path is not None and source.has(path, Kind.FOLDER):
            return path
    return None
