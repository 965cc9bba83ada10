"""The documents of /v1/capacity, and how they are made from the core's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from innkeeper.api.schema import Document, SkippedDocument
from innkeeper.core.capacity import Demand, Row, cold_starts_per_day, cold_starts_per_minute
from innkeeper.core.claims import HOST_CLAIMS, MEMORY_CLAIMS, beside, memory_beside
from innkeeper.core.costs import NAMES, Costs, Figure, Source
from innkeeper.core.hosts import Host
from innkeeper.core.ladder import WINDOWS, Rung, SleepPolicy, timing


class FigureDocument(Document):
    """A figure with where it comes from; null where it isn't known."""

    source: Source
    """`measured` here, `bound` (reckoned so that it can't be more), `given`, `assumed`, or `missing`."""
    mean: float | None
    """For what adds up over many tenants."""
    usual: float | None
    worst: float | None
    samples: int
    says: str | None
    """How it gets measured, or what it rests on."""


class CostsDocument(Document):
    """What one tenant of an agent costs here: megabytes, seconds, numbers."""

    awake_mb: FigureDocument
    """The most of its memory that is resident after a cold start."""
    returned_mb: FigureDocument
    """The same after it came back from swap, where a part of it stays."""
    trimmed_mb: FigureDocument
    """The same after it was trimmed while it ran."""
    paused_mb: FigureDocument
    paged_mb: FigureDocument
    """What stays resident when it is paged out."""
    swapped_mb: FigureDocument
    """What it occupies in swap then, before compression."""
    zram_mb: FigureDocument
    """What that takes of the memory, where it lies in zram."""
    unit_mb: FigureDocument
    """Its folder on the disk."""
    keeper_mb: FigureDocument
    """What the runtime's own process beside each live container takes."""
    tasks: FigureDocument
    """Processes and threads, the keeper's included."""
    inotify: FigureDocument
    """Kernel watchers of files; all tenants share the allowance of one user id."""
    wake_paused_s: FigureDocument
    wake_paged_s: FigureDocument
    wake_saved_s: FigureDocument
    wake_stopped_s: FigureDocument
    cold_cpu_s: FigureDocument
    """Processor seconds of a cold start."""


class CapacityHostDocument(Document):
    """The host without its tenants: this one, or another size of it."""

    what_if: bool
    """Whether anything of it was said rather than found."""
    memory_mb: float
    system_mb: float
    """What the system and Innkeeper take now."""
    reserve_mb: float
    """What is left alone."""
    room_mb: float
    """What remains for tenants."""
    cpus: float
    zram_mb: float
    """How much goes into zram, before compression."""
    zram_ratio: FigureDocument
    swap_mb: float
    """Swap on disk."""
    disk_mb: float | None
    """For the tenants' folders."""
    places: int
    """Addresses on the tenants' networks."""
    tasks: int | None
    """Processes and threads that the kernel still allows."""
    inotify: int | None
    """Watchers that it allows to the tenants' user id."""


class PolicyDocument(Document):
    """The sleep policy that was asked about."""

    preset: str | None
    pause_after_s: int | None
    page_after_s: int | None
    save_after_s: int | None
    stop_after_s: int | None
    check_every_s: int | None
    skipped: list[SkippedDocument]
    """Its rungs that this host can't offer."""


class DemandDocument(Document):
    """How tenants are used, as far as that was said."""

    wakes_per_day: float
    """Cold starts of one tenant."""
    burst: float
    """How many times the average the busiest minutes see."""


class CapacityLimitDocument(Document):
    """How many tenants one resource allows."""

    resource: str
    """`memory`, `swap`, `disk`, `network`, `tasks`, `inotify` or `cpu`."""
    tenants: int
    hard: bool
    """False: beyond it they cost more, but fit."""
    says: str


class CapacityRowDocument(Document):
    """How many tenants fit, with so many awake and the others on one rung."""

    awake_share: float
    rung: str | None
    """Where the sleepers are; null: there are none."""
    leads_to: bool
    """Whether the policy leads there in the end."""
    fits: int | None
    """Null: what they take isn't known."""
    limits: list[CapacityLimitDocument]
    """The tightest first."""
    notes: list[str]
    """What isn't known, and what was assumed."""


class ClaimedRowDocument(Document):
    """What fits here beside a claim."""

    awake_share: float
    rung: str | None
    fits: int | None


class HostClaimDocument(Document):
    """What somebody claims of a host's size, and what fits on that size by what was measured here."""

    by: str
    agent: str
    """What their tenants run; the figures here are of this agent."""
    memory_mb: int
    always_on: int
    """Claimed, not measured."""
    with_sleep: list[int]
    """From, to: claimed for 10 to 20 % active, not measured."""
    here: list[ClaimedRowDocument]


class MemoryClaimDocument(Document):
    """What somebody claims that many tenants take, and what they would here."""

    by: str
    agent: str
    tenants: int
    memory_mb: int
    """Claimed for all awake, not measured."""
    here_mb: float | None
    """The same number of this agent's."""


class AgentCapacityDocument(Document):
    """One agent: what it costs and how many fit, were all tenants of this kind."""

    agent: str
    tenants: int
    """How many there are here."""
    costs: CostsDocument
    cold_starts_per_minute: float | None
    """What the processors can do when they do nothing else."""
    cold_starts_per_day: float | None
    """What keeps within that at the burst that was said."""
    rows: list[CapacityRowDocument]
    host_claims: list[HostClaimDocument]
    memory_claims: list[MemoryClaimDocument]


class CapacityDocument(Document):
    """How many tenants fit."""

    measured_at: datetime
    host: CapacityHostDocument
    policy: PolicyDocument
    demand: DemandDocument
    agents: list[AgentCapacityDocument]


def figure_document(figure: Figure) -> FigureDocument:
    """A figure, rounded to what can be meant."""
    return FigureDocument(
        source=figure.source,
        mean=_rounded(figure.mean),
        usual=_rounded(figure.usual),
        worst=_rounded(figure.worst),
        samples=figure.samples,
        says=figure.says,
    )


def host_document(host: Host, *, what_if: bool) -> CapacityHostDocument:
    """The host."""
    rounded = {
        name: round(getattr(host, name), 1)
        for name in ("memory_mb", "system_mb", "reserve_mb", "room_mb", "cpus", "zram_mb", "swap_mb")
    }
    return CapacityHostDocument(
        what_if=what_if,
        zram_ratio=figure_document(host.zram_ratio),
        disk_mb=_rounded(host.disk_mb),
        places=host.places,
        tasks=host.tasks,
        inotify=host.inotify,
        **rounded,
    )


def policy_document(policy: SleepPolicy, missing: Mapping[Rung, str]) -> PolicyDocument:
    """The policy."""
    return PolicyDocument(
        preset=policy.preset,
        **timing(policy),
        skipped=[
            SkippedDocument(rung=rung, why=missing[rung])
            for window, rung in WINDOWS.items()
            if getattr(policy, window) is not None and rung in missing
        ],
    )


def agent_document(
    name: str, *, tenants: int, costs: Costs, host: Host, rows: Sequence[Row], rungs: Sequence[Rung], demand: Demand
) -> AgentCapacityDocument:
    """One agent."""
    return AgentCapacityDocument(
        agent=name,
        tenants=tenants,
        costs=CostsDocument(**{each: figure_document(getattr(costs, each)) for each in NAMES}),
        cold_starts_per_minute=_rounded(cold_starts_per_minute(costs, host)),
        cold_starts_per_day=_rounded(cold_starts_per_day(costs, host, demand)),
        rows=[_row_document(row) for row in rows],
        host_claims=[
            HostClaimDocument(
                **{**vars(claim), "with_sleep": list(claim.with_sleep)},
                here=[
                    ClaimedRowDocument(awake_share=row.awake_share, rung=row.rung, fits=row.fits)
                    for row in beside(claim, costs, host, rungs, demand)
                ],
            )
            for claim in HOST_CLAIMS
        ],
        memory_claims=[
            MemoryClaimDocument(**vars(claim), here_mb=_rounded(memory_beside(claim, costs))) for claim in MEMORY_CLAIMS
        ],
    )


def _row_document(row: Row) -> CapacityRowDocument:
    limits: list[dict[str, Any]] = [{**vars(limit), "resource": str(limit.resource)} for limit in row.limits]
    return CapacityRowDocument(
        awake_share=row.awake_share,
        rung=row.rung,
        leads_to=row.leads_to,
        fits=row.fits,
        limits=[CapacityLimitDocument(**limit) for limit in limits],
        notes=list(row.notes),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
