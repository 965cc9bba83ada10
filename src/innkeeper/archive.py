"""The part of the composition root that looks after the trail: while a control plane runs, and while none does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from innkeeper import telemetry
from innkeeper.api.audit_documents import fault_document, verdict_document
from innkeeper.core.checking import Head, Verdict
from innkeeper.core.copies import check_copies
from innkeeper.core.denials import Denials
from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem, StoreUnavailable
from innkeeper.core.events import utc_now
from innkeeper.core.ports import Clock, Store
from innkeeper.core.records import Records, head_of
from innkeeper.core.tool_trail import ToolTrail
from innkeeper.keyring import Keyring
from innkeeper.keyring.choice import master_source
from innkeeper.settings import Settings
from innkeeper.store.sql import SqlStore


@dataclass(frozen=True, kw_only=True)
class Archive:
    """What a control plane has of the trail."""

    records: Records
    denials: Denials
    tool_trail: ToolTrail
    clock: Clock
    kept: timedelta | None
    """How long lines are kept; None: for ever."""

    async def cut(self) -> int:
        """Take off what has been kept for long enough; how many lines."""
        return 0 if self.kept is None else await self.records.prune(before=self.clock.now() - self.kept)


@asynccontextmanager
async def archive_of(
    settings: Settings, store: Store, keyring: Keyring, directory: Directory, clock: Clock
) -> AsyncIterator[Archive]:
    """What is still to be written at the end is written then."""
    denials = Denials(store=store, directory=directory, clock=clock, count=telemetry.count_denial)
    tools = ToolTrail(store=store, clock=clock, fingerprints=keyring, count=telemetry.count_tool_call)
    records = Records(store=store, links=keyring, clock=clock)
    kept = timedelta(days=settings.audit_kept_days) if settings.audit_kept_days else None
    yield Archive(records=records, denials=denials, tool_trail=tools, clock=clock, kept=kept)
    with suppress(Problem):  # nobody is left to hear of it
        await denials.write()
    await tools.close()


class _WallClock:
    """The time of day."""

    def now(self) -> datetime:
        return utc_now()


def check_offline(settings: Settings, head: str | None, *, tell: Callable[[int, int], object]) -> dict[str, Any]:
    """The verdict on the trail in the database, as the API would tell it; nothing is written."""
    url = make_url(settings.store_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise StoreUnavailable(f"There is no database {url.database}.", hint="Say where with INNKEEPER_DATA.")
    keyring, noted = _keyring(settings), None if head is None else head_of(head)
    return verdict_document(asyncio.run(_verify(settings, keyring, noted, tell))).model_dump(mode="json")


async def _verify(
    settings: Settings, keyring: Keyring, head: Head | None, tell: Callable[[int, int], object]
) -> Verdict:
    store = SqlStore.as_it_is(settings.store_url, links=keyring)
    try:
        return await Records(store=store, links=keyring, clock=_WallClock()).verify(head=head, tell=tell)
    except DBAPIError as error:
        raise StoreUnavailable(
            "The trail in the database can't be read by this version.", hint="Start the control plane once, then again."
        ) from error
    finally:
        await store.close()


def check_file(settings: Settings, copies: Iterable[Any]) -> dict[str, Any]:
    """The verdict on the lines of an export."""
    verdict = check_copies(copies, _keyring(settings))
    faults = [fault_document(fault).model_dump(mode="json") for fault in verdict.faults]
    head = None if verdict.last is None or not verdict.ok else f"{verdict.last}:{verdict.link}"
    return {"ok": verdict.ok, "rows": verdict.rows, "first": verdict.first, "last": verdict.last, "head": head,
            "gaps": verdict.gaps, "faults": faults, "more": verdict.more}  # fmt: skip


def _keyring(settings: Settings) -> Keyring:
    """The one that is there: a new one could check nothing."""
    return Keyring.open(settings.data, master_source(settings, settings.data), make=False)
