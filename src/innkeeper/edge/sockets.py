"""What the kernel asks of sockets: short names, and leave to have many."""

from __future__ import annotations

import resource
import socket
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


def bind_private(path: Path, *, backlog: int) -> socket.socket:
    """A socket that listens at `path` for our own user alone. It takes its place in one rename, so that whoever
    connects finds the old listener or the new."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(path.name + "+")
    check_length(fresh)
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(fresh))
    fresh.chmod(0o600)
    listener.listen(backlog)
    fresh.rename(path)
    return listener


def allow_many() -> None:
    """Let this process open as many files as it may: each request that is held is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
