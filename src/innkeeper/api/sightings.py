"""What tenants take now, found by looking at a few of each kind: it takes no longer where there are thousands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from innkeeper.api.deps import Footprint, Inn
from innkeeper.api.documents import MB
from innkeeper.core.costs import Sightings
from innkeeper.core.hosts import Taken
from innkeeper.core.instance import State, Usage
from innkeeper.core.tenant import Tenant

SAMPLE = 8
"""So many of each agent are looked at in each state."""
_LIVE = (State.STARTING, State.RUNNING, State.PAUSED)


@dataclass(frozen=True, kw_only=True)
class Sighted:
    """What was seen."""

    agents: Mapping[str, Sightings]
    taken: Taken
    """By all tenants together, reckoned from those that were looked at."""


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Tenants that are alike: of one agent, in one state."""

    agent: str
    size: int
    resident_mb: Sequence[float]
    tasks: Sequence[float]
    seen: Sequence[Footprint]


async def look_around(inn: Inn) -> Sighted:
    """Look at some tenants of every agent."""
    kinds: dict[tuple[str, State], list[Tenant]] = {}
    agents: dict[str, list[Tenant]] = {}
    for tenant in inn.directory:
        agents.setdefault(tenant.spec.agent, []).append(tenant)
        if tenant.seen.state in _LIVE:
            kinds.setdefault((tenant.spec.agent, tenant.seen.state), []).append(tenant)
    groups = await asyncio.gather(*(_look(inn, agent, tenants) for (agent, _), tenants in kinds.items()))
    units = {agent: await inn.survey.units_mb([each.name for each in _some(all_)]) for agent, all_ in agents.items()}
    return Sighted(
        agents={agent: _sightings([each for each in groups if each.agent == agent], units[agent]) for agent in agents},
        taken=Taken(
            resident_mb=sum(each.size * (_mean(each.resident_mb) + _mean(_keepers_mb(each))) for each in groups),
            tasks=sum(each.size * _mean(each.tasks) for each in groups),
            units_mb=sum(len(agents[agent]) * _mean(sizes) for agent, sizes in units.items()),
        ),
    )


async def _look(inn: Inn, agent: str, tenants: Sequence[Tenant]) -> _Group:
    measured = await asyncio.gather(*(inn.measured.now(tenant, inn.runtime) for tenant in _some(tenants)))
    found: list[tuple[str, Usage]] = [
        ((instance and instance.id) or "", usage) for instance, usage in measured if usage is not None
    ]
    prints = await inn.survey.footprints({id_ for id_, _ in found if id_})
    return _Group(
        agent=agent,
        size=len(tenants),
        resident_mb=[usage.rss_bytes / MB for _, usage in found],
        tasks=[usage.pids + (prints[id_].keeper_tasks if id_ in prints else 0) for id_, usage in found],
        seen=list(prints.values()),
    )


def _some(tenants: Sequence[Tenant]) -> Sequence[Tenant]:
    """A few of them, from all over the list."""
    return tenants[:: max(1, -(-len(tenants) // SAMPLE))]


def _sightings(groups: Sequence[_Group], units_mb: Sequence[float]) -> Sightings:
    return Sightings(
        units_mb=units_mb,
        keepers_mb=[mb for each in groups for mb in _keepers_mb(each)],
        tasks=[number for each in groups for number in each.tasks],
        inotify=[seen.inotify for each in groups for seen in each.seen],
    )


def _keepers_mb(group: _Group) -> list[float]:
    return [seen.keeper_mb for seen in group.seen]


def _mean(figures: Sequence[float]) -> float:
    return fmean(figures) if figures else 0.0
