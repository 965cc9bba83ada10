"""The keyring: what each tenant's tokens and keys are derived from, and the first admin token, in files of 0600."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from innkeeper.core.access import new_secret
from innkeeper.core.errors import Kind, Problem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = 1
_KEY_BYTES = 32
_SIZE_LIMIT = 1 << 20
_SEAL = b"1"
"""How it is sealed; a way that is invented later gets another number."""
_NONCE_BYTES = 12


class KeyringFault(Problem):
    """The keyring or the admin token can't be used as it is; it is never replaced by a new one."""

    code = "keyring_fault"
    kind = Kind.UNAVAILABLE
    default_hint = "Restore it from a backup: with a new one, every token that was derived from it would be void."


@dataclass(frozen=True, kw_only=True)
class MasterKey:
    """One secret of the keyring."""

    id: str
    key: bytes = field(repr=False)
    created_at: datetime


class Keyring:
    """Derives credentials of tenants, ties the trail, and encrypts for them: the core's `Tokens`, `Seals` and `Links`.

    Of several keys the newest counts; the older ones still open what was sealed with them.
    """

    def __init__(self, keys: tuple[MasterKey, ...]) -> None:
        self._newest = max(keys, key=lambda key: key.created_at)
        self._oldest = min(keys, key=lambda key: key.created_at)
        self._keys = {key.id.encode(): key for key in keys}
        self._audit_key = _key(self._oldest, "audit")

    @classmethod
    def open(cls, data: Path) -> Keyring:
        """The keyring of a data directory, made where there is none; of several processes one makes it for all.

        Raises KeyringFault for a file that is broken, or that others than its owner can get at.
        """
        path = data / "keyring"
        return cls(_parse(path, _kept(path, _new_keyring)))

    def broker_token(self, tenant_id: str, epoch: int) -> str:
        """What the tenant's agent shows to the broker."""
        return f"ik_b_{self._derive('broker', tenant_id, epoch)}"

    def gateway_token(self, tenant_id: str, epoch: int) -> str:
        """What the edge shows to the tenant's agent."""
        return f"ik_g_{self._derive('gateway', tenant_id, epoch)}"

    def door_seal(self, session_id: str, tenant_id: str) -> str:
        """What proves at a tenant's door that the session was let in there."""
        return _text(_key(self._newest, "door", session_id, tenant_id))

    def seal(self, tenant_id: str, name: str, plain: bytes) -> bytes:
        """AES-256-GCM under a key of the tenant's: key id, nonce, ciphertext. Only that tenant and name open it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = _cipher(self._newest, tenant_id).encrypt(nonce, plain, _bound_to(tenant_id, name))
        return b"\n".join((_SEAL, self._newest.id.encode(), nonce + sealed))

    def unseal(self, tenant_id: str, name: str, sealed: bytes) -> bytes:
        """What `seal` was given; raises KeyringFault."""
        from cryptography.exceptions import InvalidTag

        version, key_id, rest = [*sealed.split(b"\n", 2), b"", b""][:3]
        key = self._keys.get(key_id)
        if version != _SEAL or key is None:
            raise KeyringFault(f"{name} was sealed with a key that isn't in the keyring.")
        try:
            cipher = _cipher(key, tenant_id)
            return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _bound_to(tenant_id, name))
        except (InvalidTag, ValueError):
            raise KeyringFault(
                f"{name} isn't what was sealed by that name.", hint="The database was changed."
            ) from None

    def fingerprint(self, tenant_id: str, content: bytes) -> str:
        """A keyed hash: without the keyring nobody can try what the content may have been. A new key changes none."""
        return _text(hmac.digest(_key(self._oldest, "fingerprint", tenant_id), content, hashlib.sha256))

    def link(self, previous: str, row: bytes) -> str:
        """Ties a row of the audit trail to the one before it. A new key leaves the chain as it is."""
        return _text(hmac.digest(self._audit_key, previous.encode() + b"\n" + row, hashlib.sha256))

    def _derive(self, purpose: str, tenant_id: str, epoch: int) -> str:
        return _text(_key(self._newest, purpose, tenant_id, epoch))


def _key(master: MasterKey, *parts: object) -> bytes:
    # JSON keeps the parts apart, whatever is in them.
    return hmac.digest(master.key, json.dumps(["innkeeper", *parts]).encode(), hashlib.sha256)


def _cipher(master: MasterKey, tenant_id: str) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # OpenSSL, which few processes need

    return AESGCM(_key(master, "seal", tenant_id))


def _bound_to(tenant_id: str, name: str) -> bytes:
    return json.dumps([tenant_id, name]).encode()


def admin_token(data: Path) -> str:
    """The first admin's token, kept in the data directory and made where there is none."""
    path = data / "admin-token"
    token = _kept(path, _new_admin_token).decode(errors="replace").strip()
    if not token.startswith("ik_a_") or len(token) < len("ik_a_") + _KEY_BYTES:
        raise KeyringFault(f"{path} holds no admin token.", hint="Remove it to get a new token, then start again.")
    return token


def _kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """What the file holds, which is made whole or not at all."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write_once(path, make())
        return _read_private(path)
    except OSError as error:
        raise KeyringFault(
            f"{path} can't be used: {error.strerror}.", hint="Check its folder and its owner."
        ) from error


def _write_once(path: Path, content: bytes) -> None:
    """Make the file; where another process is quicker, its file stands."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read_private(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyringFault(f"{path} is no file.")
        if status.st_mode & 0o077:
            raise KeyringFault(f"{path} is open to others.", hint=f"If nobody has used it: chmod 600 {path}")
        if status.st_uid not in (0, os.geteuid()):
            raise KeyringFault(f"{path} belongs to uid {status.st_uid}.", hint="Run as the user that made it.")
        return file.read(_SIZE_LIMIT)


def _new_admin_token() -> bytes:
    return f"{new_secret('a')}\n".encode()


def _new_keyring() -> bytes:
    key = {
        "id": f"mk_{secrets.token_hex(8)}",
        "key": base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode(),
        "created_at": datetime.now(UTC).isoformat(),
    }
    return json.dumps({"version": _VERSION, "keys": [key]}, indent=1).encode()


def _parse(path: Path, content: bytes) -> tuple[MasterKey, ...]:
    try:
        kept = json.loads(content)
        version, keys = kept["version"], tuple(map(_master_key, kept["keys"]))
    except (ValueError, KeyError, TypeError) as error:
        # Not chained: the cause would carry parts of the secret into a log.
        raise KeyringFault(f"{path} is broken ({type(error).__name__}).") from None
    if version != _VERSION or not keys:
        raise KeyringFault(f"{path} holds no key, or is of another version ({version!r}).")
    return keys


def _master_key(kept: dict[str, Any]) -> MasterKey:
    key = base64.b64decode(kept["key"], validate=True)
    created_at = datetime.fromisoformat(kept["created_at"])
    if len(key) < _KEY_BYTES or created_at.tzinfo is None:
        raise ValueError("too short, or without a zone")
    return MasterKey(id=kept["id"], key=key, created_at=created_at)


def _text(secret: bytes) -> str:
    return base64.urlsafe_b64encode(secret).decode().rstrip("=")
