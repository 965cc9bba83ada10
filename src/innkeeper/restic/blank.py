"""A fresh repository's two files, its config and its key, for a password that nobody can guess.

`restic init` takes three seconds to find out how expensive the password is to be tried, and each run after it half a
second to open it. Ours have 256 bits, which no number of tries finds: scrypt's least cost does as well. There is no
option for that; the format is documented in
https://restic.readthedocs.io/en/stable/100_references.html#repository-format.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

VERSION = 2
"""Of the format: the one that compresses."""
_FOLDERS = ("data", "index", "keys", "locks", "snapshots", *(f"data/{number:02x}" for number in range(256)))
_COST = {"N": 2, "r": 1, "p": 1}
_SALT_BYTES, _NONCE_BYTES, _AES_BYTES, _MAC_BYTES, _TAG_BYTES = 64, 16, 32, 32, 16
_DEGREE = 53
"""Of the chunker's polynomial."""


def lay_out(folder: Path, password: str, polynomial: str) -> None:
    """Make it in the empty folder."""
    for each in _FOLDERS:
        (folder / each).mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in blank(password, polynomial).items():
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def blank(password: str, polynomial: str) -> Mapping[str, bytes]:
    """Name -> content: the key, then the config."""
    encrypt, authenticate = secrets.token_bytes(_AES_BYTES), secrets.token_bytes(_MAC_BYTES)
    master = {
        "mac": {"k": _text(authenticate[:16]), "r": _text(authenticate[16:])},
        "encrypt": _text(encrypt),
    }
    salt = secrets.token_bytes(_SALT_BYTES)
    derived = hashlib.scrypt(
        password.encode(), salt=salt, n=_COST["N"], r=_COST["r"], p=_COST["p"], dklen=_AES_BYTES + _MAC_BYTES
    )
    key = json.dumps(
        {
            "created": datetime.now(UTC).isoformat(),
            "username": "innkeeper",
            "hostname": "innkeeper",
            "kdf": "scrypt",
            **_COST,
            "salt": _text(salt),
            "data": _text(sealed(json.dumps(master).encode(), derived[:_AES_BYTES], derived[_AES_BYTES:])),
        }
    ).encode()
    config = {"version": VERSION, "id": secrets.token_hex(32), "chunker_polynomial": polynomial}
    return {
        f"keys/{hashlib.sha256(key).hexdigest()}": key,
        "config": sealed(json.dumps(config).encode(), encrypt, authenticate),
    }


def random_polynomial() -> str:
    """An irreducible one of degree 53 over GF(2), by which files are cut: another for each repository, so that the
    sizes of the pieces tell nobody which file it is."""
    while True:
        # Without x and x+1 as factors: the lowest bit is set, and so is an odd number of all.
        candidate = (1 << _DEGREE) | secrets.randbits(_DEGREE) | 1
        if candidate.bit_count() % 2 and _is_irreducible(candidate):
            return f"{candidate:x}"


def _is_irreducible(polynomial: int) -> bool:
    """Rabin's test, which for a prime degree and no linear factor is that x to the 2**53 is x."""
    power = 2
    for _ in range(_DEGREE):
        power = _remainder(_squared(power), polynomial)
    return power == 2


def _squared(polynomial: int) -> int:
    return sum(1 << 2 * bit for bit in range(polynomial.bit_length()) if polynomial >> bit & 1)


def _remainder(polynomial: int, by: int) -> int:
    length = by.bit_length()
    while (over := polynomial.bit_length() - length) >= 0:
        polynomial ^= by << over
    return polynomial


def sealed(plain: bytes, encrypt: bytes, authenticate: bytes) -> bytes:
    """Nonce, AES-256-CTR, and Poly1305-AES (https://cr.yp.to/mac/poly1305-20050329.pdf; AES's key, then r)."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    ciphertext = _counted(plain, nonce, encrypt)
    return nonce + ciphertext + _tag(ciphertext, nonce, authenticate)


def unsealed(content: bytes, encrypt: bytes, authenticate: bytes) -> bytes:
    """What was sealed with these; ValueError for anything else."""
    nonce, ciphertext, tag = content[:_NONCE_BYTES], content[_NONCE_BYTES:-_TAG_BYTES], content[-_TAG_BYTES:]
    if len(content) < _NONCE_BYTES + _TAG_BYTES or not hmac.compare_digest(tag, _tag(ciphertext, nonce, authenticate)):
        raise ValueError("not sealed with this key")
    return _counted(ciphertext, nonce, encrypt)


def _counted(content: bytes, nonce: bytes, key: bytes) -> bytes:
    """There and back by AES-256-CTR."""
    from cryptography.hazmat.primitives.ciphers import Cipher  # OpenSSL, which few processes need
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    return Cipher(AES(key), CTR(nonce)).encryptor().update(content)


def _tag(ciphertext: bytes, nonce: bytes, authenticate: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import ECB
    from cryptography.hazmat.primitives.poly1305 import Poly1305

    pad = Cipher(AES(authenticate[:16]), ECB()).encryptor().update(nonce)  # noqa: S305 - one block, as the paper has it
    return Poly1305.generate_tag(authenticate[16:] + pad, ciphertext)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
