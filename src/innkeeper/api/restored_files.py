"""/v1/tenants/{name}/restored-files: single paths of a snapshot as one tar, asked for, fetched and removed."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, Field

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.handed_out import check_secrets, file_routes
from innkeeper.api.once import MaybeOnce
from innkeeper.api.schema import Body, OperationDocument
from innkeeper.api.tenants import Name
from innkeeper.api.waiting import ACCEPTED, Wait, accepted, until_over
from innkeeper.core.access import Action
from innkeeper.core.errors import Invalid
from innkeeper.core.path_spelling import decoded
from innkeeper.core.restores import PATHS_MAX

router = APIRouter(prefix="/tenants/{name}/restored-files", tags=["backups"])


class CreateRestoredFiles(Body):
    """Which paths, and of which snapshot: without one the newest."""

    paths: list[str] = Field(default=[], max_length=PATHS_MAX, examples=[["workspace/notes"]])
    """Of its data, relative to `persistence`, with all below them."""
    paths_encoded: list[str] = Field(default=[], max_length=PATHS_MAX, examples=[["workspace/caf%E9"]])
    """More of them, any byte of which may be written as %XX: for names that aren't UTF-8."""
    snapshot: str | None = Field(default=None, max_length=80, examples=["snap_01kadn3v9f2q6m8x4c7r5t0w1y"])
    """A snapshot's id, or how its id in the repository begins (8 digits at least)."""
    at: AwareDatetime | None = Field(default=None, examples=["2026-11-20T03:00:00Z"])
    """The newest snapshot that was taken by then."""
    with_secrets: bool = False
    """Config files with the secrets in them, those of then and of now; takes the right to its secrets, too."""


@router.post("", summary="Restore files into a tar", **ACCEPTED)
@needs(Action.EXPORT)
async def create(
    name: Name,
    request: Request,
    response: Response,
    inn: TheInn,
    guest: TheGuest,
    once: MaybeOnce,
    body: CreateRestoredFiles,
    wait: Wait = 0,
) -> OperationDocument:
    """One tar of what a snapshot has at these paths: `NAME/persistence/…`, and a last member that proves that it is
    whole. Nothing of the tenant's is changed. The operation's `result` says what the file is called; it can be fetched
    for a day."""
    if body.snapshot is not None and body.at is not None:
        raise Invalid("It takes a snapshot or a time, not both.", field="at")
    if body.with_secrets:
        check_secrets(guest, name)
    begun = inn.restores.file(
        name,
        [*body.paths, *map(decoded, body.paths_encoded)],
        with_secrets=body.with_secrets,
        snapshot=body.snapshot,
        at=body.at,
        actor=guest.actor,
        once=once,
    )
    operation = await until_over(begun, request=request, inn=inn)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


file_routes(
    router, lambda inn: inn.restored_files, fetch_says="Fetch restored files", remove_says="Remove restored files"
)
