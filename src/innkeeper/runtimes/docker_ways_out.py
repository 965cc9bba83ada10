"""The containers' ways out to the net: slots become addresses, the tables do the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from innkeeper.core.errors import IsolationBroken
from innkeeper.core.uses import EgressMode
from innkeeper.runtimes.docker_network import Networks


class DockerWaysOut:
    """The core's `WaysOut` on the tenants' networks."""

    why_not: str | None = None
    """Where nft can't be had nothing starts at all."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def want(self, modes: Mapping[int, EgressMode]) -> None:
        """From the next hold on."""
        self._networks.watched = {slot: mode for slot, mode in modes.items() if mode is not EgressMode.OFF}

    async def hold(self) -> None:
        """With all that isolates the tenants."""
        await self._networks.hold()

    async def let_go(self) -> None:
        """By nftables alone, whether or not the Engine answers."""
        await self._networks.egress.let_go()

    async def open(self, slot: int, name: str, addresses: Collection[str]) -> None:
        """In the kernel when this returns."""
        mine = await self._networks.address(slot)
        if mine is None:
            raise IsolationBroken("The tenants' networks were removed meanwhile.")
        await self._networks.egress.open(mine, name, addresses)

    async def shut(self, slot: int, *, but: Callable[[str], bool]) -> None:
        """Gone from the kernel when this returns; without a network nothing is open."""
        mine = await self._networks.address(slot)
        if mine is not None:
            await self._networks.egress.shut(mine, but=but)
