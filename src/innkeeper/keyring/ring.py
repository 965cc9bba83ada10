"""The keyring: master keys, the data keys that they wrap, and all that is encrypted with those or derived from them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from innkeeper.core.keyring_facts import Burial, ExportFacts, HeldIn, KeyringFacts, MasterFacts, Rotation
from innkeeper.keyring import exports
from innkeeper.keyring.data_keys import NONCE_BYTES, DataKey, DataKeys, Wrapped, without_key
from innkeeper.keyring.faults import KeyDestroyed, KeyringFault
from innkeeper.keyring.files import alone, read_private, replace_with, translated
from innkeeper.keyring.masters import ASIDE, Masters, Ring, fitting, masters_of, new_master
from innkeeper.keyring.signatures import Ed25519Signer
from innkeeper.keyring.sources import KeyringFile, MasterSource

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_BY_MASTER, _BY_DATA_KEY = b"1", b"2"
"""How something is sealed: until there were data keys, and since. A way that is invented later gets another number."""
_USED_WITH = "masters"


class Keyring:
    """Derives credentials of tenants, ties the trail, and encrypts for them: the core's `Tokens`, `Seals`, `Links`,
    `DataKeys` and `Lockbox`.

    What is a tenant's own hangs on its data key. What must outlive rotations is derived from the oldest master key.
    """

    def __init__(self, source: MasterSource, ring: Ring, keys: DataKeys) -> None:
        self._source = source
        self._ring = ring
        self._keys = keys
        self._oldest = ring.masters.oldest
        self._audit_key = self._oldest.derive("audit")

    @classmethod
    def open(
        cls, data: Path, source: MasterSource | None = None, *, is_new: bool | None = None, make: bool = True
    ) -> Keyring:
        """The keyring of a data directory; made where the directory is new (`is_new`: as the caller knows, else by what
        lies in it) and `make`, by one of several processes for all.

        Raises KeyringFault, with nothing written: for one that is broken, that others can get at, that is missing where
        something was made with it, or that isn't the one this directory was used with.
        """
        source, folder = source or KeyringFile(data / "keyring"), data / "keys"
        content, noted = source.read(), used_with(folder)
        if content is None:
            new = not (data / "innkeeper.db").exists() if is_new is None else is_new
            used = noted is not None or any(folder.glob("[!.]*.key"))
            if used and (content := source.read()) is not None:
                noted = used_with(folder)  # another process has made it between our two looks
            elif used or not (make and new and source.writable):
                raise KeyringFault(
                    f"There is no keyring at {source.where}, and this data directory isn't new."
                    if make
                    else f"There is no keyring at {source.where}.",
                    hint="Restore it from an export (`innkeeper keyring import FILE`) or a backup, or say where it is "
                    "with INNKEEPER_MASTER_KEY_FILE. Nothing was changed.",
                )
            if content is None:
                source.write(Masters((new_master(),)).dumped(), anew=True)
                content = source.read() or b""
        masters = _masters_in(content, source)
        if noted is not None:
            fitting(noted, masters, where=source.where)
        ring = Ring(masters, lambda: _read_again(source, folder))
        keyring = cls(source, ring, DataKeys(folder, ring))
        if noted is None:
            keyring._try_a_key()
        if make:
            keyring._note_use()
            keyring._keys.tidy()
            if source.writable:
                source.tidy()
        return keyring

    # --- credentials ------------------------------------------------------------------------------------------------

    def broker_token(self, tenant_id: str, epoch: int) -> str:
        """What the tenant's agent shows to the broker."""
        return f"ik_b_{self._token('broker', tenant_id, epoch)}"

    def gateway_token(self, tenant_id: str, epoch: int) -> str:
        """What the edge shows to the tenant's agent."""
        return f"ik_g_{self._token('gateway', tenant_id, epoch)}"

    def door_seal(self, session_id: str, tenant_id: str) -> str:
        """What proves at a tenant's door that the session was let in there. A new master key changes none."""
        return _text(self._oldest.derive("door", session_id, tenant_id))

    def repository_password(self, owner: str) -> str:
        """What opens the owner's snapshots, wherever they lie; raises KeyDestroyed, KeyringFault. It never makes a key:
        a new one would open none of them."""
        key = self._keys.find(owner)
        if key is None:
            raise KeyringFault(f"{owner} has no data key, which snapshots are encrypted under.")
        return _text(_derived(key, "repository"))

    def _token(self, purpose: str, tenant_id: str, epoch: int) -> str:
        try:
            key = self._keys.made(tenant_id)
        except KeyDestroyed:
            return _text(secrets.token_bytes(32))  # nobody has it, so it lets nobody in
        return _text(_derived(key, purpose, epoch))

    # --- sealing ----------------------------------------------------------------------------------------------------

    def seal(self, tenant_id: str, name: str, plain: bytes) -> bytes:
        """AES-256-GCM under the tenant's data key: way, key id, nonce, ciphertext. Only that tenant and name open it.

        Raises KeyDestroyed.
        """
        key, nonce = self._keys.made(tenant_id), secrets.token_bytes(NONCE_BYTES)
        sealed = _cipher(_derived(key, "seal")).encrypt(nonce, plain, _bound_to(tenant_id, name))
        return b"\n".join((_BY_DATA_KEY, key.id.encode(), nonce + sealed))

    def unseal(self, tenant_id: str, name: str, sealed: bytes) -> bytes:
        """What `seal` was given; raises KeyringFault, KeyDestroyed. It never makes a key."""
        from cryptography.exceptions import InvalidTag

        way, key_id, rest = [*sealed.split(b"\n", 2), b"", b""][:3]
        key = self._key_of(tenant_id, way, key_id)
        if key is None:
            raise KeyringFault(f"{name} was sealed with a key that isn't in the keyring.")
        try:
            return _cipher(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], _bound_to(tenant_id, name))
        except (InvalidTag, ValueError):
            raise KeyringFault(
                f"{name} isn't what was sealed by that name.", hint="The database was changed."
            ) from None

    def _key_of(self, tenant_id: str, way: bytes, key_id: bytes) -> bytes | None:
        if way == _BY_MASTER:
            master = self._ring.masters.get(key_id.decode(errors="replace"))
            return None if master is None else master.derive("seal", tenant_id)
        found = self._keys.find(tenant_id) if way == _BY_DATA_KEY else None
        return _derived(found, "seal") if found is not None and found.id.encode() == key_id else None

    # --- what outlives rotations --------------------------------------------------------------------------------------

    def fingerprint(self, tenant_id: str, content: bytes) -> str:
        """A keyed hash: without the keyring nobody can try what the content may have been. A new key changes none."""
        return _text(hmac.digest(self._oldest.derive("fingerprint", tenant_id), content, hashlib.sha256))

    def link(self, previous: str, row: bytes) -> str:
        """Ties a row of the audit trail to the one before it. A new key leaves the chain as it is."""
        return _text(hmac.digest(self._audit_key, previous.encode() + b"\n" + row, hashlib.sha256))

    @property
    def signer(self) -> Ed25519Signer:
        """Signs receipts. A new key changes nothing of it."""
        return Ed25519Signer(self._oldest.derive("receipts"))

    # --- its life ---------------------------------------------------------------------------------------------------

    def has(self, tenant_id: str) -> bool:
        """Whether the tenant has a data key, or had one that was destroyed."""
        try:
            return self._keys.find(tenant_id) is not None
        except KeyDestroyed:
            return True

    def owners(self) -> Sequence[str]:
        """Those who have one, whether or not it opens."""
        return self._keys.owners()

    def missing(self, owners: Sequence[str]) -> Sequence[str]:
        """Those who have no data key, and had none that was destroyed."""
        return without_key(self._keys.folder, owners)

    async def ready(self, tenant_id: str) -> None:
        """Make the tenant's data key where there is none."""
        await asyncio.to_thread(self._keys.made, tenant_id)

    async def destroy(self, tenant_id: str) -> None:
        """Destroy the tenant's data key for good."""
        await asyncio.to_thread(self._keys.destroy, tenant_id)

    async def burial(self, tenant_id: str) -> Burial | None:
        """What is left of a data key that was destroyed."""
        return await asyncio.to_thread(self._burial, tenant_id)

    def _burial(self, tenant_id: str) -> Burial | None:
        note = self._keys.tombstone_of(tenant_id)
        if note is None:
            return None
        held = [each for each in exports.notes(self._keys.folder) if note["key"] in each.keys]
        return Burial(
            key=note["key"],
            at=datetime.fromisoformat(note["destroyed_at"]),
            held_in=tuple(HeldIn(file=each.file, at=each.at) for each in held),
        )

    def rotate(self) -> Rotation:
        """Add a master key where that can be done from here, and wrap every data key by the newest."""
        with translated(self._keys.folder), alone(self._keys.folder / ".rotation"):
            self._ring.reload()
            added = None
            if self._source.writable and not self._behind():
                masters = self._ring.masters.with_another()
                self._source.write(masters.dumped(), anew=False)  # first: nothing is wrapped by a key that isn't kept
                self._ring.masters, added = masters, masters.newest.id
            self._note_use()
            rewrapped = sum(self._keys.rewrap(owner) for owner in self._behind())
            self._keys.synced()
        return Rotation(
            added=added, newest=self._ring.newest.id, rewrapped=rewrapped, says=self._left_to_do(added, rewrapped)
        )

    def _behind(self) -> list[str]:
        """Whose keys the newest master key doesn't wrap yet."""
        newest = self._ring.newest.id
        return [each.owner for each in self._wrapped() if each.master != newest]

    def _wrapped(self) -> list[Wrapped]:
        """All data keys as they lie there; one that is destroyed meanwhile isn't among them."""
        found = []
        for owner in self._keys.owners():
            with suppress(KeyDestroyed):
                found.append(self._keys.wrapped(owner))
        return [each for each in found if each is not None]

    def _left_to_do(self, added: str | None, rewrapped: int) -> str:
        if added is not None:
            return "Export the keyring anew: earlier exports lack the new master key."
        if rewrapped:
            return "An earlier rotation was finished; no other key was added."
        return f"Nothing was to be done. Add a newer key to what {self._source.where} holds, then come back."

    def facts(self) -> KeyringFacts:
        """How it stands."""
        wrapped = self._wrapped()
        by_master = Counter(each.master for each in wrapped)
        buried = {note["key"]: note["owner"] for note in self._keys.buried() if note["key"]}
        noted = exports.notes(self._keys.folder)
        held = frozenset[str]().union(*(each.keys | each.masters for each in noted))
        masters = sorted(self._ring.masters.keys, key=lambda key: key.created_at)
        in_use = {each.id for each in wrapped} | {key.id for key in masters}
        return KeyringFacts(
            where=self._source.where,
            writable=self._source.writable,
            masters=tuple(
                MasterFacts(id=key.id, created_at=key.created_at, wraps=by_master[key.id]) for key in masters
            ),
            data_keys=len(wrapped),
            destroyed=len(self._keys.buried()),
            exports=tuple(
                ExportFacts(
                    at=each.at,
                    file=each.file,
                    keys=len(each.keys),
                    destroyed=tuple(sorted(buried[key] for key in each.keys & buried.keys())),
                )
                for each in noted
            ),
            unexported=len(in_use - held),
        )

    def export(self, path: Path, passphrase: str | None = None) -> int:
        """Write a copy of all of it, 0600, and remember that; how many data keys it holds."""
        self._note_use()
        with translated(self._keys.folder), alone(self._keys.folder / ".rotation"):
            # A rotation in between would leave the copy with keys and without the master that wraps them.
            self._ring.reload()
            copy = exports.Copy(masters=self._ring.masters, keys=self._wrapped())
            exports.write_copy(path, copy, passphrase)
            exports.note(self._keys.folder, path, copy)
        return len(copy.keys)

    # --- whether it is the right one ----------------------------------------------------------------------------------

    def _try_a_key(self) -> None:
        """Without a note of what it was used with, the keyring is right if it opens a data key."""
        for owner in self._keys.owners()[:1]:
            self._keys.find(owner)

    def _note_use(self) -> None:
        """Write down which master keys this directory is used with, so that another keyring is told at once."""
        mine = [{"id": key.id, "check": key.check} for key in self._ring.masters.keys]
        folder = self._keys.folder
        with translated(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with alone(folder / ".lock"):
                before = used_with(folder) or []
                # What another process has noted since we have read them stays.
                noted = [*mine, *(each for each in before if self._ring.masters.get(each["id"]) is None)]
                if before != noted:
                    replace_with(folder / _USED_WITH, json.dumps(noted).encode())


def _masters_in(content: bytes, source: MasterSource) -> Masters:
    given = f"{source.where} has to give the whole JSON of the keyring that was there. Nothing was changed."
    return masters_of(content, where=source.where, hint=ASIDE if source.writable else given)


def _read_again(source: MasterSource, folder: Path) -> Masters:
    """The masters as they are there now; KeyringFault where those are other ones than this directory is used with."""
    content = source.read()
    if content is None:
        raise KeyringFault(f"There is no keyring at {source.where} any more.")
    masters = _masters_in(content, source)
    fitting(used_with(folder) or [], masters, where=source.where)
    return masters


def used_with(folder: Path) -> list[dict[str, str]] | None:
    """The master keys that this folder of data keys was used with, as noted; None where nothing was."""
    path = folder / _USED_WITH
    with translated(path):
        try:
            content = read_private(path)
        except FileNotFoundError:
            return None
    try:
        return [{"id": str(each["id"]), "check": str(each["check"])} for each in json.loads(content)]
    except (ValueError, KeyError, TypeError):
        raise KeyringFault(f"{path} is broken.") from None


def _derived(key: DataKey, *parts: object) -> bytes:
    return hmac.digest(key.key, json.dumps(["innkeeper", *parts]).encode(), hashlib.sha256)


def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # OpenSSL, which few processes need

    return AESGCM(key)


def _bound_to(tenant_id: str, name: str) -> bytes:
    return json.dumps([tenant_id, name]).encode()


def _text(secret: bytes) -> str:
    return base64.urlsafe_b64encode(secret).decode().rstrip("=")
