"""Signatures that hold for years, and that anybody can check who has the public key: Ed25519 (RFC 8032)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from innkeeper.keyring.faults import KeyringFault

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_ID_DIGITS = 32


class Ed25519Signer:
    """The core's `Signer`, with a key that is made from 256 secret bits alone."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed

    @property
    def key_id(self) -> str:
        """The key's name: a hash of the public key."""
        return key_id_of(self.public_key)

    @property
    def public_key(self) -> str:
        """The public key in PEM (RFC 8410)."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, message: bytes) -> bytes:
        """64 bytes, the same each time."""
        return self._key().sign(message)

    def _key(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self._seed)


def key_id_of(public_key: str) -> str:
    """The name of a public key in PEM; KeyringFault where it is none."""
    return "rk_" + hashlib.sha256(_raw(public_key)).hexdigest()[:_ID_DIGITS]


def verified(public_key: str, message: bytes, signature: bytes) -> bool:
    """Whether whoever has that key signed that message; KeyringFault where the key is none."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(_raw(public_key)).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _raw(public_key: str) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(public_key.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyringFault(
            "That is no public key for receipts.", hint="Get it with `innkeeper receipt key`: it is Ed25519, in PEM."
        )
    return key.public_bytes_raw()
