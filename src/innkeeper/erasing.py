"""The part of the composition root that ends tenants: what is erased with one, and the receipts of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from innkeeper.core.erasure import Disconnect, Erasure, Quiet
from innkeeper.core.former_snapshots import FormerSnapshots
from innkeeper.core.ports import Clock, Store, Units
from innkeeper.core.ports.snapshots import SnapshotStore
from innkeeper.core.ports.traces import Traces
from innkeeper.keyring import Keyring
from innkeeper.settings import Settings
from innkeeper.units.places import FolderTraces

PLACES = ("drills", "exports", "imports", "restores", "staging")
"""Folders of the data directory in which something of a tenant may lie, in an entry that begins with its id."""


def erasure_of(
    settings: Settings,
    *,
    store: Store,
    units: Units,
    keyring: Keyring,
    clock: Clock,
    disconnect: Disconnect,
    snapshots: SnapshotStore | None = None,
    traces: Sequence[Traces] = (),
    quiet: Quiet | None = None,
) -> Erasure:
    """Put it together; `traces` are places beside those in PLACES."""
    places = [FolderTraces(settings.data / name, name) for name in PLACES]
    more = {} if quiet is None else {"quiet": quiet}
    return Erasure(
        store=store,
        units=units,
        keys=keyring,
        signer=keyring.signer,
        clock=clock,
        disconnect=disconnect,
        snapshots=FormerSnapshots(snapshots),
        traces=(*places, *traces),
        trail_kept=timedelta(days=settings.audit_kept_days) if settings.audit_kept_days else None,
        **more,
    )
