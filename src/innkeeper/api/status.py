"""/v1/status: the house at a glance."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

from fastapi import APIRouter

from innkeeper.api.admission import needs
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.machine import MB, MachineDocument, machine
from innkeeper.api.schema import Document
from innkeeper.core.access import Action
from innkeeper.core.instance import State
from innkeeper.core.ladder import Rung
from innkeeper.core.ports import MemoryNow

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


class RungDocument(Document):
    """A rung of the ladder that idle tenants go down."""

    rung: Rung
    available: bool
    why: str | None
    """Why this host can't offer it."""


class TenantsMemoryDocument(Document):
    """What tenants take together, of the agents' own memory, as the kernel counts it."""

    measured: int
    """How many were looked at: those that run or are frozen, and could be measured in time."""
    resident_mb: int
    swap_mb: int
    """Before compression."""
    zram_mb: int | None
    """What their part of the compressed swap takes of the RAM; null: there is none."""


class SleepingDocument(Document):
    """How sleep works here, and what it brings."""

    ladder: list[RungDocument]
    starting: int
    """How many tenants hold a place to start."""
    waiting: int
    """How many wait for one."""
    trimming: str
    """`on`, `off`, or why nobody is trimmed just now."""
    memory: TenantsMemoryDocument


class StatusDocument(Document):
    """The house at a glance."""

    version: str
    domain: str
    tenants: TenantsDocument
    open_operations: int
    """How many haven't ended; counted up to 1000."""
    parts: list[PartDocument]
    sleeping: SleepingDocument
    host: MachineDocument


@router.get("", summary="Look at the house")
@needs(Action.HOUSE)
async def status(inn: TheInn) -> StatusDocument:
    """Tenants by state, open operations, the parts that all rests on, and what is left of the host."""
    async with inn.store.look() as tx:
        counts = await tx.count_states()
        unfinished = await tx.operations(open_only=True, limit=OPEN_COUNTED)
    memory = await inn.measured.host(inn.memory)
    parts, host, sleeping = await asyncio.gather(
        inn.parts(), asyncio.to_thread(machine, inn.data, memory), _sleeping(inn, memory)
    )
    return StatusDocument(
        version=version("innkeeper"),
        domain=inn.hosting.domain,
        tenants=TenantsDocument(
            total=sum(counts.values()), by_state={state.value: counts.get(state.value, 0) for state in State}
        ),
        open_operations=len(unfinished),
        parts=[PartDocument(**vars(part)) for part in parts],
        sleeping=sleeping,
        host=host,
    )


async def _sleeping(inn: Inn, memory: MemoryNow | None) -> SleepingDocument:
    missing, turnstile, pager = inn.control.offer.missing, inn.dormitory.turnstile, inn.dormitory.pager
    usages = await inn.measured.all(inn.directory, inn.runtime)
    swap_mb = sum(usage.swap_bytes for usage in usages) // MB
    return SleepingDocument(
        ladder=[RungDocument(rung=rung, available=rung not in missing, why=missing.get(rung)) for rung in Rung],
        starting=turnstile.starting,
        waiting=turnstile.waiting,
        trimming=(pager.paused_why or "on") if pager.trim_after is not None else "off",
        memory=TenantsMemoryDocument(
            measured=len(usages),
            resident_mb=sum(usage.rss_bytes for usage in usages) // MB,
            swap_mb=swap_mb,
            zram_mb=memory.compressed_mb(swap_mb) if memory else None,
        ),
    )
