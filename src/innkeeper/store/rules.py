"""What every store agrees on beyond the port: its refusals, word for word, and a few orders and names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from innkeeper.core.audit import Entry
from innkeeper.core.errors import Conflict, HostnameTaken, StaleLease, TenantExists, UnknownTenant
from innkeeper.core.people_errors import UserExists
from innkeeper.core.ports import Lease
from innkeeper.core.receipts import ErasureReceipt
from innkeeper.core.release import Release, version_key
from innkeeper.core.trail import Ends

ERASED = "tenant.erased"
"""The action of the trail's last word on a tenant."""


def head_of(ends: Ends) -> str:
    """The trail's head, as people note it."""
    return f"{ends.last}:{ends.last_link}"


def with_receipt(entry: Entry, receipt: ErasureReceipt) -> Entry:
    """The last line on a tenant, tied to the receipt of its erasure."""
    digest = None if receipt.signed is None else receipt.signed.digest
    return replace(entry, detail={**entry.detail, "receipt": receipt.id, "receipt_sha256": digest})


def by_version(releases: Iterable[Release]) -> list[Release]:
    """Agent by agent, the oldest version first."""
    return sorted(releases, key=lambda release: (release.agent, version_key(release.version)))


def after_all_of(prefix: str) -> str:
    """The first text that comes after all those that begin so."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def name_taken(name: str) -> TenantExists:
    """A second tenant of that name."""
    return TenantExists(f"There is a tenant {name} already.")


def slot_taken(slot: int) -> Conflict:
    """A second tenant in that slot."""
    return Conflict(f"Slot {slot} is another tenant's.")


def pack_taken(name: str, version: str) -> Conflict:
    """A second pack of that name and version."""
    return Conflict(f"There is a pack {name} {version} already.")


def hostname_taken(hostname: str) -> HostnameTaken:
    """A second tenant with that hostname."""
    return HostnameTaken(f"{hostname} belongs to another tenant.", field="hostnames")


def changed_meanwhile(name: str) -> Conflict:
    """The revision that a change starts from is no longer the present one."""
    return Conflict(f"{name} was changed by somebody else meanwhile.", hint="Look at it again, then repeat the change.")


def key_used() -> Conflict:
    """A second use of an Idempotency-Key."""
    return Conflict("That Idempotency-Key has been used already.")


def mail_taken(mail: str) -> UserExists:
    """A second user with that mail."""
    return UserExists(f"There is a user {mail} already.", field="mail")


def subject_taken() -> UserExists:
    """A second user who is the same at their provider."""
    return UserExists("Another user signs in with that account of the provider.")


def kept_already() -> Conflict:
    """A second message with that fingerprint."""
    return Conflict("That message is kept already.")


def version_taken(name: str) -> Conflict:
    """A second value of a secret with that version."""
    return Conflict(f"Somebody else set {name} just now.", hint="Look again, then repeat it.")


def no_tenant(name: str) -> UnknownTenant:
    """A key, a message or a secret for nobody."""
    return UnknownTenant(f"There is no tenant {name}.")


def stale(lease: Lease) -> StaleLease:
    """The lease ran out and somebody else has the tenant, or it is gone."""
    return StaleLease(f"{lease.tenant} is no longer {lease.holder}'s to work on.")
