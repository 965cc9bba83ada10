"""The endpoints of OCMT's agent server, so that its clients keep working: containers by user id, wake and hibernate."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from innkeeper.api.admission import Guest, admitted_with_x_auth_token, needs
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.documents import seconds_since
from innkeeper.api.schema import Body, Document
from innkeeper.api.tenants import Name, may_wake
from innkeeper.api.waiting import until_over
from innkeeper.core.access import Action
from innkeeper.core.errors import TenantNotReady
from innkeeper.core.idle import quiet_since
from innkeeper.core.instance import State
from innkeeper.core.operations import Operation
from innkeeper.core.tenant import Tenant

WAIT_S = 60.0
"""OCMT's calls answer when it is done; nothing here takes longer than an agent's start."""

router = APIRouter(prefix="/api/containers", tags=["seeds"])

TheSeedGuest = Annotated[Guest, Depends(admitted_with_x_auth_token)]


class ContainerDocument(Document):
    """A tenant as OCMT calls it."""

    user_id: str = Field(alias="userId")
    hibernation_state: Literal["running", "paused", "stopped"] = Field(alias="hibernationState")
    idle_minutes: int = Field(alias="idleMinutes")


class Hibernate(Body):
    """How deep."""

    mode: Literal["pause", "stop"] = "pause"


@router.get("", summary="List containers (OCMT)")
@needs(Action.LOOK)
async def index(inn: TheInn, guest: TheSeedGuest) -> list[ContainerDocument]:
    """Every tenant that has an instance, with its idle time."""
    there = (tenant for tenant in inn.directory if tenant.seen.state is not State.ABSENT)
    return [_container(tenant, inn) for tenant in sorted(there, key=lambda tenant: tenant.name)]


@router.post("/{name}/wake", summary="Wake a container (OCMT)")
@needs(Action.STEER)
async def wake(name: Name, inn: TheInn, guest: TheSeedGuest, request: Request) -> ContainerDocument:
    """Wake it and wait until it is ready."""
    await may_wake(name, inn, guest)
    _, operation = await inn.control.wake(name, actor=guest.actor)
    return await _settled(operation, inn, request)


@router.post("/{name}/hibernate", summary="Put a container to sleep (OCMT)")
@needs(Action.STEER)
async def hibernate(
    name: Name, inn: TheInn, guest: TheSeedGuest, request: Request, body: Hibernate | None = None
) -> ContainerDocument:
    """Pause or stop it, and wait until it is."""
    _, operation = await inn.control.sleep(name, (body or Hibernate()).mode, actor=guest.actor)
    return await _settled(operation, inn, request)


async def _settled(operation: Operation, inn: Inn, request: Request) -> ContainerDocument:
    """Once it is over. It went wrong, or goes on after that long: told by the status, as with everything here."""
    ended = await until_over(inn.control.wait(operation.id, timeout_s=WAIT_S), request=request, inn=inn)
    if ended.error is not None:
        raise ended.error.problem()
    if not ended.status.ended:
        raise TenantNotReady(f"{operation.tenant} isn't there after {WAIT_S:.0f} s: {ended.progress.step}.")
    return _container(await inn.control.tenant(operation.tenant), inn)


def _container(tenant: Tenant, inn: Inn) -> ContainerDocument:
    idle_s = seconds_since(quiet_since(tenant, inn.directory.last_activity(tenant)), inn.clock.now())
    match tenant.seen.state:
        case State.RUNNING | State.STARTING:
            state: Literal["running", "paused", "stopped"] = "running"
        case State.PAUSED:
            state = "paused"
        case _:
            state = "stopped"
    return ContainerDocument.model_validate(
        {"userId": tenant.name, "hibernationState": state, "idleMinutes": (idle_s or 0) // 60}
    )
