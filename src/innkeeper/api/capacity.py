"""/v1/capacity: how many tenants this host can hold, from what was measured on it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query

from innkeeper.api import capacity_documents as documents
from innkeeper.api.admission import needs
from innkeeper.api.capacity_documents import CapacityDocument
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.sightings import Sighted, look_around
from innkeeper.core.access import Action
from innkeeper.core.capacity import Demand, rungs_of, table
from innkeeper.core.costs import Costs, Sightings, costs_of
from innkeeper.core.errors import Invalid
from innkeeper.core.hosts import Host, Resize, emptied, resized
from innkeeper.core.ladder import Rung, SleepPolicy
from innkeeper.core.past import together

router = APIRouter(prefix="/capacity", tags=["house"])

MOST_MB = 1 << 30
"""A petabyte: no host has more of anything."""


def _megabytes(description: str) -> object:
    return Query(description=description, ge=0, le=MOST_MB, allow_inf_nan=False)


@router.get("", summary="How many tenants fit?")
@needs(Action.HOUSE)
async def capacity(
    inn: TheInn,
    agent: Annotated[
        str | None, Query(description="Only this agent, also where it has no tenant yet.", max_length=80)
    ] = None,
    preset: Annotated[
        str | None, Query(description="The sleep policy; the installation's own if not said.", max_length=40)
    ] = None,
    memory_mb: Annotated[float | None, _megabytes("What if the host had so much memory?")] = None,
    cpus: Annotated[float | None, Query(description="So many processors?", gt=0, le=4096, allow_inf_nan=False)] = None,
    zram_mb: Annotated[float | None, _megabytes("Zram of that size, before compression?")] = None,
    zram_ratio: Annotated[
        float | None, Query(description="Compressed so well?", ge=1, le=100, allow_inf_nan=False)
    ] = None,
    swap_mb: Annotated[float | None, _megabytes("So much swap on disk?")] = None,
    reserve_mb: Annotated[float | None, _megabytes("How much memory to leave alone; as the settings say.")] = None,
    wakes_per_day: Annotated[
        float, Query(description="Cold starts of one tenant.", gt=0, le=86400, allow_inf_nan=False)
    ] = Demand.wakes_per_day,
    burst: Annotated[
        float,
        Query(description="How many times the average the busiest minutes see.", ge=1, le=1440, allow_inf_nan=False),
    ] = Demand.burst,
) -> CapacityDocument:
    """What a tenant of each agent costs here, measured; how many fit on this host or on one like it, by what limits
    them; and beside that what others claim."""
    if memory_mb == 0:
        raise Invalid("A host without memory holds nobody.", field="memory_mb", hint="Say more than 0 MB.")
    policy = _policy(inn, preset or inn.control.preset)
    names = [inn.control.agent(agent).name] if agent else sorted({tenant.spec.agent for tenant in inn.directory})
    found, sighted = await asyncio.gather(inn.survey.premises(), look_around(inn))
    resize = Resize(
        memory_mb=memory_mb,
        cpus=cpus,
        zram_mb=zram_mb,
        zram_ratio=zram_ratio,
        swap_mb=swap_mb,
        reserve_mb=reserve_mb,
    )
    host = resized(emptied(found, sighted.taken, reserve_mb=inn.dormitory.room.reserve_mb), resize)
    demand = Demand(wakes_per_day=wakes_per_day, burst=burst)
    rungs = rungs_of(policy, tuple(inn.control.offer.missing))
    return CapacityDocument(
        measured_at=inn.clock.now(),
        host=documents.host_document(host, what_if=resize != Resize()),
        policy=documents.policy_document(policy, inn.control.offer.missing),
        demand=documents.DemandDocument(wakes_per_day=wakes_per_day, burst=burst),
        agents=[await asyncio.to_thread(_agent_document, inn, name, sighted, host, rungs, demand) for name in names],
    )


def _policy(inn: Inn, name: str) -> SleepPolicy:
    presets = inn.control.presets
    if name not in presets:
        hint = f"There are: {', '.join(presets)}."
        raise Invalid(f"There is no preset {name[:40]!r}.", field="preset", hint=hint)
    return replace(presets[name], preset=name)


def _agent_document(
    inn: Inn, name: str, sighted: Sighted, host: Host, rungs: list[Rung], demand: Demand
) -> documents.AgentCapacityDocument:
    costs, tenants = _costs(inn, name, sighted, host)
    return documents.agent_document(
        name,
        tenants=tenants,
        costs=costs,
        host=host,
        rows=table(costs, host, rungs, demand),
        rungs=rungs,
        demand=demand,
    )


def _costs(inn: Inn, name: str, sighted: Sighted, host: Host) -> tuple[Costs, int]:
    tenants = [tenant for tenant in inn.directory if tenant.spec.agent == name]
    agent = inn.control.agents.get(name)  # a later version may know fewer than there are tenants of
    limits = [tenant.spec.limits for tenant in tenants] or ([agent.limits] if agent else [])
    costs = costs_of(
        together(inn.dormitory.chronicle.past(tenant) for tenant in tenants),
        sighted.agents.get(name, Sightings()),
        limit_mb=max(each.memory_mb for each in limits),
        cpus=min(host.cpus, max(each.cpus for each in limits)),
        zram_ratio=host.zram_ratio,
    )
    return costs, len(tenants)
