"""What restic prints as JSON, read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from errno import ENOENT
from pathlib import PurePosixPath
from typing import Any

from innkeeper.core.ports.snapshots import Entry, EntryKind, Kept, Saved

_MODE = 0o777
_SPECIAL = {1 << 23: 0o4000, 1 << 22: 0o2000, 1 << 20: 0o1000}
"""Go's bits for set-user-id, set-group-id and sticky (https://pkg.go.dev/io/fs#FileMode), and Unix's."""
_FRACTION = re.compile(r"(\.\d{6})\d+")


def kept_of(each: dict[str, Any]) -> Kept:
    """A snapshot, as `snapshots --json` lists it."""
    return Kept(
        id=each["id"],
        at=_time(each["time"]),
        name=each.get("hostname", ""),
        tags=frozenset(each.get("tags") or ()),
        folders=tuple(each.get("paths") or ()),
        original=each.get("original"),
    )


def entry_of(each: dict[str, Any]) -> Entry:
    """A node, as `ls --json` prints it."""
    kinds = {kind.value: kind for kind in EntryKind}
    mode = each.get("mode", 0)
    special = sum(unix for go, unix in _SPECIAL.items() if mode & go)
    return Entry(
        path=PurePosixPath(each["path"]),
        kind=kinds.get(each["type"], EntryKind.OTHER),
        size=each.get("size", 0),
        mtime=_time(each["mtime"]),
        uid=each.get("uid", 0),
        mode=(mode & _MODE) | special,
    )


def saved_of(summary: dict[str, Any], snapshot: str) -> Saved:
    """What the last line of `backup --json` says."""
    return Saved(
        id=snapshot,
        files_new=summary["files_new"],
        files_changed=summary["files_changed"],
        files_unmodified=summary["files_unmodified"],
        dirs_new=summary["dirs_new"],
        dirs_changed=summary["dirs_changed"],
        dirs_unmodified=summary["dirs_unmodified"],
        bytes_added=summary["data_added"],
        bytes_read=summary["total_bytes_processed"],
        seconds=summary["total_duration"],
    )


def unread(said: Sequence[str]) -> Sequence[str]:
    """What `backup` couldn't read, of what was there: a file that has vanished meanwhile isn't missed."""
    found = []
    for line in said:
        try:
            each = json.loads(line)
        except ValueError:
            continue
        if isinstance(each, dict) and each.get("message_type") == "error":
            error = each.get("error")
            if not (isinstance(error, dict) and error.get("Err") == ENOENT):
                found.append(f"{each.get('item')}: {error}")
    return found


def only_parts_lost(missed: Sequence[str]) -> bool:
    """Whether all that it missed, perhaps, is parts of the parent that the repository lacks: those files were read
    again. restic 0.14 says nothing at all of the reason then, but not only then."""
    return bool(missed) and all(each.endswith(": {}") or "not found in the repository index" in each for each in missed)


def _time(text: str) -> datetime:
    # Go writes nanoseconds, and no more than microseconds are read.
    return datetime.fromisoformat(_FRACTION.sub(r"\1", text)).astimezone(UTC)
