"""The age format with a passphrase, a piece at a time: `age -d` reads what this writes, and this what `age -p` writes.

pyrage does passphrases in memory alone, and a unit may be larger than that.
https://github.com/C2SP/C2SP/blob/main/age.md
"""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import b64decode, b64encode
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from innkeeper.units.pack_tar import Writer

WORK = 17
"""2^17 rounds of scrypt take half a second and 128 MB."""
WORK_MAX = 20
"""As many as are done to read: age's own files have 18."""
_FIRST = b"age-encryption.org/v1\n"
_CHUNK, _TAG = 64 << 10, 16
_HEADER_MAX_BYTES = 1024


class WrongPassphrase(Exception):
    """It isn't the passphrase, or the file was changed."""


class Sealing:
    """Encrypts whatever is written; `close` makes it whole."""

    def __init__(self, out: Writer, passphrase: str, *, work: int = WORK) -> None:
        self._out = out
        file_key, salt, nonce = os.urandom(16), os.urandom(16), os.urandom(16)
        wrapped = ChaCha20Poly1305(_wrapping_key(passphrase, salt, work)).encrypt(bytes(12), file_key, None)
        header = _FIRST + f"-> scrypt {_text(salt)} {work}\n{_text(wrapped)}\n---".encode()
        out.write(header + f" {_text(_mac(file_key, header))}\n".encode() + nonce)
        self._chunks = _Chunks(file_key, nonce)
        self._waiting = bytearray()

    def write(self, data: bytes, /) -> int:
        """All but the last chunk go on at once: only at the end it is known which is the last."""
        self._waiting += data
        while len(self._waiting) > _CHUNK:
            self._out.write(self._chunks.sealed(bytes(self._waiting[:_CHUNK]), last=False))
            del self._waiting[:_CHUNK]
        return len(data)

    def close(self) -> None:
        """Write the last chunk."""
        self._out.write(self._chunks.sealed(bytes(self._waiting), last=True))
        self._waiting.clear()


class Opening:
    """Decrypts what is read; WrongPassphrase at once where it is, or as soon as something doesn't hold."""

    def __init__(self, source: BinaryIO, passphrase: str) -> None:
        self._source = source
        file_key = _opened_header(source, passphrase)
        self._chunks = _Chunks(file_key, _exactly(source, 16))
        self._plain = b""
        self._next = source.read(_CHUNK + _TAG)
        self._ended = False

    def read(self, most: int = -1) -> bytes:
        """Up to so many bytes; none at the end, which is proved to be the end."""
        while not self._ended and (most < 0 or len(self._plain) < most):
            this, self._next = self._next, self._source.read(_CHUNK + _TAG)
            self._ended = not self._next
            self._plain += self._chunks.opened(this, last=self._ended)
        taken = self._plain if most < 0 else self._plain[:most]
        self._plain = self._plain[len(taken) :]
        return taken


class _Chunks:
    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        self._cipher = ChaCha20Poly1305(_derived(file_key, salt=nonce, info=b"payload"))
        self._number = 0

    def sealed(self, plain: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(last), plain, None)

    def opened(self, sealed: bytes, *, last: bool) -> bytes:
        try:
            return self._cipher.decrypt(self._nonce(last), sealed, None)
        except InvalidTag:
            raise WrongPassphrase("It was cut off, or changed.") from None

    def _nonce(self, last: bool) -> bytes:
        nonce = self._number.to_bytes(11, "big") + bytes([last])
        self._number += 1
        return nonce


def _opened_header(source: BinaryIO, passphrase: str) -> bytes:
    lines = [source.readline(_HEADER_MAX_BYTES) for _ in range(4)]
    kind, body, end = lines[1].split(), lines[2].strip(), lines[3].split()
    if lines[0] != _FIRST or len(kind) != 4 or kind[:2] != [b"->", b"scrypt"] or len(end) != 2 or end[0] != b"---":
        raise WrongPassphrase("It isn't encrypted with a passphrase.")
    try:
        salt, work, wrapped, mac = _bytes(kind[2]), int(kind[3]), _bytes(body), _bytes(end[1])
    except ValueError:
        raise WrongPassphrase("Its header is damaged.") from None
    if not 1 <= work <= WORK_MAX or len(salt) != 16 or len(wrapped) != 32:
        raise WrongPassphrase("Its header asks for more work than is done.")
    try:
        file_key = ChaCha20Poly1305(_wrapping_key(passphrase, salt, work)).decrypt(bytes(12), wrapped, None)
    except InvalidTag:
        raise WrongPassphrase("That isn't the passphrase.") from None
    if not hmac.compare_digest(mac, _mac(file_key, b"".join(lines[:3]) + b"---")):
        raise WrongPassphrase("Its header was changed.")
    return file_key


def _wrapping_key(passphrase: str, salt: bytes, work: int) -> bytes:
    salted = b"age-encryption.org/v1/scrypt" + salt
    room = 128 * 8 * (1 << work) + (1 << 20)
    return hashlib.scrypt(passphrase.encode(), salt=salted, n=1 << work, r=8, p=1, maxmem=room, dklen=32)


def _mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.digest(_derived(file_key, salt=b"", info=b"header"), header, "sha256")


def _derived(file_key: bytes, *, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(file_key)


def _exactly(source: BinaryIO, number: int) -> bytes:
    found = source.read(number)
    if len(found) != number:
        raise WrongPassphrase("It was cut off.")
    return found


def _text(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


def _bytes(text: bytes) -> bytes:
    return b64decode(text + b"=" * (-len(text) % 4), validate=True)
