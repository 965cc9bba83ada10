"""A host as far as capacity goes: this one as it was found, or another size of it that is asked about."""

from __future__ import annotations

from dataclasses import dataclass, replace

from innkeeper.core.costs import Figure, Source, stated

NOTHING_COMPRESSED = stated(
    Source.ASSUMED, 1.0, "as if nothing compressed: zram hasn't held enough yet to tell; page somebody out"
)


@dataclass(frozen=True, kw_only=True)
class Premises:
    """This host as it was found, with all that runs on it; None is what can't be told."""

    memory_mb: float
    used_mb: float
    """What isn't available, by the kernel's own reckoning."""
    cpus: float
    zram_mb: float
    zram_takes_mb: float
    """What zram holds of the memory now."""
    zram_ratio: Figure
    swap_mb: float
    disk_free_mb: float
    places: int
    tasks_allowed: int | None
    tasks: int | None
    inotify_allowed: int | None


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What the tenants that are here take now."""

    resident_mb: float = 0.0
    tasks: float = 0.0
    units_mb: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Host:
    """A host with no tenants on it: this one without what they take now, or one that is asked about."""

    memory_mb: float
    system_mb: float
    """What the system and Innkeeper itself take."""
    reserve_mb: float
    cpus: float
    zram_mb: float
    """How much goes into zram, before compression."""
    zram_ratio: Figure
    swap_mb: float
    """Swap on disk; used when zram is full."""
    disk_mb: float | None
    """For the tenants' folders; None: it can't be told."""
    places: int
    """Addresses on the tenants' networks."""
    tasks: int | None
    """Processes and threads that the kernel still allows."""
    inotify: int | None
    """Watchers that it allows to the one user id of all tenants."""

    @property
    def room_mb(self) -> float:
        """What is left for tenants."""
        return max(0.0, self.memory_mb - self.system_mb - self.reserve_mb)


@dataclass(frozen=True, kw_only=True)
class Resize:
    """What is different on the host that is asked about; None: as here."""

    memory_mb: float | None = None
    cpus: float | None = None
    zram_mb: float | None = None
    zram_ratio: float | None = None
    swap_mb: float | None = None
    reserve_mb: float | None = None


def resized(host: Host, to: Resize) -> Host:
    """The host that is asked about; with the memory grows swap, as far as nothing else is said of it."""
    memory_mb = host.memory_mb if to.memory_mb is None else to.memory_mb
    grown = memory_mb / host.memory_mb
    ratio = host.zram_ratio
    if to.zram_ratio is not None:
        ratio = stated(Source.GIVEN, to.zram_ratio)
    elif to.zram_mb and ratio.source is Source.MISSING:
        ratio = NOTHING_COMPRESSED
    return replace(
        host,
        memory_mb=memory_mb,
        reserve_mb=host.reserve_mb if to.reserve_mb is None else to.reserve_mb,
        cpus=host.cpus if to.cpus is None else to.cpus,
        zram_mb=host.zram_mb * grown if to.zram_mb is None else to.zram_mb,
        zram_ratio=ratio,
        swap_mb=host.swap_mb * grown if to.swap_mb is None else to.swap_mb,
    )


def emptied(found: Premises, taken: Taken, *, reserve_mb: float) -> Host:
    """The host without its tenants; whatever is left in use is the system's, and Innkeeper's own."""
    tasks = None
    if found.tasks_allowed is not None and found.tasks is not None:
        tasks = found.tasks_allowed - max(0, round(found.tasks - taken.tasks))
    return Host(
        memory_mb=found.memory_mb,
        system_mb=max(0.0, found.used_mb - taken.resident_mb - found.zram_takes_mb),
        reserve_mb=reserve_mb,
        cpus=found.cpus,
        zram_mb=found.zram_mb,
        zram_ratio=found.zram_ratio,
        swap_mb=found.swap_mb,
        disk_mb=found.disk_free_mb + taken.units_mb,
        places=found.places,
        tasks=tasks,
        inotify=found.inotify_allowed,
    )
