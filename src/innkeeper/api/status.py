"""/v1/status: the house at a glance."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

from fastapi import APIRouter

from innkeeper.api.deps import TheInn
from innkeeper.api.machine import MachineDocument, machine
from innkeeper.api.schema import Document
from innkeeper.core.instance import State

OPEN_COUNTED = 1000

router = APIRouter(prefix="/status", tags=["house"])


class PartDocument(Document):
    """A part of the system that the control plane relies on."""

    name: str
    up: bool
    version: str | None
    says: str | None
    """Why it isn't up."""


class TenantsDocument(Document):
    """How many tenants there are."""

    total: int
    by_state: dict[str, int]
    """By the state that was last seen; every state is there."""


class StatusDocument(Document):
    """The house at a glance."""

    version: str
    domain: str
    tenants: TenantsDocument
    open_operations: int
    """How many haven't ended; counted up to 1000."""
    parts: list[PartDocument]
    host: MachineDocument


@router.get("", summary="Look at the house")
async def status(inn: TheInn) -> StatusDocument:
    """Tenants by state, open operations, the parts that all rests on, and what is left of the host."""
    async with inn.store.look() as tx:
        counts = await tx.count_states()
        unfinished = await tx.operations(open_only=True, limit=OPEN_COUNTED)
    parts, host = await asyncio.gather(inn.parts(), asyncio.to_thread(machine, inn.data))
    return StatusDocument(
        version=version("innkeeper"),
        domain=inn.hosting.domain,
        tenants=TenantsDocument(
            total=sum(counts.values()), by_state={state.value: counts.get(state.value, 0) for state in State}
        ),
        open_operations=len(unfinished),
        parts=[PartDocument(**vars(part)) for part in parts],
        host=host,
    )
