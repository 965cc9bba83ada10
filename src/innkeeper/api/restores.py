"""/v1/tenants/{name}/restore, /confirm and /v1/restorable: tenants brought back from their snapshots."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, Field

from innkeeper.api.admission import Guest, TheGuest, needs
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.documents import tenant_document
from innkeeper.api.once import MaybeOnce
from innkeeper.api.schema import Body, Document, ItemsOf, OperationDocument, TenantDocument, TenantName
from innkeeper.api.tenants import Name
from innkeeper.api.waiting import ACCEPTED, Wait, accepted, until_over
from innkeeper.core.access import Action
from innkeeper.core.errors import Forbidden, Invalid, UnknownTenant
from innkeeper.core.once import Once
from innkeeper.core.operations import Operation
from innkeeper.core.path_spelling import decoded
from innkeeper.core.restores import PATHS_MAX

router = APIRouter(tags=["backups"])


class RestoreTenant(Body):
    """What is to be restored, and to where. Without anything: the newest snapshot, in place."""

    snapshot: str | None = Field(default=None, max_length=80, examples=["snap_01kadn3v9f2q6m8x4c7r5t0w1y"])
    """A snapshot's id, or how that or its id in the repository begins (8 digits at least), or `latest`."""
    at: AwareDatetime | None = Field(default=None, examples=["2026-11-20T03:00:00Z"])
    """The newest snapshot that was taken by then."""
    as_name: TenantName | None = Field(default=None, alias="as")
    """Make another tenant of it, with an id, keys and tokens of its own; takes the right to create one."""
    paths: list[str] | None = Field(default=None, max_length=PATHS_MAX, examples=[["workspace/notes"]])
    """Only these of its data, relative to `persistence`, into the folder `into`; nothing that is there is replaced."""
    paths_encoded: list[str] | None = Field(default=None, max_length=PATHS_MAX, examples=[["workspace/caf%E9"]])
    """More of them, any byte of which may be written as %XX: for names that aren't UTF-8."""
    into: str | None = Field(default=None, max_length=1000)
    """A new folder of the tenant's data, relative to `persistence`; by default `workspace/restored-TIME`."""
    channels: bool = False
    """For a tenant that isn't here: its channels are on at once, for no other instance serves them."""
    secrets: bool = False
    """Secrets that are there get the value that they had then; takes the right to its secrets. Those that are missing
    come back in any case."""
    safety: bool = True
    """Whether the present state is snapshotted first."""
    id: str | None = Field(default=None, max_length=80, examples=["tn_01kadn3v9f2q6m8x4c7r5t0w1y"])
    """Of several tenants that had the name and aren't here, the one that is meant."""

    @property
    def all_paths(self) -> list[str] | None:
        """Those of both spellings; None where it isn't about single paths."""
        if self.paths is None and self.paths_encoded is None:
            return None
        return [*(self.paths or ()), *map(decoded, self.paths_encoded or ())]


class RestorableDocument(Document):
    """A tenant that isn't here and could be restored: its newest snapshot."""

    tenant: str
    tenant_id: str
    snapshot: str
    taken_at: datetime
    targets: list[str]
    """Where it lies."""


class RestorablePage(ItemsOf[RestorableDocument]):
    """All of them, on one page."""


@router.post("/tenants/{name}/restore", summary="Restore a tenant", **ACCEPTED)
@needs(Action.BACKUP)
async def restore(
    name: Name,
    request: Request,
    response: Response,
    inn: TheInn,
    guest: TheGuest,
    once: MaybeOnce,
    body: RestoreTenant | None = None,
    wait: Wait = 0,
) -> OperationDocument:
    """Have a snapshot take the tenant's place, become another tenant, or give back single paths.

    In place: the present state is snapshotted first and kept beside until the restored one is ready; else it comes back
    by itself, and the operation says why. Its tokens are new; its keys stay. Whoever may not change its spec gets the
    data back with the release that wrote it, and nothing else of the spec. A tenant that isn't here is made again from
    its newest snapshot, by whoever may create one.
    """
    operation = await _asked(body or RestoreTenant(), name, inn=inn, guest=guest, once=once, request=request)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


async def _asked(
    asked: RestoreTenant, name: str, *, inn: Inn, guest: Guest, once: Once | None, request: Request
) -> Operation:
    if asked.snapshot is not None and asked.at is not None:
        raise Invalid("It takes a snapshot or a time, not both.", field="at")
    if asked.all_paths is None and asked.into is not None:
        raise Invalid("`into` goes with `paths`.", field="into")
    if asked.all_paths is not None and asked.as_name is not None:
        raise Invalid("`paths` come into the tenant's own data, not into another's.", field="as")
    if asked.secrets and not guest.may(Action.SECRETS, name):
        raise Forbidden("This credential isn't for its secrets.", hint=f"It would need `{Action.SECRETS}`.")
    is_here = inn.directory.tenant(name) is not None
    if (asked.as_name is not None or not is_here) and not guest.may(Action.CREATE, None):
        if not is_here:
            raise UnknownTenant(f"There is no tenant {name}.")
        raise Forbidden("This credential isn't for making tenants.", hint=f"It would need `{Action.CREATE}`.")
    if asked.paths is not None and not is_here:
        raise UnknownTenant(
            f"There is no tenant {name} here whose data `paths` could come into.",
            hint=f"Have all of it as another one, `innkeeper restore {name} --as NEW`, and take them from there.",
        )
    work = _work(asked, name, is_here=is_here, inn=inn, guest=guest, once=once)
    return await until_over(work, request=request, inn=inn)


def _work(
    asked: RestoreTenant, name: str, *, is_here: bool, inn: Inn, guest: Guest, once: Once | None
) -> Coroutine[object, object, Operation]:
    snapshot, at, actor = asked.snapshot, asked.at, guest.actor
    if asked.as_name is not None:
        return inn.restores.as_other(
            name,
            asked.as_name,
            tenant_id=asked.id,
            channels_on=asked.channels,
            snapshot=snapshot,
            at=at,
            actor=actor,
            once=once,
        )
    if not is_here:
        return inn.restores.lost(
            name, tenant_id=asked.id, channels_on=asked.channels, snapshot=snapshot, at=at, actor=actor, once=once
        )
    if (paths := asked.all_paths) is not None:
        return inn.restores.paths(name, paths, into=asked.into, snapshot=snapshot, at=at, actor=actor, once=once)
    return inn.restores.in_place(
        name,
        whole_spec=guest.may(Action.CHANGE, name),
        replace_secrets=asked.secrets,
        safety=asked.safety,
        snapshot=snapshot,
        at=at,
        actor=actor,
        once=once,
    )


@router.post("/tenants/{name}/confirm", summary="Turn its channels on")
@needs(Action.STEER)
async def confirm(name: Name, inn: TheInn, guest: TheGuest) -> TenantDocument:
    """Say that no other instance of this tenant serves its channels: they are turned on, by a fresh instance. After a
    restore to another name, to a new host, or an import they are off until then. Asking twice does no harm."""
    return tenant_document(await inn.restores.confirm(name, actor=guest.actor), inn)


@router.get("/restorable", summary="List tenants that could be restored")
@needs(Action.CREATE)
async def restorable(
    request: Request,
    inn: TheInn,
    name: Annotated[str | None, Query(max_length=40, description="Only those who had this name.")] = None,
    tenant_id: Annotated[str | None, Query(alias="id", max_length=80, description="Only the one of this id.")] = None,
) -> RestorablePage:
    """The tenants that aren't here, whose keys the keyring has and of whom a target has a snapshot. Every repository is
    asked: it takes about a second for a few of them."""
    found = await until_over(inn.restores.restorable(name=name, tenant_id=tenant_id), request=request, inn=inn)
    return RestorablePage(
        items=[
            RestorableDocument(
                tenant=each.tenant,
                tenant_id=each.tenant_id,
                snapshot=each.id,
                taken_at=each.taken_at,
                targets=list(each.copies),
            )
            for each in found
        ]
    )
