"""Snapshots by restic, each run in a sandbox of its own: the core's `SnapshotStore`."""

from innkeeper.restic.calls import Calls
from innkeeper.restic.packing import Limits
from innkeeper.restic.store import ResticStore
from innkeeper.restic.targets import Target

__all__ = ["Calls", "Limits", "ResticStore", "Target"]
