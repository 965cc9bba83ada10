"""What the core needs of a host to watch and close the tenants' ways out to the net, and of a store to remember what
they asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from innkeeper.core.egress import AskedName
from innkeeper.core.uses import EgressMode


class WaysOut(Protocol):
    """The tenants' ways out to the net, by their slots.

    What a watched tenant asks of any name server comes to ours. One in `enforce` reaches an address only for an hour
    after it was last opened or used, and loses all others at once, what is under way too. The tenant's broker stays
    where it is. What is enforced, stays so while the control plane is away; who learns, is let go after a while.
    """

    @property
    def why_not(self) -> str | None:
        """Why this runtime can neither watch nor close them; None: it can."""
        ...

    def want(self, modes: Mapping[int, EgressMode]) -> None:
        """From the next `hold` on, and at the latest before anything is started, these slots are watched."""
        ...

    async def hold(self) -> None:
        """See that it is as wanted; raises IsolationBroken."""
        ...

    async def let_go(self) -> None:
        """Nobody is there any more to answer those who learn: they ask whom they like until the next `hold`."""
        ...

    async def open(self, slot: int, name: str, addresses: Collection[str]) -> None:
        """Let the slot's tenant reach these IPv4 addresses, to which the name leads; it does when this returns.
        Raises IsolationBroken."""
        ...

    async def shut(self, slot: int, *, but: Callable[[str], bool]) -> None:
        """Let it reach nothing of what was opened but that to which a name leads for which `but` is true, whichever
        process opened it; raises IsolationBroken."""
        ...


class AskedNames(Protocol):
    """The names that tenants have asked for, within a transaction. They go with their tenant."""

    async def of(self, tenant: str) -> Sequence[AskedName]:
        """Those of a tenant, by name."""
        ...

    async def add(self, tenant: str, tenant_id: str, asked: Sequence[AskedName], *, keep: int) -> Collection[str]:
        """Add these to what is there already: the numbers are summed, the moments widened. Of more than `keep`, those
        that were asked for last stay. Nothing is written for a tenant that is gone. Those that hadn't been refused
        before, and are now."""
        ...

    async def forget(self, tenant: str) -> int:
        """Drop all of a tenant's; how many."""
        ...
