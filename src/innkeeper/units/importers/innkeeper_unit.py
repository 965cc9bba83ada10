"""Our own exports: the seed's layout with a manifest, and a last member that proves that nothing is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from innkeeper.core.adoption import Adoption, Becomes, name_from
from innkeeper.core.delivery import delivery_of
from innkeeper.core.pack_errors import HydrationUnreadable
from innkeeper.core.references import references
from innkeeper.core.specs import LimitsPatch, SpecPatch
from innkeeper.core.tenant import NAME, Spec
from innkeeper.units.importers.dossier import Dossier, Source
from innkeeper.units.tar_headers import Kind
from innkeeper.units.trees import TarTree

MANIFEST, END, IMAGE = "innkeeper.json", "innkeeper.end", "image.tar"
DELIVERED = "hydration.json"
FORMAT = 1
PERSISTENCE = "persistence"


_SPEC: TypeAdapter[Spec] = TypeAdapter(Spec)


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
        patch, name = patch_of(manifest.get("spec"), own_image=source.agent.own_image), _name(manifest, source.key)
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
    if source.has(IMAGE):
        dossier.move(IMAGE, None, "images are had from packages; this one is for hosts without Innkeeper")
    delivered = _delivered(dossier)
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
    hostname = manifest.get("hostname")
    hostname = hostname if isinstance(hostname, str) and NAME.fullmatch(hostname) else name_from(name) or None
    return replace(
        adoption, key=source.key, patch=patch, env=_without_port(env), delivered=delivered, hostname=hostname
    )


def patch_of(kept: Any, *, own_image: bool = False) -> SpecPatch:
    """A kept spec as somebody would ask for it; UnreadableManifestError, which names the place and not the value.

    An agent with an image of its operator's `own_image` is asked for by that: no release of it is made here.
    """
    try:
        spec = _SPEC.validate_python({"release": "", "image": "", **kept})
    except (ValidationError, TypeError) as error:
        faults = error.errors(include_input=False) if isinstance(error, ValidationError) else []
        where = ", ".join(".".join(map(str, fault["loc"])) for fault in faults[:3]) or "all of it"
        raise UnreadableManifestError(f"{MANIFEST} holds a spec that this version can't read: {where}.") from None
    by_image = own_image and spec.custom is None
    return SpecPatch(
        release=None if by_image or spec.custom is not None else spec.release or None,
        image=spec.image or None if by_image else None,
        mode=spec.mode,
        limits=LimitsPatch(**asdict(spec.limits)),
        # The preset's name means nothing elsewhere; its windows stand beside it.
        sleep={key: value for key, value in asdict(spec.sleep).items() if key != "preset"},
        env=spec.env or None,
        hostnames=spec.hostnames or None,
        access=spec.access,
        custom=spec.custom,
        public_paths=spec.public_paths or None,
        inbox=spec.inbox or None,
        config=spec.config or None,
        uses=asdict(spec.uses),
        packs=spec.packs or None,
    )


def _manifest(source: Source) -> Mapping[str, Any]:
    content = source.read(MANIFEST)
    try:
        manifest = json.loads(content or b"")
    except (ValueError, RecursionError):
        raise UnreadableManifestError(f"{source.at(MANIFEST)} is missing, or no JSON.") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or not isinstance(manifest.get("agent"), str):
        raise UnreadableManifestError(f"{source.at(MANIFEST)} isn't of a format that this version reads ({FORMAT}).")
    return manifest


def _name(manifest: Mapping[str, Any], otherwise: str) -> str:
    tenant = manifest.get("tenant")
    name = tenant.get("name") if isinstance(tenant, dict) else tenant
    return str(name or otherwise)


def _delivered(dossier: Dossier) -> bytes:
    """What its packs have brought, without which its own changes would be taken for files that were in the way."""
    source = dossier.source
    if not source.has(DELIVERED):
        return b""
    content = source.read(DELIVERED) or b""
    try:
        delivery_of(content)
    except HydrationUnreadable as error:
        dossier.move(DELIVERED, None, "can't be read")
        dossier.notes.append(f"{error.message} What its packs bring next goes beside what it has.")
        return b""
    dossier.move(DELIVERED, None, "kept beside its data: what its packs have brought")
    return content


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
