"""What each container costs beside its own memory: the Engine's keeper process, and the kernel's file watchers."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

KEEPER = "containerd-shim"
PROCESSES_MAX = 20_000
"""So many are looked at in search of keepers; a host with more is measured by those found by then."""
TREE_MAX = 500
"""A container with more processes is left out."""
_ID = re.compile(rb"\0-id\0([0-9a-f]{64})\0")


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """One container's."""

    keeper_mb: float
    """Its keeper's own memory; what all keepers share is there once and isn't counted."""
    keeper_tasks: int
    inotify: int
    """Instances that its processes hold."""


def footprints(ids: Collection[str], *, proc_root: Path = Path("/proc")) -> Mapping[str, Footprint]:
    """Of the containers with those ids; one that can't be looked at is left out."""
    found: dict[str, Footprint] = {}
    for container, keeper in _keepers(proc_root):
        if container not in ids:
            continue
        try:
            found[container] = _look(proc_root, keeper)
        except OSError:
            continue  # it has ended, or isn't ours to look at
        if len(found) == len(ids):
            break
    return found


def _keepers(proc_root: Path) -> Iterator[tuple[str, Path]]:
    folders = (entry for entry in os.scandir(proc_root) if entry.name.isdecimal())
    for number, entry in enumerate(folders):
        if number >= PROCESSES_MAX:
            return
        folder = Path(entry.path)
        try:
            if (folder / "comm").read_text().strip() != KEEPER:
                continue
            container = _ID.search((folder / "cmdline").read_bytes())
        except OSError:
            continue
        if container is not None:
            yield container[1].decode(), folder


def _look(proc_root: Path, keeper: Path) -> Footprint:
    inside = [folder for pid in _children(keeper) for folder in _tree(proc_root / pid)]
    return Footprint(
        keeper_mb=_number(keeper / "smaps_rollup", "Private_Dirty") / 1024,
        keeper_tasks=_number(keeper / "status", "Threads"),
        inotify=sum(_watchers(folder) for folder in inside),
    )


def _tree(folder: Path) -> list[Path]:
    """A process and all below it."""
    found = [folder]
    for each in found:
        found += [folder.parent / pid for pid in _children(each)]
        if len(found) > TREE_MAX:
            raise OSError(f"more than {TREE_MAX} processes")
    return found


def _children(folder: Path) -> list[str]:
    """Of every thread, for each may have started some."""
    return [pid for task in (folder / "task").iterdir() for pid in (task / "children").read_text().split()]


def _watchers(folder: Path) -> int:
    return sum(str(each.readlink()) == "anon_inode:inotify" for each in (folder / "fd").iterdir())


def _number(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise OSError(f"{file} has no {name}")
