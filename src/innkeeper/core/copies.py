"""Lines of the trail that are kept elsewhere: each carries the link that it is tied to, to be checked alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from innkeeper.core.checking import FAULTS_MAX, Fault, FaultKind
from innkeeper.core.trail import COLUMNS, Line, Links

TOLD = ("detail", "before", "after")
"""The columns that hold JSON."""


@dataclass(frozen=True, kw_only=True)
class CopyVerdict:
    """What came out of a check of copies."""

    rows: int
    """How many are as they were written."""
    first: int | None
    last: int | None
    link: str | None
    """The last one's."""
    gaps: int
    """How often lines between two of them aren't among them: left out by a filter, or taken away."""
    faults: tuple[Fault, ...]
    more: bool

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with those that are there."""
        return not self.faults


def copy_of(line: Line, *, previous: str | None) -> Mapping[str, object]:
    """The line to be kept elsewhere, so that what it says is word for word what it said."""
    told = {name: _as_json(line[name]) if name in TOLD else line[name] for name in COLUMNS}
    return {"number": line.number, **told, "previous": previous, "link": line.link}


def check_copies(copies: Iterable[Any], links: Links) -> CopyVerdict:
    """Whether each is as it was written, and in its place; what isn't a copy at all is a fault, too."""
    faults: list[Fault] = []
    rows = gaps = 0
    first = last = link = None
    for position, copy in enumerate(copies, 1):
        if len(faults) > FAULTS_MAX:
            break
        line = _line_of(copy)
        if line is None:
            faults.append(Fault(number=None, kind=FaultKind.ADDED, says=f"Line {position} of the file is no copy."))
            continue
        previous = copy.get("previous")
        if last is not None and line.number <= last:
            faults.append(Fault(number=line.number, kind=FaultKind.MOVED, says=f"It comes after number {last}."))
            continue
        if not isinstance(previous, str) or line.link_after(previous, links) != line.link:
            faults.append(Fault(number=line.number, kind=FaultKind.CHANGED, says="It isn't what was written."))
        elif last is not None and line.number == last + 1 and previous != link:
            faults.append(Fault(number=line.number, kind=FaultKind.MOVED, says=f"It isn't tied to number {last}."))
        else:
            rows += 1
        gaps += last is not None and line.number != last + 1
        first = line.number if first is None else first
        last, link = line.number, line.link
    return CopyVerdict(
        rows=rows, first=first, last=last, link=link, gaps=gaps,
        faults=tuple(faults[:FAULTS_MAX]), more=len(faults) > FAULTS_MAX,
    )  # fmt: skip


def _as_json(text: str | None) -> object:
    """What the text says, where nothing is lost by that."""
    if text is None:
        return None
    try:
        told = json.loads(text)
    except ValueError:
        return text
    return told if isinstance(told, dict) and _text_of(told) == text else text


def _text_of(told: object) -> str:
    return json.dumps(told, separators=(",", ":"))  # as the store writes it


def _line_of(copy: Any) -> Line | None:
    if not isinstance(copy, dict) or not isinstance(copy.get("number"), int):
        return None
    texts = [_text_of(value) if isinstance(value := copy.get(name), dict) else value for name in COLUMNS]
    if not all(text is None or isinstance(text, str) for text in [*texts, copy.get("link")]):
        return None
    return Line(copy["number"], tuple(texts), copy.get("link"))
