"""Long lists in pages: `limit`, and an opaque `cursor` that says where the next page begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Query

from innkeeper.core.errors import Invalid

LIMIT, LIMIT_MAX = 50, 500
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Paging:
    """Which page is asked for."""

    limit: int
    after: str
    """The key of the last item of the page before; empty for the first page."""

    @property
    def take(self) -> int:
        """How many to read: one more than asked for tells whether there is another page."""
        return self.limit + 1

    def cut(self, found: Sequence[Item]) -> tuple[Sequence[Item], bool]:
        """The page itself, and whether another follows."""
        return found[: self.limit], len(found) > self.limit


def cursor_after(key: str) -> str:
    """The cursor of the page that begins after `key`."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def number_in(after: str) -> int:
    """The key of a list that goes by numbers; raises Invalid for what can't be one of ours."""
    if after and not (after.isdecimal() and len(after) <= 18):
        raise _not_ours()
    return int(after or 0)


def _not_ours() -> Invalid:
    return Invalid("That isn't a cursor of ours.", field="cursor", hint="Pass on `next_cursor` as it came.")


def _paging(
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many items at most.")] = LIMIT,
    cursor: Annotated[
        str | None, Query(max_length=400, description="`next_cursor` of the page before; leave out for the first.")
    ] = None,
) -> Paging:
    return Paging(limit=limit, after=_key_of(cursor) if cursor else "")


def _key_of(cursor: str) -> str:
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        key = ""
    if not key or not key.isprintable():
        raise _not_ours()
    return key


Page = Annotated[Paging, Depends(_paging)]
"""The page asked for, as a handler's parameter."""
