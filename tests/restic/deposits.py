"""Stores of snapshots for tests: real restic, a folder or two, keys that are made up."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from innkeeper.core.ports.snapshots import Repository
from innkeeper.restic import Calls, Limits, ResticStore, Target
from innkeeper.units.erase import erase

AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
OWNER = "tn_alice"
LOCAL, REMOTE = (Repository(target=target, owner=OWNER) for target in ("local", "remote"))
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root: owners, devices, mounts")


class MadeUpKeys:
    """Passwords by name; `wrong` ones of who took another keyring."""

    def __init__(self, kind: str = "right") -> None:
        self.kind = kind
        self.made: list[str] = []

    def repository_password(self, owner: str) -> str:
        return f"{self.kind}-{owner}"

    async def ready(self, owner: str) -> None:
        self.made.append(owner)


def near(folder: Path, *, keys: MadeUpKeys | None = None, program: str = "restic") -> ResticStore:
    """Two targets on this disk."""
    targets = [Target(name="local", folder=folder / "first"), Target(name="remote", folder=folder / "second")]
    return ResticStore(Calls(targets, keys or MadeUpKeys(), folder / "cache", program=program), erase=erase)


def far(folder: Path, url: str, credentials: Mapping[str, str], **ssh: Path) -> ResticStore:
    """One on this disk, one by that URL, given up after five seconds of silence."""

    async def given() -> Mapping[str, str]:
        return credentials

    targets = [
        Target(name="local", folder=folder / "first"),
        Target(name="remote", url=url, credentials=given, **ssh),
    ]
    calls = Calls(targets, MadeUpKeys(), folder / "cache", limits=Limits(patience_s=5.0))
    return ResticStore(calls, erase=erase)


def a_tree(folder: Path) -> Path:
    """A small unit's persistence: text, something large, empty folders, odd names."""
    (folder / "workspace/empty").mkdir(parents=True)
    (folder / "workspace/SOUL.md").write_text("I remember.")
    (folder / "workspace/large").write_bytes(os.urandom(3 << 20))
    (folder / "workspace/new\nline").write_text("two")
    Path(os.fsdecode(os.fsencode(folder) + b"/workspace/\xff\xfe")).write_text("no UTF-8")
    (folder / "sessions.json").write_text("[]")
    (folder / "sessions.json").chmod(0o600)
    return folder


def a_socket(path: Path) -> None:
    """One that nobody listens at any more."""
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(str(path))


def names(folder: Path) -> list[str]:
    """What lies in it."""
    return sorted(path.name for path in folder.iterdir())


def content(folder: Path) -> dict[bytes, bytes | None]:
    """Every file's content, and None for every folder, by path."""
    found: dict[bytes, bytes | None] = {}
    for top, folders, files in os.walk(os.fsencode(folder)):
        for name in folders:
            found[os.path.relpath(os.path.join(top, name), os.fsencode(folder))] = None  # noqa: PTH118
        for name in files:
            path = os.path.join(top, name)  # noqa: PTH118
            if os.path.isfile(path) and not os.path.islink(path):  # noqa: PTH113, PTH114
                with open(path, "rb") as file:  # noqa: PTH123
                    found[os.path.relpath(path, os.fsencode(folder))] = file.read()
    return found
