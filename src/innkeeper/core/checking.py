"""Goes along the chain of the trail, line after line, and names what isn't as it was written."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from innkeeper.core.trail import Ends, Line, Links

FAULTS_MAX = 20
"""So many are named; whoever has to know them all has a backup to compare with."""
_NEAR = 8


class FaultKind(StrEnum):
    """What is wrong with a line, or with the whole."""

    CHANGED = "changed"  # it says something else than was written
    LINK_CHANGED = "link_changed"  # what it says is as it was written, its link isn't
    UNLINKED = "unlinked"  # it has no link: somebody else wrote it, or took the link away
    MOVED = "moved"  # it was written as another number
    MISSING = "missing"
    ADDED = "added"  # it stands where none was written
    ENDS = "ends"  # where the trail begins and ends isn't what was written down
    HEAD = "head"  # a head that was noted elsewhere isn't part of it


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong."""

    number: int | None
    """The line's; of several missing ones the first. None: it is about the whole."""
    kind: FaultKind
    says: str


@dataclass(frozen=True, kw_only=True)
class Head:
    """The trail's last line at some moment, as somebody has noted it outside: as text `NUMBER:LINK`."""

    number: int
    link: str

    def __str__(self) -> str:
        return f"{self.number}:{self.link}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came out of a check."""

    rows: int
    """How many lines are as they were written."""
    first: int | None
    last: int | None
    head: Head | None
    """To be noted outside: whoever holds both database and keyring could forge all but that."""
    began: int
    """Lines up to this number are vouched for only since the chain began."""
    cut: int
    """Retention took off the lines up to this number."""
    faults: tuple[Fault, ...]
    more: bool
    """Whether the check stopped at so many faults."""
    head_is_cut: bool = False
    """The head that was asked about is from before what retention took off: nothing can be told of it."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


class Checker:
    """Is given the lines in the order of their numbers, page by page, then the ends as they are by then."""

    def __init__(self, links: Links, ends: Ends | None, *, head: Head | None = None) -> None:
        self._links = links
        self._ends = ends or Ends()
        self._head = head
        self._previous = self._ends.cut_link
        self._last = self._ends.cut
        self._first: int | None = None
        self._rows = 0
        self._faults: list[Fault] = []
        self._more = False
        self._before_page = self._previous
        self._expected: str | None = None
        """The link that the line before must have had, where it had another."""
        self._nearby: deque[str] = deque(maxlen=_NEAR)
        """Links that the next line may be tied to, where the one before it was at fault."""
        if ends is None:
            self._fault(None, FaultKind.ENDS, "It isn't written down any more where the trail begins and ends.")
        elif not ends.holds(links):
            self._fault(None, FaultKind.ENDS, "Where the trail begins and ends was written by somebody else.")

    @property
    def at(self) -> int:
        """The number of the last line looked at."""
        return self._last

    @property
    def is_over(self) -> bool:
        """Whether there are faults enough."""
        return self._more

    @property
    def faulty(self) -> bool:
        """Whether anything was wrong so far."""
        return bool(self._faults)

    def follow(self, ends: Ends | None) -> None:
        """The ends, as they are now: the last line moves on, and retention may have taken off what was to come."""
        if ends is None or not ends.holds(self._links) or self._ends.began != ends.began:
            return  # told at the start, or at the end
        if ends.cut > self._last:
            self._last, self._previous = ends.cut, ends.cut_link
        self._ends = ends

    def take(self, lines: Sequence[Line]) -> None:
        """The next lines."""
        began, links = self._ends.began, self._links
        self._before_page = self._previous
        for line in lines:
            link = line.link_after(self._previous, links)
            number = line.number
            if link == line.link and (number == self._last + 1 or self._last < number <= began):
                self._previous = link
                self._last = number
                self._rows += 1
                self._expected = None
                if self._nearby:
                    self._nearby.clear()
            else:
                self._judge(line, link, lines)
                if self._more:
                    return
            if self._first is None:
                self._first = number
            if self._head is not None and self._head.number == number and self._head.link != line.link:
                self._fault(number, FaultKind.HEAD, "It isn't the line whose link was noted.")

    def end(self, ends: Ends | None) -> Verdict:
        """No line is left: is that where it must end?"""
        if ends is not None and not self._more:
            self._end(ends)
        return self._verdict()

    def _end(self, ends: Ends) -> None:
        if not ends.holds(self._links) and not any(each.kind is FaultKind.ENDS for each in self._faults):
            self._fault(None, FaultKind.ENDS, "Where the trail begins and ends was written by somebody else.")
        if self._last < ends.last:
            self._miss(self._last + 1, ends.last)
        elif ends.last_link != self._previous:
            if ends.last_link == self._expected:
                self._only_the_link()
            elif not self._faults:
                self._fault(ends.last, FaultKind.ENDS, "The last line isn't the one that was written down as such.")
        if self._head is not None:
            self._find_head(self._head, ends)

    def _find_head(self, head: Head, ends: Ends) -> None:
        if head.number > ends.last:
            self._fault(head.number, FaultKind.HEAD, "The trail ends before the line that was noted.")
        elif head.number == ends.cut and head.link != ends.cut_link:
            self._fault(head.number, FaultKind.HEAD, "It isn't the line whose link was noted.")

    def _verdict(self) -> Verdict:
        head = Head(number=self._last, link=self._previous) if self._last and not self._faults else None
        return Verdict(
            rows=self._rows,
            first=self._first,
            last=self._last if self._first is not None else None,
            head=head,
            began=self._ends.began,
            cut=self._ends.cut,
            faults=tuple(self._faults[:FAULTS_MAX]),
            more=self._more,
            head_is_cut=self._head is not None and self._head.number < self._ends.cut,
        )

    # --- what is wrong ------------------------------------------------------------------------------------------------

    def _judge(self, line: Line, expected: str, lines: Sequence[Line]) -> None:
        number = line.number
        if number <= self._last:
            self._fault(number, FaultKind.ADDED, "It stands before the trail's beginning, or twice.")
            return
        if number > self._ends.last:
            self._fault(number, FaultKind.ADDED, "It stands behind the trail's end.")
            return
        if number > self._last + 1 and number > self._ends.began:
            self._miss(max(self._last, self._ends.began) + 1, number - 1)
            self._go_on(line, expected=None)
            return
        if self._is_tied_nearby(line, lines):
            self._rows += 1
            self._go_on(line, expected=None)
            return
        if number > self._last + 1:  # gaps from before there was a chain are no fault by themselves
            says = f"A line up to number {number} isn't there any more, or was changed."
            self._fault(self._last + 1, FaultKind.MISSING, says)
        elif line.link is None:
            self._fault(number, FaultKind.UNLINKED, "It has no link: somebody else wrote it, or took its link away.")
        elif (moved := self._written_as(line, lines)) is not None:
            self._fault(number, FaultKind.MOVED, f"What stands here was written as number {moved}.")
        else:
            self._fault(number, FaultKind.CHANGED, "It isn't what was written.")
        self._nearby.append(expected)
        if line.link is not None:
            self._nearby.append(line.link)
        self._last, self._previous, self._expected = number, line.link or expected, expected

    def _is_tied_nearby(self, line: Line, lines: Sequence[Line]) -> bool:
        """Whether only the line before it is at fault, which has been told."""
        if not self._nearby or line.link is None:
            return False
        if self._expected is not None and line.link_after(self._expected, self._links) == line.link:
            self._only_the_link()
            return True
        others = [*self._nearby, *(each.link for each in lines if each.link is not None)]
        return any(line.link_after(other, self._links) == line.link for other in others)

    def _only_the_link(self) -> None:
        """The last fault is of a line whose own words are what its successor is tied to."""
        if self._faults and self._faults[-1].kind is FaultKind.CHANGED:
            says = "It says what was written, but its link was changed."
            self._faults[-1] = replace(self._faults[-1], kind=FaultKind.LINK_CHANGED, says=says)

    def _miss(self, first: int, last: int) -> None:
        says = "It isn't there any more." if first == last else f"It and all up to {last} aren't there any more."
        self._fault(first, FaultKind.MISSING, says)

    def _go_on(self, line: Line, *, expected: str | None) -> None:
        self._last, self._expected = line.number, expected
        self._previous = line.link or expected or self._previous

    def _fault(self, number: int | None, kind: FaultKind, says: str) -> None:
        self._faults.append(Fault(number=number, kind=kind, says=says))
        self._more = len(self._faults) > FAULTS_MAX

    def _written_as(self, line: Line, lines: Sequence[Line]) -> int | None:
        """The number under which the line was written, where it changed places with one nearby."""
        before: str | None = self._before_page
        for other in lines:
            for previous in (before, other.link):
                if previous is None or other.texts == line.texts:
                    continue
                if line.link_after(previous, self._links, number=other.number) in (line.link, other.link):
                    return other.number
            before = other.link
        return None
