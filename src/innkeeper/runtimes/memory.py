"""The memory runtime: holds the whole contract and runs nothing; for tests and measurements.

It is deterministic, misbehaves on request (`trouble.faults`, `down`) and complains in `violations` when the core
breaks the contract. What a bystander might do to real containers, the methods `by_hand_…` and `crash` do here.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv4Network

from innkeeper.core.errors import ForeignInstance, ImageMissing, RuntimeFault
from innkeeper.core.events import utc_now
from innkeeper.core.instance import Execution, Instance, LogLine, PagedOut, Place, RuntimeEvent, State, Usage, absent
from innkeeper.core.ladder import Rung
from innkeeper.core.ports import Blueprint
from innkeeper.runtimes.addressing import Addressing, network_index
from innkeeper.runtimes.memory_faults import Call, Deed, Fault, Misbehaviour
from innkeeper.runtimes.memory_streams import Logs, Signals
from innkeeper.runtimes.memory_ways_out import MemoryWaysOut

POOL = IPv4Network("127.64.0.0/10")
"""Loopback, so that a test can serve an agent at a tenant's own address."""

Answer = Callable[[Instance, Sequence[str]], Execution]


def _ends_well(_instance: Instance, _command: Sequence[str]) -> Execution:
    return Execution(exit_code=0, output=b"")


class MemoryRuntime:
    """A runtime that only remembers."""

    name = "memory"

    def __init__(self, *, namespace: str = "memory", now: Callable[[], datetime] = utc_now) -> None:
        self._addressing = Addressing(namespace=namespace, pool=POOL)
        self._now = now
        self._instances: dict[str, Instance] = {}
        self._networks: set[int] = set()
        self._made = 0
        self._last_start: datetime | None = None
        self._removed: set[str] = set()
        self._signals = Signals()
        self._logs = Logs()
        self.trouble = Misbehaviour(self.by_hand_remove)
        self.blueprints: dict[str, Blueprint] = {}
        self.foreign: set[str] = set()
        """Tenant names that a stranger's instance has."""
        self.missing_images: set[str] = set()
        self.usages: dict[str, Usage] = {}
        self.missing: dict[Rung, str] = {Rung.SAVED: "nothing here saves tenants"}
        """The rungs that this host can't offer."""
        self._swapped: dict[str, int] = {}
        self.ways_out = MemoryWaysOut()
        self.answer: Answer = _ends_well
        """What programs that are run inside say."""

    # --- for tests ----------------------------------------------------------------------------------------------------

    @property
    def faults(self) -> defaultdict[Call, deque[Fault]]:
        """What goes wrong next, by call."""
        return self.trouble.faults

    @property
    def calls(self) -> Counter[Call]:
        """How often each call came."""
        return self.trouble.calls

    @property
    def journal(self) -> list[Deed]:
        """The actions that were done, oldest first; those that found nothing to do aren't in it."""
        return self.trouble.journal

    @property
    def violations(self) -> list[str]:
        """Where the core broke the contract."""
        return self.trouble.violations

    @property
    def down(self) -> bool:
        """Whether every call raises RuntimeUnavailable."""
        return self.trouble.down

    @down.setter
    def down(self, down: bool) -> None:
        came_back = self.trouble.down and not down
        self.trouble.down = down
        if came_back:
            self._tell("", "reconnected")

    def by_hand_remove(self, tenant: str) -> None:
        """Somebody removed it."""
        if self._instances.pop(tenant, None):
            self.blueprints.pop(tenant, None)
            self._swapped.pop(tenant, None)
            self._logs.end(tenant)
            self._tell(tenant, "destroy")

    def by_hand_stop(self, tenant: str, *, exit_code: int = 0) -> None:
        """Somebody stopped it."""
        self._ended(self._instances[tenant], exit_code)

    def by_hand_pause(self, tenant: str) -> None:
        """Somebody paused it."""
        self._set(replace(self._instances[tenant], state=State.PAUSED), "pause")

    def by_hand_unpause(self, tenant: str) -> None:
        """Somebody unpaused it."""
        self._set(replace(self._instances[tenant], state=State.RUNNING), "unpause")

    def crash(self, tenant: str, *, exit_code: int = 1, out_of_memory: bool = False, stuck: bool = False) -> None:
        """It ended by itself and was restarted; `stuck` leaves it waiting for the restart, until `recover`."""
        before = self._instances[tenant]
        self._set(
            replace(
                before,
                restarts=before.restarts + 1,
                exit_code=exit_code,
                out_of_memory=out_of_memory,
                started_at=before.started_at if stuck else self._start_time(),
                stuck=stuck,
            ),
            "die",
        )
        if not stuck:
            self._tell(tenant, "start")

    def recover(self, tenant: str) -> None:
        """The restart that a stuck one waited for has come."""
        self._set(replace(self._instances[tenant], stuck=False, started_at=self._start_time()), "start")

    def say(self, tenant: str, text: str, *, stream: str = "stdout") -> None:
        """It wrote a line."""
        self._logs.write(tenant, LogLine(at=self._now(), stream=stream, text=text))

    # --- the contract -------------------------------------------------------------------------------------------------

    async def get(self, tenant: str) -> Instance:
        async with self.trouble.around(Call.GET, tenant):
            return self._instances.get(tenant) or absent(tenant)

    async def all(self) -> Sequence[Instance]:
        async with self.trouble.around(Call.ALL):
            return list(self._instances.values())

    async def create(self, blueprint: Blueprint) -> Instance:
        tenant = blueprint.tenant
        async with self.trouble.acting(Call.CREATE, tenant):
            if tenant in self.foreign:
                raise ForeignInstance(f"Something that isn't ours is called {tenant!r} already.")
            existing = self._instances.get(tenant)
            if existing:
                if existing.state in (State.RUNNING, State.PAUSED):
                    self.violations.append(f"create of {tenant} over one that lives")
                return existing
            if blueprint.image in self.missing_images:
                raise ImageMissing(f"The image {blueprint.image} isn't here.")
            self._networks.add(network_index(blueprint.slot))
            self._made += 1
            instance = Instance(
                tenant=tenant,
                state=State.STOPPED,
                id=f"memory-{self._made:06d}",
                tenant_id=blueprint.tenant_id,
                revision=blueprint.revision,
                cpus=blueprint.limits.cpus,
            )
            self.blueprints[tenant] = blueprint
            self._logs.begin(tenant)
            self._did(Call.CREATE, instance)
            self._set(instance, "create")
            return instance

    async def start(self, instance: Instance) -> None:
        async with self.trouble.acting(Call.START, instance.tenant):
            found = self._pinned(Call.START, instance)
            if instance.state is State.PAUSED:
                self.violations.append(f"start of {instance.tenant} while it is paused")
            if found.state is State.PAUSED:
                raise RuntimeFault(f"{instance.tenant} is paused and can't be started.")
            if found.state is State.RUNNING:
                return
            self._did(Call.START, found)
            now = self._start_time()
            started = replace(found, state=State.RUNNING, started_at=now, restarts=0, stuck=False)
            self._set(replace(started, exit_code=None, out_of_memory=False), "start")

    async def stop(self, instance: Instance, *, grace_s: int) -> None:
        async with self.trouble.acting(Call.STOP, instance.tenant):
            found = self._pinned(Call.STOP, instance)
            if instance.state is State.PAUSED:
                self.violations.append(f"stop of {instance.tenant} while it is paused: it can't end in order")
            if found.state in (State.RUNNING, State.PAUSED):
                self._did(Call.STOP, found)
                self._ended(found, 0)

    async def pause(self, instance: Instance) -> None:
        async with self.trouble.acting(Call.PAUSE, instance.tenant):
            found = self._live(Call.PAUSE, instance)
            if found.stuck:
                raise RuntimeFault(f"{instance.tenant} is restarting and can't be paused.")
            if found.state is not State.PAUSED:
                self._did(Call.PAUSE, found)
                self._set(replace(found, state=State.PAUSED), "pause")

    async def unpause(self, instance: Instance) -> None:
        async with self.trouble.acting(Call.UNPAUSE, instance.tenant):
            found = self._live(Call.UNPAUSE, instance)
            if found.state is State.PAUSED:
                self._did(Call.UNPAUSE, found)
                self._fetch_back(instance.tenant)
                self._set(replace(found, state=State.RUNNING), "unpause")

    async def remove(self, instance: Instance) -> None:
        async with self.trouble.acting(Call.REMOVE, instance.tenant):
            found = self._instances.get(instance.tenant)
            if found and found.id == instance.id:
                self._did(Call.REMOVE, found)
                self._removed.add(found.id or "")
                self.by_hand_remove(instance.tenant)

    async def run(self, instance: Instance, command: Sequence[str], *, timeout_s: float) -> Execution:
        async with self.trouble.around(Call.RUN, instance.tenant):
            found = self._same(instance)
            if found.state is not State.RUNNING:
                raise RuntimeFault(f"{instance.tenant} isn't running, so nothing can be run in it.")
            return self.answer(found, command)

    async def logs(
        self, instance: Instance, *, follow: bool = False, since: datetime | None = None, tail: int | None = None
    ) -> AsyncIterator[LogLine]:
        async with self.trouble.around(Call.LOGS, instance.tenant):
            self._same(instance)
            if self._instances[instance.tenant].state is State.STOPPED:
                follow = False
            lines = self._logs.read(instance.tenant, follow=follow, since=since, tail=tail)
        async for line in lines:
            yield line

    async def usage(self, instance: Instance) -> Usage:
        async with self.trouble.around(Call.USAGE, instance.tenant):
            if self._same(instance).state is State.STOPPED:
                raise RuntimeFault(f"{instance.tenant} isn't running, so it uses nothing.")
            swapped = self._swapped.get(instance.tenant, 0)
            resident = self._whole_bytes(instance.tenant) - swapped
            usual = Usage(memory_bytes=resident, rss_bytes=resident, swap_bytes=swapped, cpu_s=0.0, pids=1)
            return self.usages.get(instance.tenant, usual)

    async def page_out(self, instance: Instance) -> PagedOut:
        async with self.trouble.around(Call.PAGE_OUT, instance.tenant):
            found = self._same(instance)
            if found.state not in (State.RUNNING, State.PAUSED):
                return PagedOut(before_bytes=0, after_bytes=0, swapped_bytes=0, seconds=0, skipped="it isn't running")
            if Rung.PAGED in self.missing:
                skipped = self.missing[Rung.PAGED]
                return PagedOut(before_bytes=0, after_bytes=0, swapped_bytes=0, seconds=0, skipped=skipped)
            whole = self._whole_bytes(instance.tenant)
            before = whole - self._swapped.get(instance.tenant, 0)
            # As OpenClaw was measured: frozen it keeps a thirtieth, running it needs a quarter of what it took to boot.
            kept = whole // (32 if found.state is State.PAUSED else 4)
            self._swapped[instance.tenant] = whole - kept
            return PagedOut(before_bytes=before, after_bytes=kept, swapped_bytes=whole - kept, seconds=0)

    async def lacks(self) -> Mapping[Rung, str]:
        async with self.trouble.around(Call.LACKS):
            return dict(self.missing)

    async def set_cpus(self, instance: Instance, cpus: float) -> None:
        async with self.trouble.around(Call.SET_CPUS, instance.tenant):
            found = self._same(instance)
            self._instances[instance.tenant] = replace(found, cpus=cpus)
            self._did(Call.SET_CPUS, found)

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        with self._signals.subscribed() as queue:
            yield RuntimeEvent(tenant="", action="connected")
            while True:
                yield await queue.get()

    async def place(self, slot: int) -> Place:
        async with self.trouble.around(Call.PLACE):
            return self._addressing.place(slot)

    async def places(self) -> Sequence[Place]:
        async with self.trouble.around(Call.PLACES):
            return [self._addressing.gate(index) for index in sorted(self._networks)]

    async def prune(self, used_slots: Sequence[int]) -> None:
        async with self.trouble.around(Call.PRUNE):
            self._networks &= {network_index(slot) for slot in used_slots}

    async def resolve_image(self, image: str) -> str | None:
        async with self.trouble.around(Call.RESOLVE_IMAGE):
            return None if image in self.missing_images else image

    async def check(self) -> str:
        async with self.trouble.around(Call.CHECK):
            return "memory"

    async def close(self) -> None:
        """Nothing to let go of."""

    # --- within -------------------------------------------------------------------------------------------------------

    def _whole_bytes(self, tenant: str) -> int:
        """All of its memory, in RAM or in swap."""
        return self.blueprints[tenant].limits.memory_mb * 1024 * 1024 // 2

    def _same(self, instance: Instance) -> Instance:
        found = self._instances.get(instance.tenant)
        if found is None or found.id != instance.id:
            raise RuntimeFault(f"The instance of {instance.tenant} has vanished.")
        return found

    def _pinned(self, call: Call, instance: Instance) -> Instance:
        if instance.id is None:
            self.violations.append(f"{call} of {instance.tenant}, which is absent")
        elif instance.id in self._removed:
            self.violations.append(f"{call} of {instance.tenant} by a stale id: the core itself removed that one")
        return self._same(instance)

    def _live(self, call: Call, instance: Instance) -> Instance:
        found = self._pinned(call, instance)
        if instance.state is State.STOPPED:
            self.violations.append(f"{call} of {instance.tenant} while it is stopped")
        if found.state is State.STOPPED:
            raise RuntimeFault(f"{instance.tenant} isn't running.")
        return found

    def _fetch_back(self, tenant: str) -> None:
        """A thawed one needs a quarter of its memory again."""
        if tenant in self._swapped:
            self._swapped[tenant] = min(self._swapped[tenant], self._whole_bytes(tenant) * 3 // 4)

    def _ended(self, instance: Instance, exit_code: int) -> None:
        self._swapped.pop(instance.tenant, None)
        ended = replace(instance, state=State.STOPPED, exit_code=exit_code, out_of_memory=False, stuck=False)
        self._logs.end(instance.tenant)
        self._set(ended, "die")

    def _set(self, instance: Instance, action: str) -> None:
        self._instances[instance.tenant] = instance
        self._tell(instance.tenant, action)

    def _did(self, call: Call, instance: Instance) -> None:
        self.journal.append(Deed(call=call, tenant=instance.tenant, instance_id=instance.id or ""))

    def _tell(self, tenant: str, action: str) -> None:
        self._signals.send(RuntimeEvent(tenant=tenant, action=action))

    def _start_time(self) -> datetime:
        """Now, and never the same twice: a start is recognised by its time."""
        now = self._now()
        if self._last_start and now <= self._last_start:
            now = self._last_start + timedelta(microseconds=1)
        self._last_start = now
        return now
