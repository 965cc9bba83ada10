"""What the core needs of the host it runs on: folders, probes, tokens, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from innkeeper.core.ports.agents import ConfigFile, Probe


class Units(Protocol):
    """The tenants' folders on this host. Every path is walked without following links; UnitFault and DiskFull."""

    def persistence(self, tenant: str) -> str:
        """The folder that is mounted into the instance."""
        ...

    async def exists(self, tenant: str) -> bool: ...

    async def read(self, tenant: str, paths: Sequence[str]) -> Mapping[str, bytes]:
        """Those of the files (relative to persistence) that are there; links and oversize files count as not there."""
        ...

    async def write(self, tenant: str, files: Sequence[ConfigFile], *, compose: str, env: str) -> None:
        """Make the folder whole: each file is replaced in one rename, so that a crash leaves the old or the new."""
        ...

    async def erase(self, tenant: str) -> None:
        """Remove the folder and everything in it; one that isn't there is fine."""
        ...

    async def names(self) -> Sequence[str]:
        """The folders that there are."""
        ...


class Prober(Protocol):
    """Asks an instance over HTTP."""

    async def ask(self, address: str, probe: Probe) -> tuple[int, bytes] | None:
        """Status and the first 64 KiB of the body; None when nobody answered."""
        ...


class Tokens(Protocol):
    """Credentials that are derived from the keyring and stored nowhere."""

    def broker_token(self, tenant_id: str, epoch: int) -> str: ...
    def gateway_token(self, tenant_id: str, epoch: int) -> str: ...


class Clock(Protocol):
    """Time, so that tests can turn it."""

    def now(self) -> datetime: ...
