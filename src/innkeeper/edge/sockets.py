"""What the kernel asks of sockets: short names, and leave to have many."""

from __future__ import annotations

import resource
from pathlib import Path

from innkeeper.core.errors import EdgeFault

_LONGEST = 107


def check_length(path: Path) -> None:
    """Raise EdgeFault for a path that the kernel takes for no socket."""
    length = len(str(path).encode())
    if length > _LONGEST:
        raise EdgeFault(
            f"The socket's path {path} is {length} bytes long; the kernel takes {_LONGEST}.",
            hint="Choose a data directory with a shorter path (INNKEEPER_DATA).",
        )


def allow_many() -> None:
    """Let this process open as many files as it may: each request that is held is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
