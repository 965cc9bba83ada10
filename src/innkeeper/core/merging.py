"""The merge of a delivery: for each file, from what was last delivered, what is here and what is new.

Pure: it sees three states and says what becomes of the second. Whoever acts on it may be interrupted anywhere and
simply decides again, for a file that is as the new version has it counts as delivered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from innkeeper.core.packs import Content


class Act(StrEnum):
    """What becomes of one file."""

    ADD = "add"  # new to the tenant
    UPDATE = "update"  # as it was delivered, so the new version takes its place
    SAME = "same"  # it is as the new version has it
    KEEP = "keep"  # the tenant's own by now, and the pack has nothing new about it
    BESIDE = "beside"  # both have changed it: the new version goes beside the tenant's
    OVERWRITE = "overwrite"  # by force: the tenant's is saved under another name
    REMOVE = "remove"  # the pack has dropped it, and the tenant hasn't touched it
    RELEASE = "release"  # the pack has dropped it, and the tenant has changed it: theirs from now on
    LEFT_DELETED = "left_deleted"  # the tenant has deleted it, and so it stays
    GONE = "gone"  # dropped by the pack and deleted by the tenant


WRITES = frozenset({Act.ADD, Act.UPDATE, Act.BESIDE, Act.OVERWRITE})
"""For these the new version's bytes are needed."""


@dataclass(frozen=True, kw_only=True)
class Here:
    """What is found where a file should be; nothing unless said."""

    content: Content | None = None
    """Of a regular file."""
    odd: str = ""
    """What it is instead: `a link`, `a folder`."""
    blocked: int | None = None
    """Which of its folders, counted from the top, isn't one."""

    @property
    def is_there(self) -> bool:
        """Whether something has the name, or bars the way to it."""
        return self.content is not None or bool(self.odd)


NOTHING = Here()


def decide(
    delivered: Content | None, here: Here, new: Content | None, *, leaving: bool = False, force: bool = False
) -> Act:
    """What becomes of one file. `leaving`: its removal had begun; `force`: the tenant's changes don't count."""
    untouched = here.content is not None and here.content == delivered
    if new is None:
        if not here.is_there:
            return Act.GONE
        return Act.REMOVE if untouched else Act.RELEASE
    if not here.is_there:
        return Act.LEFT_DELETED if delivered is not None and not leaving else Act.ADD
    if here.content == new:
        return Act.SAME
    if untouched:
        return Act.UPDATE
    if force and here.blocked is None:
        return Act.OVERWRITE
    return Act.KEEP if new == delivered else Act.BESIDE


@dataclass(frozen=True, kw_only=True)
class Item:
    """One file of a plan."""

    path: str
    """Within the tenant's data."""
    act: Act
    pack: str
    new: Content | None = None
    here: Here = NOTHING


@dataclass(frozen=True, kw_only=True)
class Last:
    """What was last delivered at a path."""

    content: Content
    pack: str
    leaving: bool = False
    """Its removal has begun, and may be done."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be at a path."""

    content: Content
    pack: str
    source: str
    """Its path within the pack."""


def plan(
    delivered: Mapping[str, Last],
    here: Mapping[str, Here],
    wanted: Mapping[str, Wanted],
    *,
    of: frozenset[str],
    force: bool = False,
) -> list[Item]:
    """Every file that the packs `of` have or had, by path, with what becomes of it."""
    items = []
    for path in concerned(delivered, wanted, of=of):
        last, new, found = delivered.get(path), wanted.get(path), here.get(path, NOTHING)
        act = decide(
            last.content if last else None,
            found,
            new.content if new else None,
            leaving=last is not None and last.leaving,
            force=force,
        )
        pack = new.pack if new else last.pack if last else ""
        items.append(Item(path=path, act=act, pack=pack, new=new.content if new else None, here=found))
    return items


def concerned(delivered: Mapping[str, Last], wanted: Mapping[str, Wanted], *, of: frozenset[str]) -> list[str]:
    """The paths that have to be looked at; what packs have left that nobody is given any more isn't touched."""
    return sorted({*wanted, *(path for path, last in delivered.items() if last.pack in of)})
