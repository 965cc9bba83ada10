"""Taking secrets out of a copy of an agent's config files, and out of what lies beside them under longer names."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping, Sequence

from innkeeper.units.safe_tree import Owner, folder, names_in, read_file, replace_file

READ_LIMIT_BYTES = 8 << 20
_SHORT = 12


def conceal(tree: int, paths: Sequence[str], values: Mapping[str, str]) -> None:
    """Put each value's stand-in in its place, as it is and as JSON writes it. A config file that is too large to be
    read is taken out."""
    if not values:
        return
    spelt = _spelt(values)
    for path in paths:
        *above, name = path.split("/")
        try:
            with folder(tree, above) as parent:
                for found in names_in(parent):
                    if found.startswith(name):
                        _conceal(parent, found, spelt)
        except (FileNotFoundError, NotADirectoryError):
            continue


def _conceal(parent: int, name: str, spelt: Mapping[bytes, bytes]) -> None:
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode):
        return
    before = read_file(parent, name, limit=READ_LIMIT_BYTES)
    if before is None:
        os.unlink(name, dir_fd=parent)
        return
    after = before
    for value, instead in spelt.items():
        after = after.replace(value, instead)
    if after != before:
        replace_file(parent, name, after, Owner(uid=os.geteuid(), gid=os.getegid()))


def _spelt(values: Mapping[str, str]) -> dict[bytes, bytes]:
    """Longest first: one may be a part of another. What is so short that it may stand anywhere counts as a whole value
    alone."""
    found: dict[bytes, bytes] = {}
    for value, instead in values.items():
        quote = '"' if len(value) < _SHORT else ""
        for text in (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
            found[f"{quote}{text}{quote}".encode()] = f"{quote}{instead}{quote}".encode()
    return dict(sorted(found.items(), key=lambda pair: -len(pair[0])))
