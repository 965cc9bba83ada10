"""The chronicle: listens to what happens, and keeps what was measured of each tenant."""

from __future__ import annotations

import time
from collections.abc import Callable

from innkeeper.core.directory import Directory
from innkeeper.core.events import Bus, Event, StateChanged, StepTaken, TenantChanged, TenantGone, TenantWoken
from innkeeper.core.instance import State, Usage
from innkeeper.core.ladder import Rung
from innkeeper.core.past import Past, usual, worst
from innkeeper.core.plan import Step
from innkeeper.core.tenant import Tenant

MB = 1 << 20
KIND_KEPT_S = 10.0


class Chronicle:
    """The pasts of all tenants, as they are now; housekeeping writes them down."""

    def __init__(
        self,
        *,
        directory: Directory,
        bus: Bus,
        is_paged: Callable[[str], bool] = lambda name: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._bus = bus
        self._is_paged = is_paged
        self._clock = clock
        self._pasts: dict[str, Past] = {}
        self._unsaved: set[str] = set()
        self._kinds: dict[tuple[str, Rung], tuple[float, tuple[float, ...]]] = {}
        self._waking: dict[str, tuple[Rung, float]] = {}
        self._stays: dict[str, tuple[Rung, bool]] = {}
        """From which rung those who are up have come, and whether a peak of this stay was noted."""
        bus.on_event(self._follow)

    def past(self, tenant: Tenant) -> Past:
        """What was measured of it so far."""
        return self._pasts.get(tenant.name, tenant.past)

    def rung_of(self, tenant: Tenant) -> Rung:
        """Where on the ladder it really is now, as far as was seen."""
        match tenant.seen.state:
            case State.PAUSED:
                return Rung.PAGED if self._is_paged(tenant.name) else Rung.PAUSED
            case State.RUNNING | State.STARTING:
                return Rung.RUNNING
            case State.SAVED:
                return Rung.SAVED
            case _:
                return Rung.STOPPED

    def wake_s(self, tenant: Tenant) -> float | None:
        """How long it usually takes to come up from where it is; of one never woken from there, as its kind does."""
        rung = self.rung_of(tenant)
        figures = self.past(tenant).wakes_s.get(rung, ()) or self._of_its_kind(tenant, rung)
        return usual(figures)

    def slowest_wake_s(self, tenant: Tenant) -> float | None:
        """The longest that it lately took to come up from where it is."""
        rung = self.rung_of(tenant)
        return worst(self.past(tenant).wakes_s.get(rung, ()) or self._of_its_kind(tenant, rung))

    # --- being told ---------------------------------------------------------------------------------------------------

    def note_usage(self, tenant: Tenant, usage: Usage) -> None:
        """What one that is up or frozen takes now."""
        rung = self.rung_of(tenant)
        if rung is not Rung.RUNNING:
            self.note_rest(tenant, rung, usage.rss_bytes, usage.swap_bytes)
        elif tenant.seen.ready:
            came_from, noted = self._stays.get(tenant.name, (Rung.STOPPED, bool(self.past(tenant).awake_mb)))
            self._stays[tenant.name] = came_from, True
            self._keep(tenant, self.past(tenant).with_peak(came_from, usage.rss_bytes / MB, same_stay=noted))

    def note_rest(self, tenant: Tenant, rung: Rung, resident_bytes: int, swapped_bytes: int) -> None:
        """What stays of it on that rung."""
        self._keep(tenant, self.past(tenant).with_rest(rung, resident_bytes / MB, swapped_bytes / MB))

    def take(self) -> dict[str, Past]:
        """What is new since the last call, to be written down."""
        unsaved, self._unsaved = self._unsaved, set()
        return {name: self._pasts[name] for name in unsaved if name in self._pasts}

    def _keep(self, tenant: Tenant, past: Past) -> None:
        if past != self.past(tenant):
            self._pasts[tenant.name] = past
            self._kinds.clear()
            self._unsaved.add(tenant.name)

    def _of_its_kind(self, tenant: Tenant, rung: Rung) -> tuple[float, ...]:
        """The same figures of all tenants with that agent, for those of whom nothing is known; kept for a moment,
        for a look at each is too much for each of them."""
        kind, now = (tenant.spec.agent, rung), self._clock()
        known_at, figures = self._kinds.get(kind, (now - KIND_KEPT_S, ()))
        if now - known_at >= KIND_KEPT_S:
            figures = tuple(
                figure
                for other in self._directory
                if other.spec.agent == tenant.spec.agent
                for figure in self.past(other).wakes_s.get(rung, ())
            )
            self._kinds[kind] = now, figures
        return figures

    def note_trim(self, tenant: Tenant, usage: Usage) -> None:
        """What is left of one that was trimmed while it ran; from now on its peaks are those of a trimmed one."""
        self.note_rest(tenant, Rung.RUNNING, usage.rss_bytes, usage.swap_bytes)
        self._stays[tenant.name] = Rung.RUNNING, False

    # --- listening ----------------------------------------------------------------------------------------------------

    def _follow(self, event: Event) -> None:
        match event:
            case TenantChanged(now=tenant) if tenant.target is State.RUNNING:
                rung = self.rung_of(tenant)
                if rung is not Rung.RUNNING:
                    self._waking.setdefault(tenant.name, (rung, self._clock()))
            case TenantChanged(tenant=name):
                self._waking.pop(name, None)
            case StepTaken(tenant=name, step=Step.START, problem=None, seconds=seconds):
                self._waking[name] = Rung.STOPPED, self._clock() - seconds
            case StateChanged(now=tenant) if tenant.seen.state is State.FAILED:
                self._waking.pop(tenant.name, None)
            case StateChanged(now=tenant) if tenant.seen.ready and tenant.seen.state is State.RUNNING:
                self._is_up(tenant)
            case TenantGone(tenant=name):
                for known in (self._pasts, self._waking, self._stays):
                    known.pop(name, None)

    def _is_up(self, tenant: Tenant) -> None:
        woken = self._waking.pop(tenant.name, None)
        if woken is not None:
            rung, since = woken
            self._stays[tenant.name] = rung, False
            seconds = self._clock() - since
            self._keep(tenant, self.past(tenant).with_wake(rung, seconds))
            self._bus.publish(TenantWoken(tenant=tenant.name, rung=rung, seconds=seconds))
