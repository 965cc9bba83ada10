"""What the core and the broker need of the vault, and the vault of a store."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from innkeeper.core.access import Actor
from innkeeper.core.secrets import SecretVersion
from innkeeper.core.tenant import Tenant


class Secrets(Protocol):
    """Secrets by name, in the clear: for the broker on the way out, and for what must lie in an agent's config."""

    async def reveal(self, name: str, tenant: Tenant | None) -> str:
        """The newest value of the tenant's secret, or with None of the platform's own.

        Raises SecretMissing, SecretExpired, SecretUnreadable. What it gives is hidden from logs from then on.
        """
        ...


class ConfigSecrets(Protocol):
    """The same for a whole config: a hundred of them take one look at the store."""

    async def reveal_all(self, names: Collection[str], tenant: Tenant) -> Mapping[str, str]:
        """The newest values of these secrets of the tenant's; raises as `reveal` does, of the first that won't do."""
        ...


class SecretRows(Protocol):
    """The secrets' rows, within one transaction."""

    async def versions(self, owner: str, name: str | None = None) -> Sequence[SecretVersion]:
        """Those of an owner, or of one secret, by name and version, oldest first; without their values."""
        ...

    async def newest(self, owner: str, names: Collection[str]) -> Sequence[tuple[SecretVersion, bytes]]:
        """The newest version of each of these that is there, with its ciphertext."""
        ...

    async def sealed(self, version: SecretVersion) -> bytes | None:
        """The ciphertext of a version."""
        ...

    async def add(self, version: SecretVersion, sealed: bytes) -> None:
        """Raises Conflict where there is that version already, UnknownTenant where its tenant isn't there."""
        ...

    async def drop(self, owner: str, name: str, versions: Collection[int] | None = None) -> int:
        """Drop these versions, or with None the secret; how many versions."""
        ...

    async def owners(self) -> Collection[str]:
        """Who has any."""
        ...


class SecretKeeping(Secrets, Protocol):
    """The same for those who also put secrets of their own there."""

    async def keep(
        self, name: str, value: str, tenant: Tenant, *, actor: Actor, expires_at: datetime | None = None
    ) -> None:
        """A new value of the tenant's secret, its newest from now on; raises KeyringFault, UnknownTenant.

        `reveal` of another control plane's may give the value before it for some seconds more.
        """
        ...

    async def drop(self, name: str, tenant: Tenant, *, actor: Actor) -> None:
        """Have it no more, in no version; nothing happens when it isn't there."""
        ...
