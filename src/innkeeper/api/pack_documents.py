"""Packs, and what tenants were delivered of them, as the API shows them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from innkeeper.api.forms import Body, Document, ItemsOf
from innkeeper.core.hydration import UnitStanding
from innkeeper.core.packs import PACKS_MAX, PackRelease


class PackDocument(Document):
    """A version of a pack."""

    name: str
    version: str
    title: str
    digest: str
    """SHA-256 over its manifest and every file; a version never changes."""
    files: int
    size: int
    """In bytes."""
    added_at: datetime
    added_by: str
    """Who added it, as the audit trail names them."""


class PackPage(ItemsOf[PackDocument]):
    """All packs."""


class HydrateTenant(Body):
    """How to deliver."""

    dry_run: bool = False
    """Only say in the operation's `result` what would be done."""
    force: bool = False
    """Overwrite what the tenant has changed; the old one is saved beside it as `NAME.old`. What it has deleted stays
    deleted."""
    packs: list[str] | None = Field(default=None, max_length=PACKS_MAX, examples=[["core@3"]])
    """Only these, `NAME` or `NAME@VERSION`, also ones that it isn't given by its spec; for operators. Null: all that it
    is to have."""


class UnitPackDocument(Document):
    """A pack of a tenant's."""

    name: str
    version: str | None
    """What it was last delivered; null: nothing yet."""
    delivered_at: datetime | None
    wanted: str | None
    """What it is to have now; null: none any more, or there is no such version."""
    current: bool


class ConflictDocument(Document):
    """A file that the tenant has changed and a new version of its pack, too."""

    path: str
    """The tenant's own, which stays as it is."""
    beside: str | None
    """Where the pack's new version lies. Settled as soon as that is gone, or is what lies at `path`; null: no name was
    free."""
    pack: str
    version: str
    at: datetime


class UnitDocument(Document):
    """A tenant's folder: what was delivered there, and what is to be settled."""

    tenant: str
    hydrate: str
    """`auto`: new versions are delivered at the next start; `manual`: when somebody asks."""
    packs: list[UnitPackDocument]
    conflicts: list[ConflictDocument]
    disk_bytes: int | None
    """What the folder takes on the disk; null: too much in it to look through, or not there yet."""


def pack_document(release: PackRelease) -> PackDocument:
    """A version of a pack."""
    return PackDocument(**vars(release))


def unit_document(standing: UnitStanding, *, auto: bool, disk_bytes: int | None) -> UnitDocument:
    """A tenant's folder."""
    return UnitDocument(
        tenant=standing.tenant.name,
        hydrate="auto" if auto else "manual",
        packs=[
            UnitPackDocument(
                name=each.name,
                version=each.received.version if each.received else None,
                delivered_at=each.received.at if each.received else None,
                wanted=each.wanted,
                current=each.received is not None and each.received.version == each.wanted,
            )
            for each in standing.packs
        ],
        conflicts=[
            ConflictDocument(path=path, beside=each.beside, pack=each.pack, version=each.version, at=each.at)
            for path, each in standing.conflicts.items()
        ],
        disk_bytes=disk_bytes,
    )
