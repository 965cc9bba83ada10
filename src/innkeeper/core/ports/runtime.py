"""The runtime's contract, which every driver must hold and the reconciler relies on.

*One instance a tenant.* `create` makes an instance named by the tenant and labelled with its id and revision;
it never replaces one. `create` where ours exists already returns what is there; where a stranger's has the name
it raises ForeignInstance and touches nothing. Whatever isn't labelled as ours isn't listed, and every action
looks at the labels again before it acts and is pinned to `Instance.id`: an instance that was replaced meanwhile is
left alone.

*Repeatable.* Each action may be the process's last and is simply called again. `start` of a running one, `stop` of a
stopped one, `pause` of a paused one, `unpause` of a running one and `remove` of an absent one succeed and do nothing.

*Order.* create -> start -> (pause <-> unpause) -> stop -> start … -> remove. `stop` gives the agent `grace_s` to end;
`remove` ends it at once if it still runs, and leaves no network rule or anonymous volume of it behind.
`start` returns when the process runs, not when the agent is ready.

*Overlap.* Different tenants' actions may run at once, without limit; the core never has two actions of one tenant
under way. `get`, `all`, `logs`, `usage`, `page_out`, `set_cpus` and `run` may come at any time.

*Raises.* RuntimeUnavailable when it doesn't answer (the action may or may not have happened: look again),
ImageMissing from create, IsolationBroken from create and start, ForeignInstance, and RuntimeFault for everything else,
with the runtime's own words in it. An action on an instance that has vanished raises RuntimeFault; `get` says absent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from innkeeper.core.instance import Execution, Instance, LogLine, PagedOut, Place, RuntimeEvent, Usage
from innkeeper.core.ladder import Rung
from innkeeper.core.ports.egress import WaysOut
from innkeeper.core.tenant import Limits


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """All that a runtime needs to make an instance; the hardening profile is the runtime's own."""

    tenant: str
    tenant_id: str
    revision: int
    slot: int
    agent: str
    release: str
    image: str
    limits: Limits
    persistence: str
    """The host folder with all of the tenant's data."""
    mount: str = "/data"
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    born_as: str | None = None
    """The hostname that its data know, where that isn't the tenant's name."""

    @property
    def hostname(self) -> str:
        """The instance's own, for life: agents write it into what they keep."""
        return self.born_as or self.tenant


class Runtime(Protocol):
    """Where instances run; the contract stands above."""

    name: str

    @property
    def ways_out(self) -> WaysOut:
        """The instances' ways out to the net."""
        ...

    async def get(self, tenant: str) -> Instance: ...
    async def all(self) -> Sequence[Instance]: ...
    async def create(self, blueprint: Blueprint) -> Instance: ...
    async def start(self, instance: Instance) -> None: ...
    async def stop(self, instance: Instance, *, grace_s: int) -> None: ...
    async def pause(self, instance: Instance) -> None: ...
    async def unpause(self, instance: Instance) -> None: ...
    async def remove(self, instance: Instance) -> None: ...

    async def run(self, instance: Instance, command: Sequence[str], *, timeout_s: float) -> Execution:
        """Run a program inside; for probes of ours, never on the hot path."""
        ...

    def logs(
        self,
        instance: Instance,
        *,
        follow: bool = False,
        since: datetime | None = None,
        tail: int | None = None,
    ) -> AsyncIterator[LogLine]:
        """What it wrote, oldest first; with `follow` on and on until it ends."""
        ...

    async def usage(self, instance: Instance) -> Usage:
        """What it uses now, read from the kernel's own files."""
        ...

    async def page_out(self, instance: Instance) -> PagedOut:
        """Push its memory to swap: all of a paused one's, of a running one's what it doesn't touch at once. It may
        overlap with every action, is repeatable, and ends soon when cancelled; what was pushed is fetched back as it
        is touched."""
        ...

    async def lacks(self) -> Mapping[Rung, str]:
        """The rungs of the ladder that this host can't offer just now, each with the reason."""
        ...

    async def set_cpus(self, instance: Instance, cpus: float) -> None:
        """Limit its processor time to so much until the next call or its end, whether it runs or not."""
        ...

    def events(self) -> AsyncIterator[RuntimeEvent]:
        """Hints about instances of ours, for ever: reconnects by itself, and may lose some meanwhile."""
        ...

    async def place(self, slot: int) -> Place:
        """Where a slot lies; cheap after the first call, and stable while the network stands."""
        ...

    async def places(self) -> Sequence[Place]:
        """The networks that stand now, one place each (its address is empty)."""
        ...

    async def prune(self, used_slots: Sequence[int]) -> None:
        """Remove networks, and with the last of them the firewall table, that no used slot needs."""
        ...

    async def resolve_image(self, image: str) -> str | None:
        """The ID of an image that is here under this name, tag, digest or ID; None: it would have to be fetched."""
        ...

    async def check(self) -> str:
        """Name and version of what answers, or RuntimeUnavailable."""
        ...

    async def close(self) -> None: ...
