"""/v1/tenants/{name}/hydrate and /unit: a tenant's packs delivered now, and how its folder stands."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.once import MaybeOnce
from innkeeper.api.pack_documents import HydrateTenant, UnitDocument, unit_document
from innkeeper.api.schema import OperationDocument
from innkeeper.api.tenants import Name
from innkeeper.api.waiting import ACCEPTED, Wait, accepted
from innkeeper.core.access import Action
from innkeeper.core.errors import Forbidden
from innkeeper.core.operations import OperationKind
from innkeeper.core.packs import checked_packs

router = APIRouter(prefix="/tenants/{name}", tags=["packs"])


@router.get("/unit", summary="Look at a tenant's folder")
@needs(Action.LOOK)
async def show(name: Name, inn: TheInn) -> UnitDocument:
    """Which packs it was delivered, which it is to have, which files both have changed, and what it takes."""
    standing = await inn.hydration.standing(name)
    sizes = await inn.survey.units_mb([name])
    return unit_document(standing, auto=inn.hydration.auto, disk_bytes=round(sizes[0] * (1 << 20)) if sizes else None)


@router.post("/hydrate", summary="Deliver a tenant's packs", **ACCEPTED)
@needs(Action.STEER)
async def hydrate(
    name: Name,
    request: Request,
    response: Response,
    inn: TheInn,
    guest: TheGuest,
    once: MaybeOnce,
    body: HydrateTenant | None = None,
    wait: Wait = 0,
) -> OperationDocument:
    """Merge its packs into its workspace, whether it runs or not: what it hasn't touched is updated, what it has
    changed stays. The operation's `result` names every file that moved."""
    asked = body or HydrateTenant()
    packs = checked_packs(asked.packs) if asked.packs else ()
    if packs and not guest.may(Action.CHANGE, name):
        raise Forbidden("Which packs a tenant gets is for operators to say.", hint="Leave `packs` out.")
    operation = await inn.works.begin(
        OperationKind.HYDRATE,
        name,
        detail={"dry_run": asked.dry_run, "force": asked.force, "packs": list(packs)},
        actor=guest.actor,
        once=once,
    )
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)
