"""Ways out that are only remembered, for tests: instances in memory have no network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from innkeeper.core.errors import IsolationBroken
from innkeeper.core.uses import EgressMode


class MemoryWaysOut:
    """The core's `WaysOut`, which watches and closes nothing."""

    def __init__(self) -> None:
        self.why_not: str | None = "instances in memory have no network"
        self.modes: dict[int, EgressMode] = {}
        self.held: dict[int, EgressMode] = {}
        """As of the last `hold`."""
        self.reachable: dict[int, dict[str, set[str]]] = {}
        """By slot and address, the names that led there."""
        self.broken = False
        """Whether everything is refused, as by a host without nft."""

    def want(self, modes: Mapping[int, EgressMode]) -> None:
        """From the next hold on."""
        self.modes = {slot: mode for slot, mode in modes.items() if mode is not EgressMode.OFF}

    async def hold(self) -> None:
        """As it is wanted."""
        self._check()
        self.held = dict(self.modes)

    async def let_go(self) -> None:
        """Those who learn, not those who are enforced."""
        self._check()
        self.held = {slot: mode for slot, mode in self.held.items() if mode is EgressMode.ENFORCE}

    async def open(self, slot: int, name: str, addresses: Collection[str]) -> None:
        """At once."""
        self._check()
        for address in addresses:
            self.reachable.setdefault(slot, {}).setdefault(address, set()).add(name)

    async def shut(self, slot: int, *, but: Callable[[str], bool]) -> None:
        """At once."""
        self._check()
        left = {address: set(filter(but, names)) for address, names in self.reachable.get(slot, {}).items()}
        self.reachable[slot] = {address: names for address, names in left.items() if names}

    def _check(self) -> None:
        if self.broken:
            raise IsolationBroken("The ways out are broken, as a test wants it.")
