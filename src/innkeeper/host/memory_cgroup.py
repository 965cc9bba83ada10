"""The cgroup of one container as far as memory goes, in both versions, for whoever pages it out."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class MemoryCgroup(Protocol):
    """What can be asked of it, and done to it."""

    @property
    def path(self) -> str:
        """As in /proc/PID/cgroup, without the first slash; empty for the root of all."""
        ...

    def pids(self) -> list[int]: ...
    def charged_bytes(self) -> int: ...
    def swapped_bytes(self) -> int: ...
    def frozen(self) -> bool: ...

    def may_swap(self) -> bool:
        """Whether its own limit leaves it any swap."""
        ...

    def squeeze(self) -> None:
        """Have the kernel reclaim all it can: page cache, swap cache, what processes share. Only while frozen."""
        ...


def membership(pid: int, proc_root: Path) -> tuple[int, str]:
    """Version and path of the memory cgroup that a process is in."""
    paths: dict[str, str] = {}
    for line in (proc_root / str(pid) / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path.lstrip("/"))
    # A hybrid host lists the unified hierarchy too, with no controller in it.
    return (1, paths["memory"]) if "memory" in paths else (2, paths.get("", ""))


def cgroup_of(pid: int, *, cgroup_root: Path, proc_root: Path) -> MemoryCgroup:
    """The memory cgroup of a process; FileNotFoundError or ProcessLookupError when the process has ended."""
    version, path = membership(pid, proc_root)
    return Version1(root=cgroup_root, path=path) if version == 1 else Version2(root=cgroup_root, path=path)


@dataclass(frozen=True)
class Version1:
    """Under `memory` and `freezer`, each a hierarchy of its own; Docker uses one path in all of them."""

    root: Path
    path: str

    @property
    def _folder(self) -> Path:
        return self.root / "memory" / self.path

    def pids(self) -> list[int]:
        return _numbers(self._folder / "cgroup.procs")

    def charged_bytes(self) -> int:
        return _numbers(self._folder / "memory.usage_in_bytes")[0]

    def swapped_bytes(self) -> int:
        """0 where the kernel doesn't account for swap."""
        return _table(self._folder / "memory.stat").get("total_swap", 0)

    def frozen(self) -> bool:
        state = self.root / "freezer" / self.path / "freezer.state"
        return state.exists() and state.read_text().strip() == "FROZEN"

    def may_swap(self) -> bool:
        limit = self._folder / "memory.memsw.limit_in_bytes"  # of memory and swap together: leaves room when full
        return not limit.exists() or _numbers(limit)[0] > 0

    def squeeze(self) -> None:
        _bring_statistics_up_to_date(self._folder)
        (self._folder / "memory.force_empty").write_text("0")


@dataclass(frozen=True)
class Version2:
    """One folder in the unified hierarchy."""

    root: Path
    path: str

    @property
    def _folder(self) -> Path:
        return self.root / self.path

    def pids(self) -> list[int]:
        return _numbers(self._folder / "cgroup.procs")

    def charged_bytes(self) -> int:
        return _numbers(self._folder / "memory.current")[0]

    def swapped_bytes(self) -> int:
        """0 on a kernel without swap."""
        current = self._folder / "memory.swap.current"
        return _numbers(current)[0] if current.exists() else 0

    def frozen(self) -> bool:
        return _table(self._folder / "cgroup.events").get("frozen") == 1

    def may_swap(self) -> bool:
        limit = self._folder / "memory.swap.max"
        return limit.exists() and limit.read_text().strip() != "0"

    def squeeze(self) -> None:
        """Linux 5.19 and newer; older ones keep what MADV_PAGEOUT leaves."""
        reclaim = self._folder / "memory.reclaim"
        if not reclaim.exists():
            return
        _bring_statistics_up_to_date(self._folder)
        try:
            reclaim.write_text(str(self.charged_bytes()))
        except OSError as error:
            if error.errno != errno.EAGAIN:  # says that a part stayed, as it always does
                raise


def _bring_statistics_up_to_date(folder: Path) -> None:
    """Reclaim judges by them which pages to take, and those of seconds ago make it leave the active ones be."""
    (folder / "memory.stat").read_text()


def _numbers(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()]


def _table(path: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}
