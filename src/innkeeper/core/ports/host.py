"""What the core needs of the host it runs on: folders, probes, tokens, time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from innkeeper.core.ports.agents import ConfigFile, Probe


class Extent(NamedTuple):
    """How much there is in a folder."""

    files: int
    """All that isn't a folder: links, too."""
    folders: int
    bytes: int
    """What it occupies on the disk; files with several names counted once."""


class Units(Protocol):
    """The tenants' folders on this host. Every path is walked without following links; UnitFault and DiskFull."""

    def persistence(self, tenant: str) -> str:
        """The folder that is mounted into the instance."""
        ...

    async def exists(self, tenant: str) -> bool: ...

    async def read(self, tenant: str, paths: Sequence[str]) -> Mapping[str, bytes]:
        """Those of the files (relative to persistence) that are there; links and oversize files count as not there."""
        ...

    async def write(
        self, tenant: str, files: Sequence[ConfigFile], *, compose: str, env: str, variables: Mapping[str, str] = {}
    ) -> None:
        """Make the folder whole: each file is replaced in one rename, so that a crash leaves the old or the new.

        `variables` are the spec's own environment, kept as a file for compose files that don't quote it.
        """
        ...

    async def erase(self, tenant: str) -> None:
        """Remove the folder and everything in it; one that isn't there is fine."""
        ...

    async def extent(self, tenant: str) -> Extent | None:
        """How much is in the folder; None where there is none, or too much of it to be counted."""
        ...

    async def names(self) -> Sequence[str]:
        """The folders that there are."""
        ...


class Prober(Protocol):
    """Asks an instance over HTTP."""

    async def ask(self, address: str, probe: Probe) -> tuple[int, bytes] | None:
        """Status and the first 64 KiB of the body; None when nobody answered."""
        ...


@dataclass(frozen=True, kw_only=True)
class Moves:
    """The tenants' addresses on whose open connections more than keep-alives moved."""

    in_use: Collection[str]
    """Just now, and over the last minute more than pings amount to."""
    knocked_at: Collection[str]
    """Since the last look."""
    awaited: Collection[str] = ()
    """Something was said to them lately, and they haven't said anything since: an answer is awaited."""


class Movements(Protocol):
    """Looks at the open connections between this host and the tenants."""

    async def look(self) -> Moves:
        """What moved; the first look has nothing to compare with."""
        ...


class Endpoint(NamedTuple):
    """A client's end of its connection to the edge."""

    ip: str
    """In its usual form, without a zone; that of an IPv4 client is IPv4, whatever the edge's socket."""
    port: int


class Connections(Protocol):
    """The TCP connections of the edge's own process, seen and ended from outside of it; nobody else's are touched.

    One that is gone is no error, so everything can be done again. While connections come and go a look may miss one
    that is open: what isn't seen twice in a row is gone. RuntimeFault where this host lets us do neither of the two.
    """

    async def clients(self) -> frozenset[Endpoint]:
        """The other ends of those that clients have opened."""
        ...

    async def upstreams(self) -> Mapping[str, frozenset[int]]:
        """Those that the edge has opened: the kernel's cookie of each, which never means another, by address."""
        ...

    async def sever(self, endpoints: Collection[Endpoint]) -> int:
        """End those that were opened from there; how many. Whatever they carry ends, on both sides and at once."""
        ...

    async def sever_upstream(self, addresses: Collection[str], *, only: Collection[int] | None = None) -> int:
        """End those that the edge has opened to these addresses, or of these only the ones with such a cookie; how
        many. Clients that were being served over them lose what was under way, not their own connection."""
        ...


@dataclass(frozen=True, kw_only=True)
class MemoryNow:
    """The host's memory at one moment."""

    total_mb: int
    available_mb: int
    """What could be had without swapping."""
    swap_mb: int = 0
    swap_free_mb: int = 0
    zram_stored_mb: int = 0
    """What lies in compressed swap, before compression …"""
    zram_memory_mb: int = 0
    """… and what it takes of the memory there."""
    swapped_in_pages: int = 0
    """How many pages were ever read back from swap."""
    stalled_share: float | None = None
    """Of the last ten seconds, the share in which somebody waited for memory; None where the kernel doesn't tell."""

    @property
    def swap_used_mb(self) -> int:
        """What lies in swap, before compression."""
        return self.swap_mb - self.swap_free_mb

    def compressed_mb(self, swapped_mb: float) -> int | None:
        """What so much of what lies in swap takes of the memory, as everybody's does on average: compressed swap is
        filled first, and what is on disk takes none. None where there is no compressed swap."""
        if not self.zram_stored_mb:
            return None
        share_in_zram = min(1.0, self.zram_stored_mb / max(1, self.swap_used_mb))
        return round(swapped_mb * share_in_zram * self.zram_memory_mb / self.zram_stored_mb)


class HostMemory(Protocol):
    """Looks at the host's memory."""

    async def now(self) -> MemoryNow:
        """As the kernel tells it; takes well under a millisecond."""
        ...


class Tokens(Protocol):
    """Credentials that are derived from the tenant's data key and stored nowhere; of one whose key was destroyed they
    are others each time, so that nobody has them. KeyringFault where the key doesn't open."""

    def broker_token(self, tenant_id: str, epoch: int) -> str: ...
    def gateway_token(self, tenant_id: str, epoch: int) -> str: ...
    def door_seal(self, session_id: str, tenant_id: str) -> str:
        """What proves at a tenant's door that the session was let in there."""
        ...


class Seals(Protocol):
    """Encryption with each tenant's data key, which the database doesn't hold: alone it gives nothing away."""

    def seal(self, tenant_id: str, name: str, plain: bytes) -> bytes:
        """`plain`, readable only as what goes by that name with that tenant. Raises KeyDestroyed, KeyringFault."""
        ...

    def unseal(self, tenant_id: str, name: str, sealed: bytes) -> bytes:
        """What was sealed so; raises a Problem where it wasn't, or was with a key that is gone."""
        ...

    def fingerprint(self, tenant_id: str, content: bytes) -> str:
        """The same for the same content, and nothing that could be guessed from."""
        ...


class Clock(Protocol):
    """Time, so that tests can turn it."""

    def now(self) -> datetime: ...
