"""/health, /ready and /metrics: for whoever watches the control plane itself."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials
from prometheus_client import CONTENT_TYPE_LATEST

from innkeeper import telemetry
from innkeeper.api.admission import admitted, bearer, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.schema import Document
from innkeeper.api.visitors import is_local
from innkeeper.api.waiting import Stopping
from innkeeper.core.access import Action
from innkeeper.core.instance import State

router = APIRouter(tags=["health"])


class HibernationDocument(Document):
    """Tenants by how deep they sleep. Those that failed are none of these: they aren't asleep, but down."""

    running: int
    paused: int
    stopped: int


class HealthDocument(Document):
    """That the control plane lives."""

    status: Literal["ok"] = "ok"
    containers: int
    hibernation: HibernationDocument


class ReadyDocument(Document):
    """That the control plane can take work."""

    status: Literal["ready"] = "ready"


@router.get("/health", summary="Is it alive?")
async def health(inn: TheInn) -> HealthDocument:
    """Open to everybody: that it lives, and how many instances there are."""
    async with inn.store.look() as tx:
        counts = await tx.count_states()

    def number(*states: State) -> int:
        return sum(counts.get(state, 0) for state in states)

    hibernation = HibernationDocument(
        running=number(State.RUNNING, State.STARTING),
        paused=number(State.PAUSED),
        stopped=number(State.STOPPED, State.SAVED),
    )
    containers = hibernation.running + hibernation.paused + hibernation.stopped + number(State.FAILED)
    return HealthDocument(containers=containers, hibernation=hibernation)


@router.get("/ready", summary="Can it take work?")
async def ready(inn: TheInn) -> ReadyDocument:
    """Open to everybody: 200 when the store answers and the server isn't being stopped, else 503."""
    if inn.stopping.is_set():
        raise Stopping("The control plane is stopping.")
    async with inn.store.look() as tx:
        await tx.count_states()
    return ReadyDocument()


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
@needs(Action.HOUSE)
async def metrics(
    request: Request, inn: TheInn, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Response:
    """Open on loopback, where the API listens unless told otherwise; from elsewhere it needs a credential."""
    if not is_local(request):
        await admitted(request, inn, credentials)
    async with inn.store.look() as tx:
        counts = await tx.count_states()
    telemetry.info.labels(version=version("innkeeper")).set(1)
    for state in State:
        telemetry.tenants.labels(state=state).set(counts.get(state, 0))
    return Response(telemetry.exposition(), media_type=CONTENT_TYPE_LATEST)
