"""The use cases of receipts: looked up, and supplemented when what couldn't be erased at once is gone, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from innkeeper.core.erasure import note_begun
from innkeeper.core.erasure_statement import supplement_of
from innkeeper.core.events import AlertRaised, Bus
from innkeeper.core.former_snapshots import FormerSnapshots
from innkeeper.core.ports import Clock, Signer, Store
from innkeeper.core.receipt_errors import UnknownReceipt
from innkeeper.core.receipts import DATABASE, ErasureReceipt, sign, target_of

AGAIN_FIRST, AGAIN_LAST = timedelta(seconds=5), timedelta(days=1)
"""Between two tries of what is still to be erased: twice as long each time."""
ALERT_FROM = 14
"""After so many tries that came to nothing, about a day, somebody is told at each."""


class ReceiptBook:
    """Keeps the receipts."""

    def __init__(self, *, store: Store, snapshots: FormerSnapshots, signer: Signer, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._snapshots = snapshots
        self.signer = signer
        self._bus = bus
        self._clock = clock

    async def page(self, *, tenant: str | None, after: str, limit: int) -> Sequence[ErasureReceipt]:
        """Those that were issued, the oldest first."""
        async with self._store.look() as tx:
            return await tx.erasures.page(tenant=tenant, after=after, limit=limit)

    async def receipt(self, receipt_id: str) -> ErasureReceipt:
        """The receipt of that id; raises UnknownReceipt, also while its erasure is under way."""
        async with self._store.look() as tx:
            found = await tx.erasures.get(receipt_id)
        if found is None or found.issued_at is None:
            raise UnknownReceipt(f"There is no receipt {receipt_id[:60]!r}.")
        return found

    async def catch_up(self) -> None:
        """Try again what is still to be erased and whose turn it is."""
        async with self._store.look() as tx:
            due = await tx.erasures.due(self._clock.now())
        for receipt in due:
            gone = {each for each in receipt.pending if await self._is_gone(each, receipt)}
            if alert := await self._write(receipt, gone):
                self._bus.publish(alert)

    async def _is_gone(self, pending: str, receipt: ErasureReceipt) -> bool:
        if pending == DATABASE:
            return await self._store.scrub()
        target = target_of(pending)
        if target is None:
            return False

        async def begin(target: str) -> None:
            await note_begun(self._store, receipt.tenant_id, target)

        should_be_there = receipt.should_be_there.get(target, 0)
        return await self._snapshots.destroy_at(target, receipt.tenant_id, should_be_there, begin=begin) is None

    async def _write(self, receipt: ErasureReceipt, gone: set[str]) -> AlertRaised | None:
        """Write down what is gone by now, with a supplement for snapshots; what there is to tell somebody."""
        now = self._clock.now()
        async with self._store.begin() as tx:
            present = await tx.erasures.get(receipt.id)
            if present is None or present.signed is None:
                return None
            targets = [target for each in present.pending if each in gone and (target := target_of(each)) is not None]
            more = tuple(sign(supplement_of(present.signed, each, at=now), self.signer) for each in targets)
            left = tuple(each for each in present.pending if each not in gone)
            failures = present.failures + 1 if left else 0
            wait = min(AGAIN_FIRST * 2 ** min(failures - 1, 20), AGAIN_LAST) if left else None
            await tx.erasures.put(
                replace(
                    present,
                    supplements=present.supplements + more,
                    pending=left,
                    failures=failures,
                    try_at=None if wait is None else now + wait,
                )
            )
        if failures < ALERT_FROM:
            return None
        where = ", ".join(target_of(each) or "the database's own files" for each in left)
        says = f"Not all of {receipt.tenant} could be erased yet: {where}. It can't be read without its key."
        return AlertRaised(tenant=receipt.tenant, code="erasure.unfinished", says=says)
