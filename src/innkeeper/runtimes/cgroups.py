"""What a container uses, from the kernel's own files: cgroup v1 and v2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from innkeeper.core.errors import RuntimeFault
from innkeeper.core.instance import Usage


@dataclass(frozen=True, kw_only=True)
class Cgroups:
    """Where the kernel shows its cgroups; other roots are for tests."""

    root: Path = Path("/sys/fs/cgroup")
    proc: Path = Path("/proc")

    def can_freeze(self) -> bool:
        """Whether there is a freezer: a controller of its own with cgroup v1, a part of the whole with v2."""
        return (self.root / "freezer").is_dir() or (self.root / "cgroup.controllers").is_file()

    def usage(self, pid: int) -> Usage:
        """What the cgroup of a process uses; RuntimeFault when the process has just ended."""
        try:
            controllers = _memberships((self.proc / str(pid) / "cgroup").read_text())
            # A hybrid host lists the unified hierarchy too, with no controller in it.
            return self._v1(controllers) if "memory" in controllers else self._v2(controllers[""])
        except (OSError, KeyError, ValueError) as error:
            raise RuntimeFault(f"The kernel shows no usage of process {pid}: {error}") from error

    def _v2(self, path: str) -> Usage:
        folder = self.root / path
        stat = _table(folder / "memory.stat")
        return Usage(
            memory_bytes=_number(folder / "memory.current"),
            rss_bytes=stat["anon"],
            swap_bytes=_number_or_0(folder / "memory.swap.current"),
            cpu_s=_table(folder / "cpu.stat")["usage_usec"] / 1_000_000,
            pids=_number(folder / "pids.current"),
            major_faults=stat.get("pgmajfault", 0),
        )

    def _v1(self, controllers: dict[str, str]) -> Usage:
        memory, cpu, pids = (self._folder(name, controllers[name]) for name in ("memory", "cpuacct", "pids"))
        stat = _table(memory / "memory.stat")
        return Usage(
            memory_bytes=_number(memory / "memory.usage_in_bytes"),
            rss_bytes=stat["total_rss"],
            swap_bytes=stat.get("total_swap", 0),
            cpu_s=_number(cpu / "cpuacct.usage") / 1_000_000_000,
            pids=_number(pids / "pids.current"),
            major_faults=stat.get("total_pgmajfault", 0),
        )

    def _folder(self, controller: str, path: str) -> Path:
        """Controllers that share a hierarchy are mounted under both names, or under `cpu,cpuacct`."""
        mounts = (mount for mount in self.root.iterdir() if controller in mount.name.split(","))
        return next(mounts, self.root / controller) / path


def _memberships(text: str) -> dict[str, str]:
    """From `/proc/PID/cgroup`: each controller's path; the unified hierarchy's has no name."""
    found = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            found[name] = path.lstrip("/")
    return found


def _number(path: Path) -> int:
    return int(path.read_text())


def _number_or_0(path: Path) -> int:
    return _number(path) if path.exists() else 0


def _table(path: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}
