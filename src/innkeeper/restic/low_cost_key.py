"""A repository's key file for a password that nobody can guess.

restic makes a password expensive to try: half a second at each run. Ours have 256 bits, which no number of tries finds,
so that the same key is wrapped again at scrypt's least cost. There is no option for it; the format is documented in
https://restic.readthedocs.io/en/stable/100_references.html#keys-encryption-and-mac.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from pathlib import Path

_COST = {"N": 2, "r": 1, "p": 1}
_SALT_BYTES, _NONCE_BYTES, _MAC_BYTES = 64, 16, 16


def lower_cost(keys: Path, password: str) -> Path:
    """Put a second key file beside the one in the folder `keys`, and give the first: to be removed when that opens."""
    (first,) = keys.iterdir()
    document = json.loads(first.read_bytes())
    salt = secrets.token_bytes(_SALT_BYTES)
    master = _opened(
        base64.b64decode(document["data"]), *_derived(password, base64.b64decode(document["salt"]), document)
    )
    document |= _COST | {
        "salt": base64.b64encode(salt).decode(),
        "data": base64.b64encode(_sealed(master, *_derived(password, salt, _COST))).decode(),
        "username": "innkeeper",
    }
    content = json.dumps(document).encode()
    file = keys / hashlib.sha256(content).hexdigest()
    file.touch(mode=0o600)
    file.write_bytes(content)
    file.chmod(0o400)
    return first


def _derived(password: str, salt: bytes, cost: dict[str, int]) -> tuple[bytes, bytes]:
    """The keys to encrypt and to authenticate."""
    key = hashlib.scrypt(password.encode(), salt=salt, n=cost["N"], r=cost["r"], p=cost["p"], maxmem=1 << 28, dklen=64)
    return key[:32], key[32:]


def _sealed(plain: bytes, encrypt: bytes, authenticate: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    ciphertext = _stream(plain, encrypt, nonce)
    return nonce + ciphertext + _mac(ciphertext, authenticate, nonce)


def _opened(sealed: bytes, encrypt: bytes, authenticate: bytes) -> bytes:
    nonce, ciphertext, mac = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:-_MAC_BYTES], sealed[-_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(ciphertext, authenticate, nonce)):
        raise ValueError("the key file isn't one of that password")
    return _stream(ciphertext, encrypt, nonce)


def _stream(content: bytes, key: bytes, nonce: bytes) -> bytes:
    """AES-256-CTR."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    return Cipher(AES(key), CTR(nonce)).encryptor().update(content)


def _mac(ciphertext: bytes, key: bytes, nonce: bytes) -> bytes:
    """Poly1305-AES (https://cr.yp.to/mac/poly1305-20050329.pdf): `key` is AES's, then r."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import ECB
    from cryptography.hazmat.primitives.poly1305 import Poly1305

    pad = Cipher(AES(key[:16]), ECB()).encryptor().update(nonce)  # noqa: S305 - one block, as the paper has it
    return Poly1305.generate_tag(key[16:] + pad, ciphertext)
