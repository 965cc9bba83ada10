"""Snapshots by restic, each run in a sandbox of its own: the core's `SnapshotStore`."""

from innkeeper.restic.store import ResticStore
from innkeeper.restic.targets import Target

__all__ = ["ResticStore", "Target"]
