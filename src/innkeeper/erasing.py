"""The part of the composition root that ends tenants: what is erased with one, and the receipts of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from innkeeper.core.erasure import Disconnect, Erasure, Quiet
from innkeeper.core.events import Bus
from innkeeper.core.former_snapshots import FormerSnapshots
from innkeeper.core.ports import Clock, Store, Units
from innkeeper.core.ports.snapshots import SnapshotStore
from innkeeper.core.ports.traces import Traces
from innkeeper.core.receipt_book import ReceiptBook
from innkeeper.core.receipts import check
from innkeeper.keyring import Keyring
from innkeeper.keyring.choice import master_source
from innkeeper.keyring.signatures import key_id_of, verified
from innkeeper.loops.erasures import ErasureLoop
from innkeeper.settings import Settings
from innkeeper.units import memory
from innkeeper.units.places import FolderTraces

PLACES = ("drills", "exports", "imports", "marks", "restores", "staging")
"""Folders of the data directory in which something of a tenant may lie, in an entry that begins with its id,
or with that of an operation on it."""


@dataclass(frozen=True, kw_only=True)
class Farewell:
    """Ends tenants, keeps the receipts, and goes after what was left."""

    erasure: Erasure
    receipts: ReceiptBook
    loop: ErasureLoop


def farewell(
    settings: Settings,
    store: Store,
    units: Units,
    keyring: Keyring,
    *,
    bus: Bus,
    clock: Clock,
    disconnect: Disconnect,
    quiet: Quiet,
    snapshots: SnapshotStore | None = None,
    traces: Sequence[Traces] = (),
) -> Farewell:
    """Put it together; `traces` are places beside those in PLACES."""
    places = [FolderTraces(settings.data / name, name) for name in PLACES]
    places.append(FolderTraces(memory.folder_for(settings.data), "memory"))  # of a backup that was killed

    async def recorded(tenant_id: str) -> Mapping[str, int]:
        async with store.look() as tx:
            known = await tx.snapshots.of(tenant_id)
        return Counter(target for each in known for target in each.copies)

    former = FormerSnapshots(snapshots, recorded=recorded)
    erasure = Erasure(
        store=store,
        units=units,
        keys=keyring,
        signer=keyring.signer,
        clock=clock,
        disconnect=disconnect,
        snapshots=former,
        traces=(*places, *traces),
        quiet=quiet,
        trail_kept=timedelta(days=settings.audit_kept_days) if settings.audit_kept_days else None,
    )
    receipts = ReceiptBook(store=store, snapshots=former, signer=keyring.signer, bus=bus, clock=clock)
    return Farewell(erasure=erasure, receipts=receipts, loop=ErasureLoop(receipts, bus=bus))


# --- for the command line, with no control plane ----------------------------------------------------------------------


def check_receipt(settings: Settings, document: Any, *, public_key: str | None) -> dict[str, Any]:
    """Whether a receipt is as it was signed: by the owner of that public key, or by this installation's own."""
    if public_key is None:
        public_key = Keyring.open(settings.data, master_source(settings, settings.data), make=False).signer.public_key
    key = key_id_of(public_key)
    found = check(document, public_key=public_key, key=key, verify=verified)
    return {
        "ok": not found.faults,
        "id": found.id,
        "tenant": found.tenant,
        "key": key,
        "faults": list(found.faults),
        "supplements": len(found.supplements),
    }
