"""The API's documents for backups."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from innkeeper.api.forms import Body, Document, ItemsOf
from innkeeper.api.operation_schema import OperationDocument, TroubleDocument
from innkeeper.core.backups import Overview
from innkeeper.core.redaction import redact
from innkeeper.core.snapshots import Origin, Snapshot


class VerifyBackup(Body):
    """How much is read."""

    whole: bool = False
    """Every byte of the repository that holds it, instead of a thirtieth."""


class RepairBackups(Body):
    """Where."""

    target: str | None = Field(default=None, max_length=40, examples=["local"])
    """Null: at every target."""


class SnapshotDocument(Document):
    """A snapshot: one state of a tenant's data, or of the control plane's database."""

    id: str = Field(examples=["snap_01kadn3v9f2q6m8x4c7r5t0w1y"])
    tenant: str | None
    """Its name then; null for the control plane's."""
    taken_at: datetime
    """The moment that it shows."""
    confirmed_at: datetime
    """When it was last known that nothing has changed since."""
    origin: Origin
    agent: str | None
    release: str | None
    revision: int | None
    good: bool
    """Whether it can be relied on: whole, consistent, and verified after it was written."""
    damaged: str | None
    """What is wrong with it."""
    damage: dict[str, str]
    """By target, what was lost of its copy there; others may be whole."""
    broken_databases: dict[str, str]
    """SQLite files that aren't whole, just as they weren't in the tenant's folder; it is good all the same."""
    verified_at: datetime | None
    proven_at: datetime | None
    """When a restored instance of it last worked."""
    consented: bool | None
    """Whether the agent had come to rest when it was frozen; null: it slept anyway."""
    frozen_ms: int
    """How long it stood still."""
    files: int
    bytes: int
    bytes_added: int
    databases: int
    """How many SQLite files that were written since the last one were found whole."""
    targets: list[str]
    """Where it lies."""
    operation: str | None


class SnapshotPage(ItemsOf[SnapshotDocument]):
    """A tenant's snapshots, the newest first."""


class BackupDocument(Document):
    """How a tenant's backups stand."""

    last_good: datetime | None
    """The newest moment that can be had back; null: none can."""
    age_s: int | None
    """How long ago that is, in seconds."""
    late: bool
    """A backup should have been made some time ago."""
    next_due: datetime | None
    """When the next one begins, or the next attempt; null: never by itself."""
    failures: int
    """Attempts in a row that went wrong."""
    error: TroubleDocument | None
    """Why the last one did."""


class OwnersBackupDocument(BackupDocument):
    """The same, with whose they are."""

    tenant: str | None
    """Null for the control plane's own database."""
    good: dict[str, datetime]
    """By target, the newest moment that can be had back from there."""
    proven_at: datetime | None
    """When one of its snapshots was last brought up by a drill: the last proven restore; null: none ever was."""


class BackupPage(ItemsOf[OwnersBackupDocument]):
    """How the backups of all tenants stand."""

    control: OwnersBackupDocument
    """The control plane's own database."""
    targets: list[str]
    """Where snapshots go to, the first first; none: backups are off."""


class BegunDocument(Document):
    """What was begun."""

    operations: list[OperationDocument]


def snapshot_document(snapshot: Snapshot) -> SnapshotDocument:
    """A snapshot as the API shows it."""
    tenants = bool(snapshot.tenant)
    return SnapshotDocument(
        id=snapshot.id,
        tenant=snapshot.tenant or None,
        taken_at=snapshot.taken_at,
        confirmed_at=snapshot.confirmed_at,
        origin=snapshot.origin,
        agent=snapshot.agent or None,
        release=snapshot.release or None,
        revision=snapshot.revision if tenants else None,
        good=snapshot.is_good,
        damaged=redact(snapshot.wrong) if snapshot.wrong else None,
        damage={target: redact(says) for target, says in snapshot.damage.items()},
        broken_databases={path: redact(says) for path, says in snapshot.broken.items()},
        verified_at=snapshot.verified_at,
        proven_at=snapshot.proven_at,
        consented=snapshot.consented,
        frozen_ms=snapshot.frozen_ms,
        files=snapshot.files,
        bytes=snapshot.bytes,
        bytes_added=snapshot.bytes_added,
        databases=snapshot.databases,
        targets=sorted(snapshot.copies),
        operation=snapshot.operation,
    )


def backup_document(one: Overview, now: datetime) -> BackupDocument:
    """How it stands, beside the tenant."""
    return BackupDocument.model_validate(_standing(one, now))


def overview_document(one: Overview, now: datetime, proven_at: datetime | None = None) -> OwnersBackupDocument:
    """How it stands, in a list of all."""
    return OwnersBackupDocument.model_validate(
        {**_standing(one, now), "tenant": one.tenant or None, "good": dict(one.good), "proven_at": proven_at}
    )


def _standing(one: Overview, now: datetime) -> dict[str, object]:
    last, error = one.standing.last_good, one.error
    return {
        "last_good": last,
        "age_s": None if last is None else max(0, int((now - last).total_seconds())),
        "late": one.standing.late,
        "next_due": one.standing.next_due,
        "failures": one.failures,
        "error": error and TroubleDocument(code=error.code, detail=redact(error.message), hint=error.hint or None),
    }
