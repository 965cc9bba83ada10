"""The core's `SecretRows` on plain dictionaries."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from innkeeper.core.secrets import SecretVersion
from innkeeper.store import rules
from innkeeper.store.memory_tables import Tables


class MemorySecrets:
    """The vault's rows."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def versions(self, owner: str, name: str | None = None) -> Sequence[SecretVersion]:
        found = [each for _, (each, _) in sorted(self._tables.secrets.items(), key=lambda item: item[0])]
        return [each for each in found if each.owner == owner and name in (None, each.name)]

    async def newest(self, owner: str, names: Collection[str]) -> Sequence[tuple[SecretVersion, bytes]]:
        found = {each.name: each for each in await self.versions(owner) if each.name in names}
        return [self._tables.secrets[_key(each)] for each in found.values()]

    async def sealed(self, version: SecretVersion) -> bytes | None:
        kept = self._tables.secrets.get(_key(version))
        return kept[1] if kept else None

    async def add(self, version: SecretVersion, sealed: bytes) -> None:
        if version.tenant is not None:
            tenant = self._tables.tenants.get(version.tenant)
            if tenant is None or tenant.id != version.owner:
                raise rules.no_tenant(version.tenant)
        if _key(version) in self._tables.secrets:
            raise rules.version_taken(version.name)
        self._tables.secrets[_key(version)] = version, sealed

    async def drop(self, owner: str, name: str, versions: Collection[int] | None = None) -> int:
        return self._drop([
            key
            for key in self._tables.secrets
            if key[:2] == (owner, name) and (versions is None or key[2] in versions)
        ])  # fmt: skip

    async def owners(self) -> Collection[str]:
        return {owner for owner, _, _ in self._tables.secrets}

    def drop_tenant(self, name: str) -> None:
        """What hangs on a tenant that is gone."""
        self._drop([key for key, (each, _) in self._tables.secrets.items() if each.tenant == name])

    def _drop(self, keys: Sequence[tuple[str, str, int]]) -> int:
        for key in keys:
            del self._tables.secrets[key]
        return len(keys)


def _key(version: SecretVersion) -> tuple[str, str, int]:
    return version.owner, version.name, version.version
