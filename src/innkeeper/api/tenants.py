"""/v1/tenants: created, listed, looked at, changed, deleted, woken, put to sleep and restarted."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from innkeeper.api.admission import Guest, TheGuest, needs
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.documents import tenant_document
from innkeeper.api.once import MaybeOnce
from innkeeper.api.pages import Page, cursor_after
from innkeeper.api.schema import (
    ChangeTenant,
    CreateTenant,
    CustomBody,
    InboxPathBody,
    LimitsBody,
    OperationDocument,
    SleepBody,
    SleepTenant,
    SpecBody,
    TenantDocument,
    TenantPage,
)
from innkeeper.api.waiting import ACCEPTED, Wait, accepted
from innkeeper.core.access import Action
from innkeeper.core.errors import TenantAsleep, UnknownTenant
from innkeeper.core.ladder import TIERS
from innkeeper.core.openings import InboxPath
from innkeeper.core.specs import LimitsPatch, SpecPatch
from innkeeper.core.tenant import NAME, CustomAgent, Wanted

router = APIRouter(prefix="/tenants", tags=["tenants"])


def _name(
    name: Annotated[str, Path(description="The tenant's name.", json_schema_extra={"pattern": f"^{NAME.pattern}$"})],
) -> str:
    if not NAME.fullmatch(name):
        raise UnknownTenant(f"There is no tenant {name[:60]!r}.")
    return name


Name = Annotated[str, Depends(_name)]
"""The tenant's name in the path; what can't be one isn't one, and never reaches the store."""


@router.post("", summary="Create a tenant", **ACCEPTED)
@needs(Action.CREATE)
async def create(
    body: CreateTenant,
    request: Request,
    response: Response,
    inn: TheInn,
    guest: TheGuest,
    once: MaybeOnce,
    wait: Wait = 0,
) -> OperationDocument:
    """Write down a new tenant; the answer is the operation that provisions it."""
    _, operation = await inn.control.create(
        body.name,
        body.agent,
        spec_patch(body),
        actor=guest.actor,
        wanted=body.wanted,
        adopt=body.adopt,
        once=once,
    )
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


@router.get("", summary="List tenants")
@needs(Action.SELF)
async def index(inn: TheInn, guest: TheGuest, page: Page) -> TenantPage:
    """All tenants that one may look at, by name. `memory` is what was measured last, if that was lately; a list never
    looks."""
    async with inn.store.look() as tx:
        if guest.may(Action.LOOK, None):
            read = await tx.tenants(after=page.after, limit=page.take)
        else:
            names = [name for name in guest.tenants if name > page.after]
            read = [tenant for name in names[: page.take] if (tenant := await tx.tenant(name))]
        found, more = page.cut(read)
    host = await inn.measured.host(inn.memory)
    items = [tenant_document(tenant, inn, inn.measured.last(tenant), host) for tenant in found]
    return TenantPage(items=items, next_cursor=cursor_after(found[-1].name) if more else None)


@router.get("/{name}", summary="Look at a tenant")
@needs(Action.LOOK)
async def show(name: Name, inn: TheInn) -> TenantDocument:
    """The tenant as it should be and as it was last seen, with its memory measured now."""
    tenant = await inn.control.tenant(name)
    _, usage = await inn.measured.now(tenant, inn.runtime)
    host, backup = await inn.measured.host(inn.memory), await inn.backups.how(tenant)
    return tenant_document(tenant, inn, usage, host, backup)


@router.patch("/{name}", summary="Change a tenant", **ACCEPTED)
@needs(Action.CHANGE)
async def change(
    name: Name,
    body: ChangeTenant,
    request: Request,
    response: Response,
    inn: TheInn,
    guest: TheGuest,
    once: MaybeOnce,
    wait: Wait = 0,
) -> OperationDocument:
    """A new revision of the spec, or another wanted state. Where the instance has to be made anew, it is."""
    _, operation = await inn.control.update(name, spec_patch(body), actor=guest.actor, wanted=body.wanted, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


@router.delete("/{name}", summary="Delete a tenant", **ACCEPTED)
@needs(Action.DELETE)
async def delete(
    name: Name,
    request: Request,
    response: Response,
    inn: TheInn,
    guest: TheGuest,
    once: MaybeOnce,
    purge: Annotated[bool, Query(description="Remove its data, too. Without it the folder stays.")] = False,
    wait: Wait = 0,
) -> OperationDocument:
    """Remove the tenant: its instance, keys and routes, and with `purge` its data. Asking twice does no harm."""
    _, operation = await inn.control.delete(name, purge=purge, actor=guest.actor, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


async def may_wake(name: str, inn: Inn, guest: Guest) -> None:
    """Raise TenantAsleep for one that was put to sleep by order, perhaps for not paying: its own people can't undo
    that."""
    if guest.actor.role is None and (await inn.control.tenant(name)).wanted is Wanted.ASLEEP:
        raise TenantAsleep(f"{name} was put to sleep by its operator.", hint="Ask the operator to wake it.")


@router.post("/{name}/wake", summary="Wake a tenant", **ACCEPTED)
@needs(Action.WAKE)
async def wake(
    name: Name, request: Request, response: Response, inn: TheInn, guest: TheGuest, once: MaybeOnce, wait: Wait = 0
) -> OperationDocument:
    """Bring it up, from whatever depth of sleep; the operation ends when it is ready."""
    await may_wake(name, inn, guest)
    _, operation = await inn.control.wake(name, actor=guest.actor, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


@router.post("/{name}/sleep", summary="Put a tenant to sleep", **ACCEPTED)
@needs(Action.STEER)
async def sleep(
    name: Name,
    request: Request,
    response: Response,
    inn: TheInn,
    guest: TheGuest,
    once: MaybeOnce,
    body: SleepTenant | None = None,
    wait: Wait = 0,
) -> OperationDocument:
    """Down to the given tier; the next request wakes it."""
    tier = (body or SleepTenant()).tier
    if TIERS.get(tier) in inn.control.offer.missing:
        await inn.dormitory.sweeper.probe()  # swap may have been added since this host was last asked
    _, operation = await inn.control.sleep(name, tier, actor=guest.actor, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


@router.post("/{name}/restart", summary="Restart a tenant", **ACCEPTED)
@needs(Action.STEER)
async def restart(
    name: Name, request: Request, response: Response, inn: TheInn, guest: TheGuest, once: MaybeOnce, wait: Wait = 0
) -> OperationDocument:
    """A fresh instance of the same spec; this is also how a failed tenant is tried again."""
    _, operation = await inn.control.restart(name, actor=guest.actor, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


def spec_patch(body: SpecBody) -> SpecPatch:
    """What the body asks for, in the core's words."""
    return SpecPatch(
        release=body.release,
        image=body.image,
        mode=body.mode,
        limits=_limits(body.limits) if body.limits else None,
        sleep=_sleep(body.sleep) if body.sleep else None,
        env=body.env,
        hostnames=tuple(body.hostnames) if body.hostnames is not None else None,
        access=body.access,
        custom=_custom(body.custom) if body.custom else None,
        public_paths=tuple(body.public_paths) if body.public_paths is not None else None,
        inbox=tuple(_inbox(each) for each in body.inbox) if body.inbox is not None else None,
        config=body.config,
        uses=body.uses.model_dump(exclude_unset=True) if body.uses else None,
        packs=tuple(body.packs) if body.packs is not None else None,
    )


def _limits(body: LimitsBody) -> LimitsPatch:
    return LimitsPatch(**body.model_dump())


def _sleep(body: SleepBody) -> dict[str, Any]:
    return body.model_dump(exclude_unset=True)  # null means never, left out means as it is


def _inbox(body: InboxPathBody) -> InboxPath:
    return InboxPath(path=body.path, id=body.id, port=body.port)


def _custom(body: CustomBody) -> CustomAgent:
    return CustomAgent(
        image=body.image,
        port=body.port,
        health_path=body.health_path,
        command=tuple(body.command),
        mount=body.mount,
    )
