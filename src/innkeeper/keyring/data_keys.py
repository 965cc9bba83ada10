"""Data keys: a random one for each tenant and one for the platform, wrapped by a master key, a file each.

They lie in a folder of their own that is in no snapshot and no database, so that what is destroyed here is gone from
every copy of what it encrypted. A tombstone stays, and no key is ever made again in its place.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from innkeeper.core.events import utc_now
from innkeeper.keyring.faults import KeyDestroyed, KeyringFault
from innkeeper.keyring.files import alone, read_private, replace_with, sync_folder, translated, wipe, write_once
from innkeeper.keyring.masters import ASIDE, KEY_BYTES, MasterKey, Ring

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
_VERSION = 1
_OWNER = re.compile(r"[A-Za-z0-9_-]{1,128}")
_KEY, _TOMBSTONE = ".key", ".destroyed"


@dataclass(frozen=True, kw_only=True)
class DataKey:
    """One owner's, unwrapped."""

    id: str
    owner: str
    key: bytes = field(repr=False)
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Wrapped:
    """The same as it is kept: its owner and id are bound to it, so that no file does in another's place."""

    id: str
    owner: str
    master: str
    """The id of the master key that wraps it."""
    wrapped: bytes
    """Nonce and ciphertext."""
    created_at: datetime

    def dumped(self) -> bytes:
        """For the file."""
        return json.dumps({"version": _VERSION, **self.document()}, indent=1).encode()

    def document(self) -> dict[str, str]:
        """As JSON has it."""
        wrapped = base64.b64encode(self.wrapped).decode()
        return {**vars(self), "wrapped": wrapped, "created_at": self.created_at.isoformat()}

    def opened(self, master: MasterKey) -> DataKey:
        """Unwrapped; KeyringFault where it isn't what that key wrapped for that owner."""
        from cryptography.exceptions import InvalidTag

        try:
            key = _cipher(master).decrypt(self.wrapped[:NONCE_BYTES], self.wrapped[NONCE_BYTES:], _bound(self))
        except (InvalidTag, ValueError):
            raise KeyringFault(f"The data key of {self.owner} isn't what {master.id} wrapped.") from None
        return DataKey(id=self.id, owner=self.owner, key=key, created_at=self.created_at)


def wrap(key: DataKey, master: MasterKey) -> Wrapped:
    """AES-256-GCM under a key of the master's, with id and owner as associated data."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = nonce + _cipher(master).encrypt(nonce, key.key, _bound(key))
    return Wrapped(id=key.id, owner=key.owner, master=master.id, wrapped=sealed, created_at=key.created_at)


def wrapped_of(kept: dict[str, Any]) -> Wrapped:
    """From its JSON; ValueError, KeyError or TypeError for what isn't one."""
    if "version" in kept and kept["version"] != _VERSION:
        raise ValueError("another version")
    return Wrapped(
        id=kept["id"],
        owner=kept["owner"],
        master=kept["master"],
        wrapped=base64.b64decode(kept["wrapped"], validate=True),
        created_at=datetime.fromisoformat(kept["created_at"]),
    )


class DataKeys:
    """The folder of them. Unwrapped keys stay in memory: tokens are checked with them at every call."""

    def __init__(self, folder: Path, ring: Ring) -> None:
        self.folder = folder
        self._ring = ring
        self._opened: dict[str, DataKey] = {}
        self._turn = threading.Lock()

    def find(self, owner: str) -> DataKey | None:
        """The owner's key; None where none was made yet. Raises KeyDestroyed, KeyringFault."""
        known = self._opened.get(owner)
        if known is not None:
            if self._tombstone(owner).exists():  # by another process
                self._opened.pop(owner, None)
                raise _destroyed(owner)
            return known
        wrapped = self.wrapped(owner)
        if wrapped is None:
            return None
        opened = wrapped.opened(self._ring.get(wrapped.master))
        with self._turn:
            if self._tombstone(owner).exists():
                raise _destroyed(owner)
            self._opened[owner] = opened
        return opened

    def made(self, owner: str) -> DataKey:
        """The owner's key, made where there is none; of several processes one makes it for all. Raises KeyDestroyed."""
        found = self.find(owner)
        if found is not None:
            return found
        fresh = DataKey(
            id=f"dk_{secrets.token_hex(8)}", owner=owner, key=secrets.token_bytes(KEY_BYTES), created_at=utc_now()
        )
        with self._alone():
            if self._tombstone(owner).exists():
                raise _destroyed(owner)
            with translated(self._path(owner)):
                write_once(self._path(owner), wrap(fresh, self._ring.newest).dumped())
        found = self.find(owner)
        if found is None:
            raise KeyringFault(f"The data key of {owner} has vanished from {self.folder}.")
        return found

    def wrapped(self, owner: str) -> Wrapped | None:
        """What is kept of it; None where none was made yet. Raises KeyDestroyed, KeyringFault."""
        path = self._path(owner)
        with translated(path):
            if self._tombstone(owner).exists():
                raise _destroyed(owner)
            try:
                content = read_private(path)
            except FileNotFoundError:
                return None
        try:
            kept = wrapped_of(json.loads(content))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise KeyringFault(f"{path} is broken ({type(error).__name__}).", hint=ASIDE) from None
        if kept.owner != owner:
            raise KeyringFault(f"{path} holds the data key of another.", hint=ASIDE)
        return kept

    def destroy(self, owner: str) -> None:
        """Destroy the owner's key for good; the tombstone comes first, so that a crash in between changes nothing."""
        path, tombstone = self._path(owner), self._tombstone(owner)
        try:
            wrapped = self.wrapped(owner)
        except KeyringFault:  # broken: all the more
            wrapped = None
        except KeyDestroyed:
            wrapped = None
        with self._alone(), translated(path):
            note = {"owner": owner, "key": wrapped and wrapped.id, "destroyed_at": utc_now().isoformat()}
            write_once(tombstone, json.dumps(note).encode())
            self._opened.pop(owner, None)
            wipe(path)
            self._wipe_left_overs(owner)

    def rewrap(self, owner: str) -> bool:
        """Wrap the owner's key by the newest master key; False where it is so already, or was destroyed. It is on the
        disk for sure after `synced`; until then it may be found as it was, which serves as well."""
        with self._alone():
            try:
                wrapped = self.wrapped(owner)
            except KeyDestroyed:
                return False
            if wrapped is None or wrapped.master == self._ring.newest.id:
                return False
            again = wrap(wrapped.opened(self._ring.get(wrapped.master)), self._ring.newest)
            with translated(self._path(owner)):
                replace_with(self._path(owner), again.dumped(), sync=False)
        return True

    def synced(self) -> None:
        """Have the disk know what was wrapped anew."""
        with translated(self.folder):
            sync_folder(self.folder)

    def put_back(self, wrapped: Wrapped) -> bool:
        """Put a key there from an export; False where there is one, or it was destroyed."""
        with self._alone(), translated(self.folder):
            if self._tombstone(wrapped.owner).exists():
                return False
            return write_once(self._path(wrapped.owner), wrapped.dumped())

    def owners(self) -> list[str]:
        """Whose keys there are."""
        with translated(self.folder):
            buried = {path.name.removesuffix(_TOMBSTONE) for path in self.folder.glob(f"*{_TOMBSTONE}")}
            there = {path.name.removesuffix(_KEY) for path in self.folder.glob(f"[!.]*{_KEY}")}
        return sorted(there - buried)

    def buried(self) -> list[dict[str, Any]]:
        """What the tombstones say."""
        with translated(self.folder):
            return [json.loads(read_private(path)) for path in sorted(self.folder.glob(f"[!.]*{_TOMBSTONE}"))]

    def tombstone_of(self, owner: str) -> dict[str, Any] | None:
        """What its tombstone says; None where the key wasn't destroyed."""
        tombstone = self._path(owner).with_suffix(_TOMBSTONE)
        with translated(tombstone):
            try:
                found: dict[str, Any] = json.loads(read_private(tombstone))
            except FileNotFoundError:
                return None
        return found

    def tidy(self) -> None:
        """Take away what a crash has left: keys beside their tombstones, files that were still being written."""
        with self._alone(), translated(self.folder):
            for tombstone in self.folder.glob(f"[!.]*{_TOMBSTONE}"):
                wipe(tombstone.with_suffix(_KEY))
            self._wipe_left_overs("*")

    def _wipe_left_overs(self, owner: str) -> None:
        # Whoever writes a key holds the lock that we hold: these are nobody's any more.
        for path in self.folder.glob(f".{owner}{_KEY}.*"):
            wipe(path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._turn, translated(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with alone(self.folder / ".lock"):
                yield

    def _path(self, owner: str) -> Path:
        if not _OWNER.fullmatch(owner):
            raise KeyringFault(f"{owner[:40]!r} can't have a data key.", hint="")
        return self.folder / f"{owner}{_KEY}"

    def _tombstone(self, owner: str) -> Path:
        return self.folder / f"{owner}{_TOMBSTONE}"


def without_key(folder: Path, owners: Sequence[str]) -> list[str]:
    """Those of them who have no data key in the folder, and had none that was destroyed."""
    with translated(folder):
        known = {path.stem for suffix in (_KEY, _TOMBSTONE) for path in folder.glob(f"[!.]*{suffix}")}
    return [owner for owner in owners if owner not in known]


def _destroyed(owner: str) -> KeyDestroyed:
    return KeyDestroyed(f"The data key of {owner} was destroyed.")


def _cipher(master: MasterKey) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # OpenSSL, which few processes need

    return AESGCM(master.derive("wrap"))


def _bound(key: DataKey | Wrapped) -> bytes:
    return json.dumps(["data key", key.id, key.owner]).encode()
