"""What becomes of somebody else's unit: its files, its variables, its secrets, and what stands in the way."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import NAME


class Seed(StrEnum):
    """Whose layout it is."""

    INNKEEPER = "innkeeper"
    MARCOBY = "marcoby"
    OCMT = "ocmt"
    ZEPTOCLAW = "zeptoclaw"
    STARTCLAW = "startclaw"
    WORKFORCE = "workforce"


class Becomes(StrEnum):
    """What a variable or a value in a config turns into."""

    SECRET = "secret"  # noqa: S105 - the kind
    SETTING = "setting"
    KEPT = "kept"  # stays where it stands
    IGNORED = "ignored"


@dataclass(frozen=True, kw_only=True)
class Move:
    """Files that go from one place to another; `target` None: they stay behind."""

    source: str
    """The path in the source, of a folder with all below it or of one file."""
    target: str | None
    """The path in the tenant's persistence; "" is that folder itself."""
    files: int = 0
    bytes: int = 0
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Value:
    """A variable, or a value in a config, and what becomes of it; never the value itself."""

    name: str
    source: str
    becomes: Becomes
    target: str = ""
    """The secret's name, or the setting's place."""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What somebody wants imported."""

    seed: Seed
    path: str
    """On this host; "" where it was sent along."""
    name: str | None = None
    """Only for a source with one unit in it."""
    agent: str | None = None
    release: str | None = None
    volumes: str | None = None
    """Where ZeptoClaw's volumes lie, if not where Docker has them."""
    only: str | None = None
    """Of several units the one that is called so in the source."""
    partial: bool = False
    """Take what is there of a unit of which something is missing."""
    leave_out: bool = False
    """Go without other services and mounts that the compose file has beside the agent."""

    def document(self) -> dict[str, Any]:
        """As an operation keeps it."""
        return {**vars(self), "seed": self.seed.value}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Asked:
        """The same again."""
        return cls(**{**document, "seed": Seed(document["seed"])})


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """One unit as it would be taken."""

    key: str
    """What it is called in the source."""
    name: str
    """The tenant's; "" where none can be made of `key`."""
    agent: str
    patch: SpecPatch = field(default_factory=SpecPatch)
    moves: tuple[Move, ...] = ()
    values: tuple[Value, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By their names in the vault."""
    written: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Files of persistence that aren't copied but written, for a secret was in them."""
    hostname: str | None = None
    """Of the instance that its data are of, where the source tells."""
    env: str = field(default="", repr=False)
    """The unit's own `.env`, as far as it is kept."""
    delivered: bytes = field(default=b"", repr=False)
    """What its packs have brought, as core/delivery.py keeps it; empty where that isn't known."""
    notes: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    """What has to be mended before it can be taken."""

    @property
    def targets(self) -> Mapping[str, str | None]:
        """By source, where things go."""
        return {move.source: move.target for move in self.moves}


_ENDING = re.compile(r"(?:[._-](?:backup|data|openclaw|\d{4}-?\d\d-?\d\d(?:[T_-]?\d{4,6})?))+$")


def name_from(text: str) -> str:
    """A tenant's name made of what something is called elsewhere; "" where nothing of it can be used."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    return name if NAME.fullmatch(name) else ""


def without_ending(text: str) -> str:
    """`alice-2026-02-08.tar.gz`, `alice-backup.tgz` as `alice`: archives are called by their time, too."""
    bare = re.sub(r"\.(?:tar(?:\.(?:gz|bz2|age))*|tgz|tbz2?|age)$", "", text)
    return _ENDING.sub("", bare) or bare
