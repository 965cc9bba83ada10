"""Packs: core content such as SOPs, identity and knowledge, in versions that never change."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from innkeeper.core.errors import Invalid
from innkeeper.core.pack_errors import InvalidPack
from innkeeper.core.release import version_key

MANIFEST = "pack.toml"
"""The one file of a pack that isn't delivered."""
BESIDE = ".new"
SAVED = ".old"
"""How the names end that a delivery chooses itself."""
FILES_MAX = 10_000
"""In one pack, and all of one tenant's together: each is read twice at every new version."""
FILE_MAX_BYTES = 64 << 20
"""A larger file isn't looked into: no pack has delivered it."""
PACKS_MAX = 20
"""Of one tenant, one plan or one agent."""
PATH_MAX_BYTES, NAME_MAX_BYTES, DEPTH_MAX = 1024, 200, 32
"""A name leaves room for `.new` and a number within the 255 bytes that file systems have."""
TITLE_MAX = 200
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
VERSION = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z.+_-]{0,62}[0-9A-Za-z])?")
_IMAGE = "image:"
_IMAGE_PATH = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9._-]*){1,16}")
_SAID = {"name", "version", "title", "target"}


class Content(NamedTuple):
    """What a file is, as far as a delivery compares it."""

    sha256: str
    executable: bool = False


@dataclass(frozen=True, kw_only=True)
class PackFile:
    """One file of a pack."""

    path: str
    """Below the pack's target, with `/` between its parts."""
    content: Content
    size: int
    """In bytes."""


@dataclass(frozen=True, kw_only=True)
class Pack:
    """One version of a pack, with all that it holds but the bytes."""

    name: str
    """Or `image:/PATH` for one that lies in the tenants' image."""
    version: str
    title: str = ""
    target: str | None = None
    """A folder within a tenant's data; None: the agent's own workspace."""
    files: tuple[PackFile, ...] = ()
    """By path."""

    @cached_property
    def by_path(self) -> Mapping[str, PackFile]:
        """Its files."""
        return {file.path: file for file in self.files}

    @cached_property
    def digest(self) -> str:
        """The same for the same pack, down to the last bit of each file."""
        told = hashlib.sha256(repr((self.name, self.version, self.title, self.target)).encode())
        for file in self.files:
            told.update(f"\n{file.content.sha256} {file.content.executable:d} {file.path}".encode())
        return told.hexdigest()

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, kw_only=True)
class PackRelease:
    """A version of a pack as it is recorded."""

    name: str
    version: str
    title: str
    digest: str
    files: int
    size: int
    """In bytes."""
    added_at: datetime
    added_by: str
    """Whose credential it was, as in the trail."""


class Reference(NamedTuple):
    """What a tenant, a plan or an agent is to get: a pack in one version or the newest, or a path in its image."""

    name: str
    version: str | None = None

    @property
    def image_path(self) -> str | None:
        """Where in the image it lies; None: it is a pack that was added."""
        return self.name.removeprefix(_IMAGE) if self.name.startswith(_IMAGE) else None

    def __str__(self) -> str:
        """As it is written."""
        return self.name if self.version is None else f"{self.name}@{self.version}"


def reference(text: str, field: str = "packs") -> Reference:
    """`core`, `core@3` or `image:/opt/core`; raises Invalid."""
    if text.startswith(_IMAGE):
        if _IMAGE_PATH.fullmatch(text.removeprefix(_IMAGE)):
            return Reference(text)
    else:
        name, at, version = text.partition("@")
        if NAME.fullmatch(name) and (not at or VERSION.fullmatch(version)):
            return Reference(name, version or None)
    raise Invalid(f"{text[:80]!r} names no pack.", field=field, hint="Like `core`, `core@3` or `image:/opt/core`.")


def checked_packs(texts: Sequence[str], field: str = "packs") -> tuple[str, ...]:
    """The references themselves, each pack once, the last counting; raises Invalid."""
    if len(texts) > PACKS_MAX:
        raise Invalid(f"{len(texts)} packs are too many.", field=field, hint=f"At most {PACKS_MAX}.")
    return tuple(map(str, united([reference(text, field) for text in texts])))


def united(*lists: Iterable[Reference]) -> list[Reference]:
    """One list of several, each pack once: where one is named again, its last place and version count."""
    by_name: dict[str, Reference] = {}
    for each in (each for one in lists for each in one):
        by_name.pop(each.name, None)
        by_name[each.name] = each
    return list(by_name.values())


def newest_first(releases: Iterable[PackRelease]) -> list[PackRelease]:
    """By name, each with its newest version first: by the numbers in it, then by when it was added."""
    newest = sorted(releases, key=lambda each: (version_key(each.version), each.added_at), reverse=True)
    return sorted(newest, key=lambda each: each.name)


def chosen(wanted: Reference, releases: Iterable[PackRelease]) -> PackRelease | None:
    """The release that is meant; None: there is none."""
    its = [each for each in newest_first(releases) if each.name == wanted.name]
    return next((each for each in its if wanted.version in (None, each.version)), None)


def pack_of(said: Mapping[str, Any], files: Iterable[PackFile], **known: str) -> Pack:
    """A pack from its manifest and its files, checked; `known` is what the manifest needn't say. Raises InvalidPack."""
    for unknown in said.keys() - _SAID:
        raise InvalidPack(f"{MANIFEST} can't say {unknown[:40]!r}.", hint=f"It says {', '.join(sorted(_SAID))}.")
    for name, value in said.items():
        if not isinstance(value, str):
            raise InvalidPack(f"{name!r} in {MANIFEST} must be text.", hint='Like `version = "3"`.')
    name, version = known.get("name", said.get("name", "")), known.get("version", said.get("version", ""))
    title, target = said.get("title", ""), said.get("target")
    if "name" not in known and not NAME.fullmatch(name):
        raise InvalidPack(f"{name[:60]!r} can't be a pack's name.", hint="1 to 40 of a-z, 0-9 and '-', in `name`.")
    if not VERSION.fullmatch(version):
        raise InvalidPack(f"{version[:70]!r} can't be a version.", hint="Letters, digits and `.+_-`, in `version`.")
    if len(title) > TITLE_MAX or not title.isprintable():
        raise InvalidPack(f"A title has up to {TITLE_MAX} printable characters.")
    if target is not None:
        checked_target(target)
    found = sorted(files, key=lambda file: file.path)
    if len(found) > FILES_MAX:
        raise InvalidPack(f"A pack can't have more than {FILES_MAX} files.")
    for file in found:
        checked_path(file.path)
    if not found:
        raise InvalidPack(f"There is nothing in the pack beside {MANIFEST}.")
    return Pack(name=name, version=version, title=title, target=target, files=tuple(found))


def checked_path(path: str) -> str:
    """The path of a file of a pack itself; raises InvalidPack."""
    parts = path.split("/")
    shown = repr(path[:200])
    if any(part in ("", ".", "..") for part in parts) or not path.isprintable():
        raise InvalidPack(f"{shown} isn't a path within a pack.")
    if len(path.encode()) > PATH_MAX_BYTES or len(parts) > DEPTH_MAX or _longest(parts) > NAME_MAX_BYTES:
        raise InvalidPack(f"{shown} is too long or too deep for a pack.")
    if parts[-1].endswith(BESIDE):
        raise InvalidPack(f"{shown}: names that end in `{BESIDE}` are those of new versions beside a tenant's own.")
    return path


def checked_target(target: str) -> str:
    """A folder within a tenant's data itself; raises InvalidPack. Hidden ones hold agents' own state and config."""
    checked_path(target)
    if target.startswith("."):
        raise InvalidPack(f"A pack can't go to {target[:80]!r}: hidden folders hold agents' own state and config.")
    return target


def _longest(parts: Sequence[str]) -> int:
    return max(len(part.encode()) for part in parts)
