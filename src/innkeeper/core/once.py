"""Idempotency-Keys: the same request sent again begins nothing new."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from innkeeper.core.access import Actor
from innkeeper.core.errors import IdempotencyMismatch
from innkeeper.core.ports import Receipt, Transaction


@dataclass(frozen=True, kw_only=True)
class Once:
    """An Idempotency-Key, and a hash of the request that came with it."""

    key: str
    fingerprint: str


async def begun_before(tx: Transaction, actor: Actor, once: Once | None) -> str | None:
    """The id of what this very request began before; None where it is new. Raises IdempotencyMismatch."""
    receipt = await tx.receipt(actor.id, once.key) if once else None
    if receipt is None or once is None:
        return None
    if receipt.fingerprint != once.fingerprint:
        raise IdempotencyMismatch("This Idempotency-Key was used for another request.", field="Idempotency-Key")
    return receipt.operation_id


async def remember(tx: Transaction, actor: Actor, once: Once | None, began: str, now: datetime) -> None:
    """Write down what the request began."""
    if once is not None:
        receipt = Receipt(
            key=once.key, actor=actor.id, fingerprint=once.fingerprint, operation_id=began, created_at=now
        )
        await tx.add_receipt(receipt)
