"""Master keys: what wraps the data keys, and what a few values are derived from that outlive every rotation."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from innkeeper.core.events import utc_now
from innkeeper.core.redaction import hide
from innkeeper.keyring.faults import KeyringFault

KEY_BYTES = 32
ASIDE = "Move it aside, then put the right one back: `innkeeper keyring import FILE`, or from a backup."
_VERSION = 1
_A_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class MasterKey:
    """One secret of the keyring."""

    id: str
    key: bytes = field(repr=False)
    created_at: datetime

    def derive(self, *parts: object) -> bytes:
        """256 bits for one purpose (HMAC-SHA256, RFC 2104). JSON keeps the parts apart, whatever is in them."""
        return hmac.digest(self.key, json.dumps(["innkeeper", *parts]).encode(), hashlib.sha256)

    @property
    def check(self) -> str:
        """Tells this key from another with the same id, and gives nothing of it away."""
        return self.derive("check").hex()


@dataclass(frozen=True)
class Masters:
    """All of them. The newest wraps; the oldest is what audit links, door seals and fingerprints are derived from."""

    keys: tuple[MasterKey, ...]

    @property
    def newest(self) -> MasterKey:
        """The one that wraps."""
        return max(self.keys, key=lambda key: key.created_at)

    @property
    def oldest(self) -> MasterKey:
        """The one that was there from the beginning."""
        return min(self.keys, key=lambda key: key.created_at)

    def get(self, key_id: str) -> MasterKey | None:
        """The one with that id."""
        return next((key for key in self.keys if key.id == key_id), None)

    def with_another(self) -> Masters:
        """The same with a new one, which is the newest even where the clock was set back since."""
        after = self.newest.created_at
        made = new_master()
        if made.created_at <= after:
            made = MasterKey(id=made.id, key=made.key, created_at=after.replace(microsecond=0) + _A_SECOND)
        return Masters((*self.keys, made))

    def dumped(self) -> bytes:
        """As they are kept."""
        return json.dumps({"version": _VERSION, "keys": [_dumped(key) for key in self.keys]}, indent=1).encode()


class Ring:
    """The masters of this process; read anew when a key is met that another process has added. No log tells them."""

    def __init__(self, masters: Masters, read: Callable[[], Masters]) -> None:
        self.masters = masters
        self._read = read

    @property
    def masters(self) -> Masters:
        """All of them."""
        return self._masters

    @masters.setter
    def masters(self, masters: Masters) -> None:
        for key in masters.keys:
            hide(_text(key))
        self._masters = masters

    @property
    def newest(self) -> MasterKey:
        """The one that wraps."""
        return self.masters.newest

    def get(self, key_id: str) -> MasterKey:
        """The one with that id, or KeyringFault."""
        found = self.masters.get(key_id)
        if found is None:
            self.reload()
            found = self.masters.get(key_id)
        if found is None:
            raise KeyringFault(f"The keyring lacks the master key {key_id}.")
        return found

    def reload(self) -> None:
        """Read them anew, from wherever they come."""
        self.masters = self._read()


def new_master() -> MasterKey:
    """A fresh one."""
    return MasterKey(id=f"mk_{secrets.token_hex(8)}", key=secrets.token_bytes(KEY_BYTES), created_at=utc_now())


def masters_of(content: bytes, *, where: str, hint: str = ASIDE) -> Masters:
    """Those in a keyring's JSON; KeyringFault for what isn't one, with `hint` where an import can't mend it."""
    try:
        kept = json.loads(content)
        version, keys = kept["version"], tuple(map(_master_key, kept["keys"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        # Not chained: the cause would carry parts of the secret into a log.
        raise KeyringFault(f"{where} is broken ({type(error).__name__}).", hint=hint) from None
    if version != _VERSION or not keys:
        raise KeyringFault(f"{where} holds no key, or is of another version ({version!r}).", hint=hint)
    if len({key.id for key in keys}) < len(keys):
        raise KeyringFault(f"{where} holds two keys of one id.", hint=hint)
    return Masters(keys)


def fitting(kept: Sequence[dict[str, str]], masters: Masters, *, where: str) -> None:
    """Raise KeyringFault unless all keys that were noted as used are there, and the very same."""
    for noted in kept:
        master = masters.get(noted["id"])
        if master is None:
            raise KeyringFault(
                f"{where} lacks the master key {noted['id']}, which this data directory was used with.",
                hint="Give it the right keyring, with all keys it ever had, or restore one with "
                "`innkeeper keyring import FILE`. Nothing was changed.",
            )
        if not hmac.compare_digest(master.check, noted["check"]):
            raise KeyringFault(
                f"{where} holds another key by the name of {noted['id']} than this data directory was used with.",
                hint="Give it the right keyring. Nothing was changed.",
            )


def _master_key(kept: dict[str, Any]) -> MasterKey:
    key = base64.b64decode(kept["key"], validate=True)
    created_at = datetime.fromisoformat(kept["created_at"])
    if len(key) < KEY_BYTES or created_at.tzinfo is None or not isinstance(kept["id"], str):
        raise ValueError("too short, or without a zone")
    return MasterKey(id=kept["id"], key=key, created_at=created_at)


def _dumped(key: MasterKey) -> dict[str, str]:
    return {"id": key.id, "key": _text(key), "created_at": key.created_at.isoformat()}


def _text(key: MasterKey) -> str:
    """As it stands in a file or a variable."""
    return base64.b64encode(key.key).decode()
