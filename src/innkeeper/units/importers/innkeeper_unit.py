"""Our own exports: the seed's layout with a manifest, and a last member that proves that nothing is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from innkeeper.core.adoption import Adoption, Becomes
from innkeeper.core.openings import InboxPath
from innkeeper.core.references import references
from innkeeper.core.specs import LimitsPatch, SpecPatch
from innkeeper.core.tenant import Access, CustomAgent, Mode
from innkeeper.units.importers.dossier import Dossier, Source
from innkeeper.units.tar_headers import Kind
from innkeeper.units.trees import TarTree

MANIFEST, END = "innkeeper.json", "innkeeper.end"
FORMAT = 1
PERSISTENCE = "persistence"


class UnreadableManifestError(Exception):
    """Why it can't be taken."""


def is_unit(source: Source) -> bool:
    """Whether a folder is an exported unit."""
    return source.has(MANIFEST, Kind.FILE)


def agent_of(source: Source) -> str | None:
    """Which agent it ran."""
    try:
        return str(_manifest(source)["agent"])
    except UnreadableManifestError:
        return None


def read(source: Source) -> Adoption:
    """The unit as it would be taken back."""
    dossier = Dossier(source=source)
    patch, name = SpecPatch(), source.key
    try:
        manifest = _manifest(source)
        patch, name = patch_of(manifest.get("spec") or {}), str(manifest.get("tenant") or source.key)
    except UnreadableManifestError as error:
        manifest = {}
        dossier.refusals.append(str(error))
    if isinstance(source.tree, TarTree):
        _check_end(dossier, source.tree)
    if source.has(PERSISTENCE, Kind.FOLDER):
        dossier.move(PERSISTENCE, "")
    else:
        dossier.lacks(PERSISTENCE, "its data: it begins empty")
    for part in ("compose.yaml", ".env", MANIFEST, END):
        if source.has(part):
            dossier.move(part, None, "read, and written anew")
    secrets = manifest.get("secrets")
    for secret, value in secrets.items() if isinstance(secrets, dict) else ():
        dossier.secret(str(secret), str(value), MANIFEST, why="exported with it")
    if lacking := sorted(references(patch.config or {}) - set(dossier.secrets)):
        dossier.notes.append(
            f"Its config refers to {', '.join(lacking[:5])}, which the export doesn't hold: set it with `innkeeper "
            "secret set`; until then it doesn't start."
        )
    if manifest.get("release"):
        dossier.tell("release", MANIFEST, Becomes.SETTING, str(manifest["release"])[:60])
    asked = source.asked
    patch = replace(patch, release=asked.release or patch.release)
    adoption = replace(dossier, source=replace(source, asked=replace(asked, name=asked.name or name))).adoption()
    env = (source.read(".env") or b"").decode(errors="replace")
    return replace(adoption, key=source.key, patch=patch, env=_without_port(env))


def patch_of(spec: Mapping[str, Any]) -> SpecPatch:
    """A kept spec as somebody would ask for it; UnreadableManifestError."""
    try:
        limits, custom = spec.get("limits"), spec.get("custom")
        return SpecPatch(
            release=spec.get("release") if spec.get("agent") != "custom" else None,
            mode=Mode(spec["mode"]) if spec.get("mode") else None,
            limits=LimitsPatch(**limits) if limits else None,
            # The preset's name means nothing elsewhere; its windows stand beside it.
            sleep={key: value for key, value in (spec.get("sleep") or {}).items() if key != "preset"} or None,
            env=spec.get("env"),
            hostnames=tuple(spec.get("hostnames") or ()) or None,
            access=Access(spec["access"]) if spec.get("access") else None,
            custom=CustomAgent(**{**custom, "command": tuple(custom.get("command") or ())}) if custom else None,
            public_paths=tuple(spec.get("public_paths") or ()) or None,
            inbox=tuple(InboxPath(**each) for each in spec.get("inbox") or ()) or None,
            config=spec.get("config"),
            uses=spec.get("uses"),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise UnreadableManifestError(f"{MANIFEST} holds a spec that this version can't read: {error}.") from None


def _manifest(source: Source) -> Mapping[str, Any]:
    content = source.read(MANIFEST)
    try:
        manifest = json.loads(content or b"")
    except (ValueError, RecursionError):
        raise UnreadableManifestError(f"{source.at(MANIFEST)} is missing, or no JSON.") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or not isinstance(manifest.get("agent"), str):
        raise UnreadableManifestError(f"{source.at(MANIFEST)} isn't of a format that this version reads ({FORMAT}).")
    return manifest


def _check_end(dossier: Dossier, tar: TarTree) -> None:
    """The last member counts those before it."""
    source = dossier.source
    try:
        proof = json.loads(source.read(END) or b"{}")
        counted = proof.get("members") if isinstance(proof, dict) else None
    except ValueError:
        counted = None
    if tar.last != source.at(END) or counted != tar.members - 1:
        dossier.refusals.append(f"The export isn't whole: its last member, {END}, is missing or counts others.")


def _without_port(env: str) -> str:
    """The host that it comes from chose the port among its own."""
    return "\n".join(line for line in env.splitlines() if not line.startswith("PORT="))
