"""/v1/backups and /v1/tenants/{name}/backups: snapshots, taken, listed, verified and dropped."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.backup_documents import (
    BackupPage,
    BegunDocument,
    RepairBackups,
    SnapshotDocument,
    SnapshotPage,
    VerifyBackup,
    overview_document,
    snapshot_document,
)
from innkeeper.api.deps import TheInn
from innkeeper.api.documents import operation_document
from innkeeper.api.once import MaybeOnce
from innkeeper.api.pages import Page, cursor_after
from innkeeper.api.schema import OperationDocument
from innkeeper.api.tenants import Name
from innkeeper.api.waiting import ACCEPTED, Wait, accepted
from innkeeper.core.access import Action
from innkeeper.core.operations import OperationKind

router = APIRouter(tags=["backups"])

SnapshotId = Annotated[str, Path(description="The snapshot's id, as listed.", max_length=100)]


@router.get("/backups", summary="How do the backups stand?")
@needs(Action.HOUSE)
async def overview(inn: TheInn, page: Page) -> BackupPage:
    """Of each tenant, and of the control plane's own database: the age of what can be had back, and what is wrong."""
    found, more = page.cut(await inn.backups.overview(after=page.after, limit=page.take))
    now = inn.clock.now()
    return BackupPage(
        items=[overview_document(one, now, inn.proofs.proven_at(one.tenant, one.owner)) for one in found],
        next_cursor=cursor_after(found[-1].tenant) if more else None,
        control=overview_document(await inn.backups.how_control(), now),
        targets=list(inn.backups.targets),
    )


@router.get("/backups/control", summary="List snapshots of the control plane's database")
@needs(Action.HOUSE)
async def of_control(inn: TheInn) -> SnapshotPage:
    """The newest first, all on one page."""
    return SnapshotPage(items=[snapshot_document(each) for each in await inn.backups.of_control()])


@router.post("/backups/control", summary="Back up the control plane's database", **ACCEPTED)
@needs(Action.BACKUP)
async def create_of_control(
    request: Request, response: Response, inn: TheInn, guest: TheGuest, once: MaybeOnce, wait: Wait = 0
) -> OperationDocument:
    """A snapshot of it as it is now, while it is in use."""
    operation = await inn.backups.create_of_control(actor=guest.actor, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


@router.post("/backups/control/repair", summary="Mend the repositories of the control plane's database", **ACCEPTED)
@needs(Action.BACKUP)
async def repair_of_control(
    request: Request,
    response: Response,
    inn: TheInn,
    guest: TheGuest,
    once: MaybeOnce,
    body: RepairBackups | None = None,
    wait: Wait = 0,
) -> OperationDocument:
    """As with a tenant's."""
    operation = await inn.backups.repair_of_control((body or RepairBackups()).target, actor=guest.actor, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


@router.post("/backups/prune", summary="Drop what needn't be kept, of everybody", status_code=202)
@needs(Action.BACKUP)
async def prune_all(inn: TheInn, guest: TheGuest) -> BegunDocument:
    """It is done by itself after each backup; this also tidies up behind runs that died. An operation for each."""
    begun = [await inn.backups.create_of_control(actor=guest.actor, kind=OperationKind.RETAIN)]
    for one in await inn.backups.overview():
        begun.append(await inn.backups.prune(one.tenant, actor=guest.actor))  # noqa: PERF401 - one after the other
    return BegunDocument(operations=[operation_document(each) for each in begun])


@router.get("/tenants/{name}/backups", summary="List a tenant's snapshots")
@needs(Action.LOOK)
async def index(name: Name, inn: TheInn) -> SnapshotPage:
    """The newest first, all on one page. Those of a tenant that was deleted without its data are kept."""
    return SnapshotPage(items=[snapshot_document(each) for each in await inn.backups.all(name)])


@router.post("/tenants/{name}/backups", summary="Back a tenant up", **ACCEPTED)
@needs(Action.BACKUP)
async def create(
    name: Name, request: Request, response: Response, inn: TheInn, guest: TheGuest, once: MaybeOnce, wait: Wait = 0
) -> OperationDocument:
    """A snapshot of it as it is now; a sleeper isn't woken. One that is under way is answered with."""
    operation = await inn.backups.create(name, actor=guest.actor, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


@router.post("/tenants/{name}/backups/prune", summary="Drop what needn't be kept", **ACCEPTED)
@needs(Action.BACKUP)
async def prune(
    name: Name, request: Request, response: Response, inn: TheInn, guest: TheGuest, once: MaybeOnce, wait: Wait = 0
) -> OperationDocument:
    """What its plan doesn't keep goes, and the targets are tidied up."""
    operation = await inn.backups.prune(name, actor=guest.actor, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


@router.post("/tenants/{name}/backups/repair", summary="Mend what a target has damaged", **ACCEPTED)
@needs(Action.BACKUP)
async def repair(
    name: Name,
    request: Request,
    response: Response,
    inn: TheInn,
    guest: TheGuest,
    once: MaybeOnce,
    body: RepairBackups | None = None,
    wait: Wait = 0,
) -> OperationDocument:
    """All of the tenant's repositories are read, or the one at that target; files that aren't as they were written
    are put aside, and what another target has is copied back. One that is under way is answered with."""
    operation = await inn.backups.repair(name, (body or RepairBackups()).target, actor=guest.actor, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


@router.get("/tenants/{name}/backups/{snapshot_id}", summary="Look at a snapshot")
@needs(Action.LOOK)
async def show(name: Name, snapshot_id: SnapshotId, inn: TheInn) -> SnapshotDocument:
    """What is known of it."""
    return snapshot_document(await inn.backups.one(name, snapshot_id))


@router.post("/tenants/{name}/backups/{snapshot_id}/verify", summary="Verify a snapshot", **ACCEPTED)
@needs(Action.BACKUP)
async def verify(
    name: Name,
    snapshot_id: SnapshotId,
    request: Request,
    response: Response,
    inn: TheInn,
    guest: TheGuest,
    once: MaybeOnce,
    body: VerifyBackup | None = None,
    wait: Wait = 0,
) -> OperationDocument:
    """Look whether all that it refers to is there, at every target, and read a part of the data again, or all."""
    whole = (body or VerifyBackup()).whole
    operation = await inn.backups.verify(name, snapshot_id, whole=whole, actor=guest.actor, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)
