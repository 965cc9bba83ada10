"""The ladder that idle tenants go down, rung by rung, and the policy that says when."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from innkeeper.core.instance import State


class Rung(StrEnum):
    """How deep a tenant is to sleep; the deeper, the less it costs and the longer it takes to wake."""

    RUNNING = "running"
    PAUSED = "paused"  # frozen: no processor time, all of its memory
    PAGED = "paged"  # frozen, with its memory pushed to swap
    SAVED = "saved"  # on disk, without a process
    STOPPED = "stopped"

    @property
    def depth(self) -> int:
        """0 for running; the deeper, the larger."""
        return _ORDER.index(self)

    @property
    def state(self) -> State:
        """The state of an instance on this rung."""
        return _STATES[self]


_ORDER = tuple(Rung)
_STATES = {
    Rung.RUNNING: State.RUNNING,
    Rung.PAUSED: State.PAUSED,
    Rung.PAGED: State.PAUSED,
    Rung.SAVED: State.SAVED,
    Rung.STOPPED: State.STOPPED,
}
TIERS: Mapping[str, Rung] = {
    "pause": Rung.PAUSED,
    "page": Rung.PAGED,
    "save": Rung.SAVED,
    "stop": Rung.STOPPED,
}
"""How deep a tenant can be put to sleep, as it is asked for."""


class MissedRuns(StrEnum):
    """What becomes of the runs of an agent's own schedule that fell due while nobody could wake it."""

    RUN = "run"  # each of them is made up for
    SKIP = "skip"  # none is: it wakes for the next one
    RUN_ONCE = "run-once"  # each job runs once, however often it was missed


@dataclass(frozen=True, kw_only=True)
class SleepPolicy:
    """When a tenant sleeps: each rung's window in idle seconds, None to skip the rung; and what keeps or gets it up."""

    pause_after_s: int | None = 300
    page_after_s: int | None = 600
    save_after_s: int | None = None
    stop_after_s: int | None = 14400
    check_every_s: int | None = None
    """The windows count in whole steps of so many seconds; None: as often as the sweep comes by."""
    preset: str | None = None
    """Where the windows come from, as far as they weren't given one by one."""
    schedule: tuple[str, ...] = ()
    """When it is kept awake, whatever its windows say; see core/schedule.py."""
    missed_runs: MissedRuns = MissedRuns.RUN_ONCE
    despite_channels: bool = False
    """Sleep though it fetches messages from channels itself: the operator accepts that they wait, or are lost."""
    wake_deadline_s: float | None = None
    """How long a request waits for it to wake; None: as the settings say."""


FIELDS = tuple(field.name for field in fields(SleepPolicy))

WINDOWS: dict[str, Rung] = {
    "pause_after_s": Rung.PAUSED,
    "page_after_s": Rung.PAGED,
    "save_after_s": Rung.SAVED,
    "stop_after_s": Rung.STOPPED,
}
"""The fields of a policy that are windows, in the order of the ladder."""

TIMING = (*WINDOWS, "check_every_s")
"""The fields that a preset sets."""

DEFAULT_PRESET = "balanced"
PRESETS: Mapping[str, SleepPolicy] = {
    # Wakes are all but unnoticeable: frozen late, paged out when nobody has come for hours, never stopped.
    "snappy": SleepPolicy(pause_after_s=900, page_after_s=7200, stop_after_s=None),
    "balanced": SleepPolicy(),
    # The most tenants a host can take: memory is given back within two minutes, the process within half an hour.
    "frugal": SleepPolicy(pause_after_s=60, page_after_s=120, stop_after_s=1800),
    # As OCMT's agent server has it: 30 minutes, 4 hours, checked every minute.
    "ocmt": SleepPolicy(pause_after_s=1800, page_after_s=None, stop_after_s=14400, check_every_s=60),
}
"""What comes with Innkeeper; the settings may add others, or other windows for these."""


class Offer:
    """What this host can offer of the ladder; whoever probes it keeps it up to date."""

    def __init__(self, missing: Mapping[Rung, str] | None = None) -> None:
        self.missing: Mapping[Rung, str] = missing or {}
        """The rungs that it can't, each with the reason."""


def timing(policy: SleepPolicy) -> dict[str, Any]:
    """What a preset sets, by name."""
    return {name: getattr(policy, name) for name in TIMING}


def rung_after(policy: SleepPolicy, idle_s: float, *, missing: Collection[Rung] = ()) -> Rung:
    """The rung that the policy means after so many idle seconds, without those that this host can't offer."""
    for name, rung in reversed(WINDOWS.items()):
        after_s: int | None = getattr(policy, name)
        if after_s is not None and idle_s >= after_s and rung not in missing:
            return rung
    return Rung.RUNNING
