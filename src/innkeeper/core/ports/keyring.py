"""What the core needs of the keyring beside tokens and seals: its life, and how it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from innkeeper.core.keyring_facts import Burial, KeyringFacts, Rotation


class DataKeys(Protocol):
    """A tenant's data key: its beginning and its end."""

    def has(self, tenant_id: str) -> bool:
        """Whether it has one, or had one that was destroyed; raises KeyringFault for one that doesn't open."""
        ...

    async def ready(self, tenant_id: str) -> None:
        """Make it where there is none, so that nobody has to wait for the disk later; raises KeyDestroyed."""
        ...

    async def destroy(self, tenant_id: str) -> None:
        """Destroy it for good, on the disk when this returns; repeatable. All that it encrypted, in every copy, is gone
        with it, and none is ever made in its place."""
        ...

    async def burial(self, tenant_id: str) -> Burial | None:
        """What is left of a key that was destroyed; None where it wasn't."""
        ...


class Signer(Protocol):
    """Signs in the installation's name, with one key that no rotation changes (Ed25519, RFC 8032)."""

    @property
    def key_id(self) -> str:
        """The key's name."""
        ...

    @property
    def public_key(self) -> str:
        """What anybody can check signatures with, in PEM (RFC 8410)."""
        ...

    def sign(self, message: bytes) -> bytes:
        """64 bytes; takes far less than a millisecond."""
        ...


class Lockbox(Protocol):
    """The keyring as those see it who look after it. All calls read many small files: never on a loop's own thread."""

    def facts(self) -> KeyringFacts:
        """How it stands; raises KeyringFault."""
        ...

    def missing(self, owners: Sequence[str]) -> Sequence[str]:
        """Those who have no data key, and had none that was destroyed."""
        ...

    def rotate(self) -> Rotation:
        """Add a master key and wrap every data key by it, while all is in use. After a crash in the middle all stays
        readable, and the next call finishes that rotation before it would begin another."""
        ...
