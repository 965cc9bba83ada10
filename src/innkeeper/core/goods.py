"""The goods of a delivery: several packs laid over each other, where the later one's files count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from innkeeper.core.delivery import Received
from innkeeper.core.merging import Wanted
from innkeeper.core.pack_errors import PacksClash
from innkeeper.core.packs import FILES_MAX, Pack


@dataclass(frozen=True, kw_only=True)
class Goods:
    """The packs of one tenant, in their order, and where each goes unless it says so itself."""

    packs: Sequence[Pack]
    workspace: str

    @cached_property
    def wanted(self) -> Mapping[str, Wanted]:
        """What is to be at each path of the tenant's data; raises PacksClash."""
        wanted: dict[str, Wanted] = {}
        for pack in self.packs:
            target = pack.target or self.workspace
            for each in pack.files:
                wanted[f"{target}/{each.path}"] = Wanted(content=each.content, pack=pack.name, source=each.path)
        if len(wanted) > FILES_MAX:
            raise PacksClash(f"The packs have {len(wanted)} files together, and {FILES_MAX} are the most.")
        for path, file in wanted.items():
            for above in _above(path):
                if above in wanted:
                    raise PacksClash(
                        f"The pack {wanted[above].pack} has a file {above!r:.200}, where {file.pack} has a folder."
                    )
        return wanted

    @property
    def names(self) -> frozenset[str]:
        """Of the packs."""
        return frozenset(pack.name for pack in self.packs)

    def of(self, path: str) -> tuple[Pack, str]:
        """The pack that a file comes from, and its path there."""
        file = self.wanted[path]
        return self._by_name[file.pack], file.source

    @cached_property
    def _by_name(self) -> Mapping[str, Pack]:
        return {pack.name: pack for pack in self.packs}

    def received(self, at: datetime, before: Mapping[str, Received]) -> Mapping[str, Received]:
        """What is written down once they are delivered; one that was there already keeps its time."""
        return {pack.name: _received(pack, at, before.get(pack.name)) for pack in self.packs}

    def are(self, received: Mapping[str, Received]) -> bool:
        """Whether just these were delivered before."""
        return all(pack.name in received and received[pack.name].digest == pack.digest for pack in self.packs)


def _received(pack: Pack, at: datetime, before: Received | None) -> Received:
    if before is not None and before.digest == pack.digest:
        return before
    return Received(version=pack.version, digest=pack.digest, at=at)


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]
