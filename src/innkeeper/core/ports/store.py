"""What the core needs of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from innkeeper.core.access import TenantKey
from innkeeper.core.audit import Entry
from innkeeper.core.operations import Operation
from innkeeper.core.past import Past
from innkeeper.core.ports.drills import DrillRows
from innkeeper.core.ports.egress import AskedNames
from innkeeper.core.ports.messages import Messages
from innkeeper.core.ports.oauth import IntegrationRows
from innkeeper.core.ports.pack_rows import PackRows
from innkeeper.core.ports.people import People
from innkeeper.core.ports.receipts import Erasures, Issue
from innkeeper.core.ports.secrets import SecretRows
from innkeeper.core.ports.snapshot_rows import SnapshotRows
from innkeeper.core.ports.usage import UsageBook
from innkeeper.core.release import Release
from innkeeper.core.tenant import Seen, Tenant
from innkeeper.core.trail import Chain

LEASE_FOR = timedelta(seconds=30)
LEASE_AT_MOST = 4 * LEASE_FOR
"""Nobody takes one for longer: whatever has more to go is of a clock that was set back since."""
"""Long enough for a busy machine to renew in time, short enough that another control plane takes over soon."""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to work on one tenant for a while."""

    tenant: str
    holder: str
    token: str
    until: datetime
    work: bool = False
    """For a work on its folder (core/works.py), not for the reconciler's steps."""


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What an Idempotency-Key was used for."""

    key: str
    actor: str
    fingerprint: str
    """A hash of method, path and body: the same key with another one is a mistake."""
    operation_id: str
    created_at: datetime


class Transaction(Protocol):
    """One atomic piece of reading and writing; nothing of it is seen unless all of it is."""

    @property
    def messages(self) -> Messages:
        """The inboxes."""
        ...

    @property
    def people(self) -> People:
        """Users and their credentials."""
        ...

    @property
    def secrets(self) -> SecretRows:
        """The vault's rows."""
        ...

    @property
    def packs(self) -> PackRows:
        """The versions of packs that there are."""
        ...

    @property
    def integrations(self) -> IntegrationRows:
        """What tenants are connected to."""
        ...

    @property
    def asked_names(self) -> AskedNames:
        """What tenants have asked name servers for."""
        ...

    @property
    def chain(self) -> Chain:
        """The trail, as it stands."""
        ...

    @property
    def drills(self) -> DrillRows:
        """The snapshots that were brought up to prove them."""
        ...

    @property
    def usage(self) -> UsageBook:
        """What calls used."""
        ...

    @property
    def erasures(self) -> Erasures:
        """What was erased, and the receipts of it."""
        ...

    @property
    def snapshots(self) -> SnapshotRows:
        """What is kept of whom."""
        ...

    async def tenant(self, name: str) -> Tenant | None: ...
    async def tenants(self, *, after: str = "", limit: int | None = None) -> Sequence[Tenant]:
        """By name, those after `after`; None: all of them."""
        ...

    async def count_states(self) -> Mapping[str, int]:
        """How many tenants were last seen in each state."""
        ...

    async def free_slot(self) -> int:
        """The lowest slot that no tenant has."""
        ...

    async def hostname_owner(self, hostname: str) -> str | None:
        """The name of the tenant that has this custom hostname."""
        ...

    async def add_tenant(self, tenant: Tenant) -> None:
        """Raises TenantExists, HostnameTaken."""
        ...

    async def change_tenant(self, tenant: Tenant, *, from_revision: int) -> None:
        """Write all but `seen`, `last_activity` and `past`; Conflict when it was changed meanwhile, HostnameTaken."""
        ...

    async def reset_seen(self, name: str, seen: Seen) -> None:
        """Replace what was seen: the use cases that clear a failure do so; the reconciler uses `Store.record`."""
        ...

    async def drop_tenant(self, name: str, tenant_id: str) -> None:
        """Remove the row and all that hangs on it: keys, hostnames, receipts, messages, secrets, asked names.

        Operations and audit stay.
        """
        ...

    async def add_operation(self, operation: Operation) -> None: ...
    async def put_operation(self, operation: Operation) -> None: ...
    async def operation(self, operation_id: str) -> Operation | None: ...
    async def operations(
        self, *, tenant: str | None = None, open_only: bool = False, after: str = "", limit: int | None = None
    ) -> Sequence[Operation]:
        """Oldest first (ids sort by time)."""
        ...

    async def add_key(self, key: TenantKey) -> None: ...
    async def keys(self, tenant: str | None = None) -> Sequence[TenantKey]: ...
    async def drop_key(self, tenant: str, key_id: str) -> bool: ...

    async def receipt(self, actor: str, key: str) -> Receipt | None: ...
    async def add_receipt(self, receipt: Receipt) -> None:
        """Raises Conflict when the actor has used the key already."""
        ...

    async def put_release(self, release: Release) -> None: ...
    async def releases(self, agent: str | None = None) -> Sequence[Release]: ...

    async def audit(self, entry: Entry) -> None:
        """Write the entry down as the trail's next line, tied to the last; only in `Store.begin`."""
        ...

    async def trail(
        self, *, tenant: str | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, Entry]]:
        """Entries by their number, oldest first."""
        ...

    async def erasure_by(self, operation_id: str) -> Entry | None:
        """The entry `tenant.erased` that names this operation in its detail `operations`."""
        ...

    async def was_deleted(self, tenant_id: str) -> bool:
        """Whether the trail says that this very tenant was deleted to the end."""
        ...


class Store(Protocol):
    """What should be, and what was last seen. StoreUnavailable when it doesn't answer.

    No caller keeps a transaction open over anything slow: no network call inside one.
    """

    def begin(self, *, synced: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits when the block ends well and rolls back otherwise. Writers wait for each other.

        With `synced` it is on the disk when the block has ended, so that not even a power cut undoes it.
        """
        ...

    def look(self) -> AbstractAsyncContextManager[Transaction]:
        """The same for reading alone; never waits for a writer."""
        ...

    async def claim(self, tenant: str, *, holder: str, for_s: float) -> Lease | None:
        """The lease of a tenant: None when somebody has it (the same holder too) or the tenant isn't there.

        One that has more than LEASE_AT_MOST to go is nobody's.
        """
        ...

    async def claim_work(self, tenant: str, *, holder: str, for_s: float) -> Lease | None:
        """The right to carry out a work on whatever goes by that name, beside the tenant's own lease and like it; the
        tenant needn't be there."""
        ...

    async def record_work(self, lease: Lease, operation: Operation) -> None:
        """Write how a work stands, guarded by its lease; raises StaleLease."""
        ...

    async def renew(self, lease: Lease, *, for_s: float) -> Lease:
        """The same lease for longer; raises StaleLease."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give it back; nothing happens when it is another's by now."""
        ...

    async def record(self, lease: Lease, seen: Seen, operations: Sequence[Operation] = ()) -> None:
        """Write what was seen and how operations stand, in one transaction guarded by the lease; raises StaleLease."""
        ...

    async def erase(
        self, lease: Lease, tenant_id: str, operations: Sequence[Operation], entry: Entry, *, issue: Issue | None = None
    ) -> None:
        """Drop the tenant's rows and end its operations, in one transaction guarded by the lease; raises StaleLease.

        With `issue` all rows of it are dropped, its operations and what its calls used among them, and the receipt that
        `issue` makes of that is written down. What is left stands there and in the trail's entry, which gets the
        receipt's id and hash.
        """
        ...

    async def scrub(self) -> bool:
        """Have what was dropped gone from the database's own files, as far as those are ours to look after; False:
        others still read what was there before, so that it has to be tried again."""
        ...

    async def touch(self, activity: Mapping[str, datetime]) -> None:
        """Write down when tenants were last active; of two times the later one stays. Unknown names are ignored."""
        ...

    async def remember(self, pasts: Mapping[str, Past]) -> None:
        """Write down what was measured of tenants. Unknown names are ignored."""
        ...

    async def forget(self, *, before: datetime) -> int:
        """Drop ended operations and receipts older than that; how many."""
        ...

    async def close(self) -> None: ...
