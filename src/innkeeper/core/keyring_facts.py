"""How the keyring stands: which keys it has, what they wrap, and which copies of it were made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class MasterFacts:
    """A master key, without the key."""

    id: str
    created_at: datetime
    wraps: int
    """How many data keys it wraps now."""


@dataclass(frozen=True, kw_only=True)
class ExportFacts:
    """A copy that somebody took."""

    at: datetime
    file: str
    keys: int
    """How many data keys it holds."""
    destroyed: tuple[str, ...]
    """Whose keys it still holds though they were destroyed since: their ids."""


@dataclass(frozen=True, kw_only=True)
class KeyringFacts:
    """All of it."""

    where: str
    """Where the master keys come from."""
    writable: bool
    """Whether a rotation can add a master key there; else its operator does."""
    masters: tuple[MasterFacts, ...]
    """Oldest first."""
    data_keys: int
    destroyed: int
    exports: tuple[ExportFacts, ...]
    """Oldest first."""
    unexported: int
    """How many keys in use, of both kinds, no export holds."""


@dataclass(frozen=True, kw_only=True)
class HeldIn:
    """An export that still holds a key which was destroyed since."""

    file: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Burial:
    """What is left of a data key that was destroyed."""

    key: str | None
    """Its id; None where its owner never had one, or it was broken."""
    at: datetime
    held_in: tuple[HeldIn, ...]
    """Oldest first, of the exports that are remembered."""


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """What a rotation did."""

    added: str | None
    """The new master key's id; None where none was added, for an earlier rotation was to be finished first or its
    operator has to add it."""
    newest: str
    """The id of the key that wraps from now on."""
    rewrapped: int
    says: str
    """What is left to do, for people."""
