"""The whole fleet, or some of it, as one compose file: what ZeptoClaw's `generate-compose.sh` does for its tenants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from innkeeper.core.errors import Invalid, UnknownTenant
from innkeeper.core.ports import Blueprint, Store, Units
from innkeeper.core.seating import Seating
from innkeeper.core.tenant import Tenant, Wanted

PRODUCTION = "production"
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class DataIn(StrEnum):
    """What a tenant's named volume is."""

    UNIT = "unit"  # its folder on this host
    VOLUME = "volume"  # one of Docker's own, empty at first


@dataclass(frozen=True, kw_only=True)
class Member:
    """A tenant as a service."""

    blueprint: Blueprint
    port: int
    """Where its agent listens inside."""
    health: Sequence[str]
    """What tells within its container whether it lives."""
    configs: Sequence[str]
    """Its config files, relative to its persistence."""
    variables: frozenset[str] = frozenset()
    """What of its environment is its operator's own, and quoted nowhere: it is taken from a file in its folder."""


class FleetComposer(Protocol):
    """From members to the text of the file."""

    def __call__(self, members: Sequence[Member], *, environment: str, data: DataIn) -> str: ...


class Fleet:
    """Describes tenants to other tools."""

    def __init__(self, *, store: Store, units: Units, seating: Seating, composer: FleetComposer) -> None:
        self._store = store
        self._units = units
        self._seating = seating
        self._composer = composer

    async def compose(
        self, names: Sequence[str] = (), *, environment: str = PRODUCTION, data: DataIn = DataIn.UNIT
    ) -> str:
        """The file for those tenants, or all; UnknownTenant, Invalid. It holds no secret: those are in config files."""
        if not _ENVIRONMENT.fullmatch(environment):
            raise Invalid(
                f"{environment[:60]!r} can't be an environment's name.",
                field="environment",
                hint="Up to 63 letters, digits, '.', '_' and '-'.",
            )
        async with self._store.look() as tx:
            found: Mapping[str, Tenant] = {tenant.name: tenant for tenant in await tx.tenants()}
        if unknown := [name for name in names if name not in found]:
            raise UnknownTenant(f"There is no tenant {unknown[0][:60]!r}.")
        chosen = [found[name] for name in dict.fromkeys(names)] if names else list(found.values())
        members = [await self._member(tenant) for tenant in chosen if tenant.wanted is not Wanted.GONE]
        return self._composer(members, environment=environment, data=data)

    async def _member(self, tenant: Tenant) -> Member:
        agent = self._seating.agent(tenant)
        paths = agent.config_paths()
        there = await self._units.read(tenant.name, paths)
        return Member(
            blueprint=await self._seating.blueprint(tenant),
            port=self._seating.entrance(tenant).port,
            health=agent.health_command(tenant.spec),
            configs=[path for path in paths if path in there],
            variables=frozenset(tenant.spec.env) - frozenset(agent.env(tenant.spec)),
        )
