"""The chain that the audit trail is: each line is tied to the one before it, and both ends are written down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

COLUMNS = (
    "at", "actor", "kind", "action", "tenant", "tenant_id", "detail", "before", "after", "address", "request",
)  # fmt: skip
"""What a line says, in the order in which it is tied."""

BEGINNING = ""
"""What the very first line is tied to."""

_ENDS = "ends"  # no link is so short, so that a line's can't be passed off as theirs


class Links(Protocol):
    """Ties lines together with a key that the database doesn't hold."""

    def link(self, previous: str, row: bytes) -> str:
        """A keyed hash (HMAC-SHA256, RFC 2104) of `row` and of the link before it; takes some microseconds."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the trail, word for word as it stands."""

    number: int
    texts: tuple[str | None, ...]
    """By `COLUMNS`."""
    link: str | None

    def link_after(self, previous: str, links: Links, *, number: int | None = None) -> str:
        """The link that it must have after `previous`; `number`: if it stood there."""
        return links.link(previous, _row([self.number if number is None else number, *self.texts]))

    def __getitem__(self, column: str) -> str | None:
        return self.texts[COLUMNS.index(column)]


@dataclass(frozen=True, kw_only=True)
class Ends:
    """Where the chain begins and ends, so that nothing can be taken off either end unseen."""

    began: int = 0
    """The last line from before there was a chain: those up to it were tied when it began, and may have gaps."""
    cut: int = 0
    """The last line that retention took off …"""
    cut_link: str = BEGINNING
    """… and its link, which the first that is left is tied to."""
    last: int = 0
    last_link: str = BEGINNING
    seal: str = ""
    """Ties these together, with the same key; it doesn't hold where somebody else wrote them."""

    def sealed(self, links: Links) -> Ends:
        """The same with the seal that they should have."""
        return replace(self, seal=self._seal(links))

    def holds(self, links: Links) -> bool:
        """Whether they are as we wrote them."""
        return self.seal == self._seal(links)

    def moved(self, links: Links, **ends: int | str) -> Ends:
        """Further on. A seal that didn't hold isn't mended thereby: what was found wrong stays so."""
        moved = replace(self, **ends)  # type: ignore[arg-type]
        return moved.sealed(links) if self.holds(links) else moved

    def _seal(self, links: Links) -> str:
        return links.link(_ENDS, _row([self.began, self.cut, self.cut_link, self.last, self.last_link]))


@dataclass(frozen=True, kw_only=True)
class Sought:
    """Which lines are asked for: those to which all of this applies."""

    tenant: str | None = None
    tenant_id: str | None = None
    actor: str | None = None
    kind: str | None = None
    action: str | None = None
    """With a dot at its end all that begin so: `tenant.`."""
    request: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Before that moment."""

    def equal(self) -> Mapping[str, str]:
        """The columns that must have these very values."""
        names = ("tenant", "tenant_id", "actor", "kind", "request")
        found = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.action is not None and not self.action.endswith("."):
            found["action"] = self.action
        return found

    @property
    def action_prefix(self) -> str | None:
        """What the action must begin with."""
        return self.action if self.action is not None and self.action.endswith(".") else None


EVERYTHING = Sought()


class Chain(Protocol):
    """The trail's rows and its ends, as they stand; `Transaction.audit` is the way to add a line."""

    async def ends(self) -> Ends | None:
        """None where somebody has taken them away."""
        ...

    async def lines(
        self, sought: Sought = EVERYTHING, *, after: int | None = None, limit: int = 100, newest_first: bool = False
    ) -> Sequence[Line]:
        """Those sought with a number above `after`, or below it if `newest_first`; whatever stands there is told."""
        ...

    async def links(self, numbers: Sequence[int]) -> Mapping[int, str | None]:
        """The links of those of these lines that are there."""
        ...

    async def cut(self, last: Line) -> None:
        """Drop all up to that line, and move the beginning behind it."""
        ...


def _row(parts: Sequence[int | str | None]) -> bytes:
    return json.dumps(parts).encode()  # JSON keeps the parts apart, and is ASCII whatever stands in them
