"""Snapshots as the store knows them: one logical snapshot of a tenant, with the copies that there are of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from innkeeper.core.operations import Trouble

DATABASES = (".sqlite", ".sqlite3", ".db", ".db3")
"""How SQLite files are usually called."""


SUSPECT = "Damage was found there, and it isn't known yet what it has taken."
"""What is said of every copy at a target until its repository was mended."""


class Origin(StrEnum):
    """Why a snapshot was taken."""

    SCHEDULE = "schedule"
    ASKED = "asked"  # somebody asked for it
    SAFETY = "safety"  # before something that might go wrong: a restore in place
    FOUND = "found"  # it lay at a target, and nothing was known of it here


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One state of a tenant's folder, or of the control plane's database."""

    id: str
    """`snap_…`: ours, the same at each target."""
    owner: str
    """Whose repositories hold it: the tenant's id, or `control`."""
    tenant: str
    """The tenant's name at that time; empty for the control plane's."""
    taken_at: datetime
    """The moment that it shows."""
    origin: Origin
    operation: str | None = None
    agent: str = ""
    release: str = ""
    revision: int = 0
    mark: str | None = None
    """Tells whether the folder is the same again, without reading it; core/ports/stills.py."""
    files: int = 0
    bytes: int = 0
    """Of all files together."""
    bytes_added: int = 0
    """What the first repository grew by."""
    consented: bool | None = None
    """Whether the agent had come to rest; None: nothing of it ran."""
    frozen_ms: int = 0
    copies: Mapping[str, str] = field(default_factory=dict)
    """By target, the id that it has there."""
    confirmed_at: datetime
    """When it was last known that nothing has changed since it was taken."""
    databases: int = 0
    """How many SQLite files of it were found whole."""
    verified_at: datetime | None = None
    """When all that it refers to was found at every target that has it."""
    proven_at: datetime | None = None
    """When a restored instance of it last worked."""
    damaged: str | None = None
    """What is wrong with it; it is never taken for a good one."""
    damage: Mapping[str, str] = field(default_factory=dict)
    """By target, what was lost of its copy there; the others may be whole."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """SQLite files that aren't whole, just as in the tenant's folder: the snapshot is good all the same."""
    kept_for: str | None = None
    """The operation that may still need it."""

    @property
    def is_good(self) -> bool:
        """Whether it can be relied on: whole, consistent and looked through after it was written."""
        return self.damaged is None and bool(self.whole_at) and self.verified_at is not None

    @property
    def whole_at(self) -> Mapping[str, str]:
        """The copies of which nothing is known to be lost."""
        return {target: there for target, there in self.copies.items() if target not in self.damage}

    @property
    def wrong(self) -> str | None:
        """What is wrong with it, or was lost of all its copies; None also where damage was found beside it, and nobody
        knows yet what that has taken."""
        if self.damaged is not None or self.whole_at or not self.damage:
            return self.damaged
        known = [f"At the target {target}: {says}" for target, says in self.damage.items() if says != SUSPECT]
        return known[0] if len(known) == len(self.damage) else None

    def lost_at(self, target: str, says: str | None) -> Snapshot:
        """The same, with that lost of its copy there; None: nothing is."""
        damage = {place: what for place, what in self.damage.items() if place != target and place in self.copies}
        return replace(self, damage=damage if says is None else {**damage, target: says})

    def without(self, target: str) -> Snapshot:
        """The same without its copy there."""
        left = replace(self, copies={place: there for place, there in self.copies.items() if place != target})
        return left.lost_at(target, None)


@dataclass(frozen=True, kw_only=True)
class BackupState:
    """How the backups of one owner stand, between two of them."""

    owner: str
    tenant: str
    """Its name; empty for the control plane's."""
    good: Mapping[str, datetime] = field(default_factory=dict)
    """By target, of which moment the newest good snapshot there is."""
    tried_at: datetime | None = None
    failures: int = 0
    """In a row."""
    error: Trouble | None = None
    """Why the last attempt went wrong; None: it didn't."""
    alerted_at: datetime | None = None
    live: str | None = None
    """At the first target, the last snapshot that was taken of the living folder itself: what is unchanged since isn't
    read again."""
    shares: int = 0
    """How many of the parts of the data were read again by now."""
    pruned_at: datetime | None = None
    mended: Mapping[str, datetime] = field(default_factory=dict)
    """By target, when its repository there was last mended."""

    @property
    def last_good(self) -> datetime | None:
        """The newest moment that can be had back from anywhere."""
        return max(self.good.values(), default=None)


def trouble_free(state: BackupState, now: datetime, good: Mapping[str, datetime]) -> BackupState:
    """The state after an attempt that went well."""
    return replace(state, good={**state.good, **good}, tried_at=now, failures=0, error=None, alerted_at=None)


def newest_good(snapshots: Sequence[Snapshot], *, target: str | None = None) -> Snapshot | None:
    """The newest that can be relied on, at that target or anywhere."""
    good = [each for each in snapshots if each.is_good and (target is None or target in each.whole_at)]
    return max(good, key=lambda each: (each.confirmed_at, each.taken_at), default=None)
