"""Looks for a secret wherever a container could have it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def places_of(secret: str, shown: Mapping[str, Any], folder: Path) -> list[str]:
    """Where in an inspected container something is: files, environments, arguments, memory, and what Docker tells."""
    found = ["inspect"] if secret in json.dumps(shown) else []
    found += [str(path) for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    for process in processes_of(shown["State"]["Pid"]):
        found += [f"{process.name}: {each}" for each in seen_in_process(process, secret.encode())]
    return found


def processes_of(pid: int) -> list[Path]:
    """All that see each other in the container."""
    inside = (Path("/proc") / str(pid) / "ns/pid").readlink()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            if (process / "ns/pid").readlink() == inside:
                found.append(process)
    return found


def seen_in_process(process: Path, secret: bytes) -> list[str]:
    """Where in a process it is."""
    found = [name for name in ("environ", "cmdline") if secret in (process / name).read_bytes()]
    with (process / "mem").open("rb", buffering=0) as memory:
        for line in (process / "maps").read_text().splitlines():
            span, access, *_ = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if access.startswith("rw"):
                with suppress(OSError, ValueError, OverflowError):
                    memory.seek(start)
                    if secret in memory.read(end - start):
                        found.append("memory")
                        break
    return found
