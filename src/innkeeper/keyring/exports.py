"""Copies of the whole keyring, to be kept offline: what one holds, and which there are."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from innkeeper.core.events import utc_now
from innkeeper.keyring.data_keys import Wrapped, wrapped_of
from innkeeper.keyring.faults import KeyringFault
from innkeeper.keyring.files import read_private, replace_with, translated, write_once
from innkeeper.keyring.masters import Masters, masters_of

_KIND = "innkeeper keyring"
_VERSION = 1
_NOTED = "exports"
_NOTES_KEPT = 100
_LARGEST = 64 << 20
_PASSPHRASE_SHORTEST = 12
_PASSES, _MEMORY_KIB, _LANES = 3, 256 * 1024, 4
"""Argon2id, half a second and 256 MiB (RFC 9106 section 4 has 64 MiB as the least): it is asked once in a while."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """What an export holds."""

    masters: Masters
    keys: Sequence[Wrapped]


@dataclass(frozen=True, kw_only=True)
class Note:
    """What is remembered of an export."""

    at: datetime
    file: str
    masters: frozenset[str]
    keys: frozenset[str]


def write_copy(path: Path, copy: Copy, passphrase: str | None) -> None:
    """Make the file, 0600; KeyringFault where there is one already."""
    held = {"masters": json.loads(copy.masters.dumped()), "keys": [key.document() for key in copy.keys]}
    document: dict[str, Any] = {"kind": _KIND, "version": _VERSION, "at": utc_now().isoformat()}
    document |= held if passphrase is None else _sealed(json.dumps(held).encode(), passphrase)
    with translated(path):
        if not write_once(path, json.dumps(document, indent=1).encode()):
            raise KeyringFault(f"{path} is there already.", hint="Name another file; no export is overwritten.")


def read_copy(path: Path, passphrase: str | None) -> Copy:
    """What such a file holds; KeyringFault where it is none, or the passphrase is wrong or missing."""
    with translated(path):
        content = read_private(path, limit=_LARGEST)
    try:
        document = json.loads(content)
        known = (document["kind"], document["version"]) == (_KIND, _VERSION)
        if "sealed" in document:
            document = json.loads(_opened(path, document, passphrase))
        masters = masters_of(json.dumps(document["masters"]).encode(), where=str(path))
        keys = [wrapped_of(each) for each in document["keys"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise KeyringFault(f"{path} is no export of a keyring ({type(error).__name__}).", hint="") from None
    if not known:
        raise KeyringFault(f"{path} was exported by another version of Innkeeper.", hint="Use that, or a newer one.")
    return Copy(masters=masters, keys=keys)


def note(folder: Path, path: Path, copy: Copy) -> None:
    """Remember that this copy was made."""
    noted = [*_documents(folder), {
        "at": utc_now().isoformat(),
        "file": str(path.absolute()),
        "masters": sorted(key.id for key in copy.masters.keys),
        "keys": sorted(key.id for key in copy.keys),
    }]  # fmt: skip
    with translated(folder):
        replace_with(folder / _NOTED, json.dumps(noted[-_NOTES_KEPT:]).encode())


def notes(folder: Path) -> list[Note]:
    """The exports that were made, oldest first."""
    return [
        Note(
            at=datetime.fromisoformat(each["at"]),
            file=each["file"],
            masters=frozenset(each["masters"]),
            keys=frozenset(each["keys"]),
        )
        for each in _documents(folder)
    ]


def _documents(folder: Path) -> list[dict[str, Any]]:
    path = folder / _NOTED
    with translated(path):
        try:
            content = read_private(path, limit=_LARGEST)
        except FileNotFoundError:
            return []
    try:
        found: list[dict[str, Any]] = json.loads(content)
    except ValueError:
        raise KeyringFault(f"{path} is broken.", hint="Remove it, and export the keyring anew.") from None
    return found


def _sealed(content: bytes, passphrase: str) -> dict[str, str]:
    if len(passphrase) < _PASSPHRASE_SHORTEST:
        raise KeyringFault(
            f"The passphrase has fewer than {_PASSPHRASE_SHORTEST} characters.", hint="Take several random words."
        )
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    sealed = nonce + _cipher(passphrase, salt).encrypt(nonce, content, _KIND.encode())
    return {"salt": base64.b64encode(salt).decode(), "sealed": base64.b64encode(sealed).decode()}


def _opened(path: Path, document: dict[str, Any], passphrase: str | None) -> bytes:
    from cryptography.exceptions import InvalidTag

    if passphrase is None:
        raise KeyringFault(f"{path} wants its passphrase.", hint="Say --passphrase-file FILE, or `-` to be asked.")
    sealed = base64.b64decode(document["sealed"], validate=True)
    cipher = _cipher(passphrase, base64.b64decode(document["salt"], validate=True))
    try:
        return bytes(cipher.decrypt(sealed[:12], sealed[12:], _KIND.encode()))
    except InvalidTag:
        raise KeyringFault(f"That isn't the passphrase of {path}, or the file was changed.", hint="") from None


def _cipher(passphrase: str, salt: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    slow = Argon2id(salt=salt, length=32, iterations=_PASSES, lanes=_LANES, memory_cost=_MEMORY_KIB)
    return AESGCM(slow.derive(passphrase.encode()))
