"""What every store must keep of erasures, and that a purge leaves nothing else: one suite for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from innkeeper.core.access import TenantRole
from innkeeper.core.drill import Drill, Outcome
from innkeeper.core.egress import AskedName
from innkeeper.core.errors import StaleLease
from innkeeper.core.integration import Begun, Connection
from innkeeper.core.people import ApiToken, Member, Session, SignInMethod, Ticket, User
from innkeeper.core.ports import Store
from innkeeper.core.receipts import Signed
from innkeeper.core.secrets import SecretVersion
from innkeeper.core.snapshots import BackupState, Origin, Snapshot
from innkeeper.core.usage import Counts, UsageKey, UsageRow
from innkeeper.store import tables
from innkeeper.store.of_tenant import KEPT, tables_with
from tests.store.databases import DRIVERS, opened
from tests.store.examples import (
    NOON,
    ended,
    entry,
    erasure,
    issued,
    issuing,
    key,
    message,
    operation,
    receipt,
    tenant,
)

OF_NOBODY = {"users", "sessions", "releases", "packs", "audit_ends", "work_leases"}
"""Tables that have nothing to do with one tenant."""


@pytest.fixture(params=DRIVERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(request.param, tmp_path) as store:
        yield store


async def test_a_receipt_comes_back_as_it_was(store: Store) -> None:
    supplement = Signed(statement={"format": "x", "id": "rct_0001"}, key="rk_1", signature="eA==")
    whole = issued(supplements=(supplement,), pending=("database", "snapshots:ü"), failures=3, try_at=NOON)
    async with store.begin() as write:
        await write.erasures.put(erasure())
        assert await write.erasures.of("t_a") == erasure()
        await write.erasures.put(whole)
    async with store.look() as read:
        assert await read.erasures.of("t_a") == await read.erasures.get("rct_0001") == whole
        assert await read.erasures.of("t_b") is await read.erasures.get("rct_0002") is None


async def test_those_issued_are_listed_by_id(store: Store) -> None:
    async with store.begin() as write:
        for each in (issued(3, "c"), erasure(2, "b"), issued(1, "a"), issued(4, "a", tenant_id="t_a2")):
            await write.erasures.put(each)
    async with store.look() as read:
        assert [each.id for each in await read.erasures.page()] == ["rct_0001", "rct_0003", "rct_0004"]
        assert [each.id for each in await read.erasures.page(after="rct_0001", limit=1)] == ["rct_0003"]
        assert [each.id for each in await read.erasures.page(tenant="a")] == ["rct_0001", "rct_0004"]


async def test_what_is_pending_comes_up_when_its_time_has_come(store: Store) -> None:
    later = NOON + timedelta(minutes=1)
    async with store.begin() as write:
        await write.erasures.put(issued(1, "a", pending=("database",), try_at=later))
        await write.erasures.put(issued(2, "b", pending=("database",), try_at=NOON))
        await write.erasures.put(issued(3, "c"))
        await write.erasures.put(erasure(4, "d", try_at=NOON))
    async with store.look() as read:
        assert [each.id for each in await read.erasures.due(NOON)] == ["rct_0002"]
        assert [each.id for each in await read.erasures.due(later)] == ["rct_0002", "rct_0001"]


async def test_a_purge_leaves_no_row_and_counts_them(store: Store) -> None:
    gone, other = tenant("a", hostnames=("a.example.com",)), tenant("b", 1, hostnames=("b.example.com",))
    async with store.begin() as write:
        await write.people.add_user(User(id="usr_1", mail="a@example.com", created_at=NOON))
        await write.people.add_session(
            Session(id="ses_1", user="usr_1", digest="d", method=SignInMethod.PASSWORD, address=None, browser="",
                    created_at=NOON, expires_at=NOON)
        )  # fmt: skip
        for number, each in enumerate((gone, other)):
            await write.add_tenant(each)
            name, id_ = each.name, each.id
            await write.add_key(key(number, each))
            await write.people.put_member(
                Member(user="usr_1", tenant=name, tenant_id=id_, role=TenantRole.OWNER, created_at=NOON)
            )
            await write.people.add_token(
                ApiToken(id=f"tok_{name}", name="", tenant=name, tenant_role=TenantRole.MEMBER, hint="", digest=name,
                         created_by="x", created_at=NOON)
            )  # fmt: skip
            await write.people.add_ticket(
                Ticket(digest=name, session="ses_1", tenant_id=id_, host="", path="", binding="", expires_at=NOON)
            )
            await write.integrations.put(
                Connection(id=f"int_{name}", tenant=name, tenant_id=id_, integration="google", connected_by="usr_1",
                           connected_as="", connected_at=NOON)
            )  # fmt: skip
            await write.integrations.begin(
                Begun(digest=name, tenant=name, tenant_id=id_, integration="google", session="ses_1", verifier=b"v",
                      expires_at=NOON)
            )  # fmt: skip
            await write.add_operation(operation(number, each))
            await write.add_receipt(receipt(operation(number, each), name=name))
            await write.messages.add(message(name, number), b"sealed")
            await write.secrets.add(
                SecretVersion(owner=id_, tenant=name, name="S", version=1, created_at=NOON, created_by="x"), b"sealed"
            )
            asked = AskedName(name="example.com", first_seen=NOON, last_seen=NOON, asked=1, refused=0)
            await write.asked_names.add(name, id_, [asked], keep=10)
            usage = UsageRow(key=UsageKey(id_, "2026-11-20", "p", "m"), tenant=name, counts=Counts(calls=1))
            await write.usage.add([usage])
            snapshot = Snapshot(
                id=f"snap_{name}", owner=id_, tenant=name, taken_at=NOON, origin=Origin.ASKED, confirmed_at=NOON
            )
            await write.snapshots.put(snapshot)
            await write.snapshots.put_state(BackupState(owner=id_, tenant=name))
            await write.drills.put(
                Drill(id=f"op_{name}", tenant=name, tenant_id=id_, snapshot="s", target="local", taken_at=NOON,
                      began_at=NOON, ended_at=NOON, outcome=Outcome.PROVEN)
            )  # fmt: skip
            await write.audit(entry("tenant.create", each))
    kinds = {
        "tenants", "hostnames", "tenant_keys", "members", "tokens", "tickets", "integrations", "integration_states",
        "operations", "receipts", "messages", "secrets", "asked_names", "usage",
        "snapshots", "backup_states", "drills",
    }  # fmt: skip
    for name, id_ in (("a", "t_a"), ("b", "t_b")):
        lease = await store.claim(name, holder="one", for_s=30)
        assert lease is not None
        await store.erase(lease, id_, [], entry("tenant.erased", tenant(name)), issue=issuing(name))
        async with store.look() as read:
            found = await read.erasures.of(id_)
            assert found is not None
            assert found.journal["rows"] == dict.fromkeys(kinds, 1)  # and not the other's
    async with store.look() as read:
        assert [each.tenant for _, each in await read.trail()] == ["a", "b", "a", "b"]


async def test_receipt_and_trail_are_tied_to_each_other(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
        await write.audit(entry("tenant.create", tenant("a")))
    async with store.look() as read:
        ends = await read.chain.ends()
    lease = await store.claim("a", holder="one", for_s=30)
    assert lease is not None
    assert ends is not None
    line = replace(entry("tenant.erased", tenant("a")), detail={"operations": ["op_1"]})
    await store.erase(lease, "t_a", [ended(operation(1, tenant("a")))], line, issue=issuing("a"))
    async with store.look() as read:
        found, last = await read.erasures.of("t_a"), await read.erasure_by("op_1")
    assert found is not None
    assert found.signed is not None
    assert last is not None
    assert found.journal["head"] == f"{ends.last}:{ends.last_link}"
    assert last.detail == {"operations": ["op_1"], "receipt": found.id, "receipt_sha256": found.signed.digest}


async def test_no_receipt_without_the_lease(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
    lease = await store.claim("a", holder="one", for_s=30)
    assert lease is not None
    await store.release(lease)
    with pytest.raises(StaleLease):
        await store.erase(lease, "t_a", [], entry("tenant.erased"), issue=issuing("a"))
    async with store.look() as read:
        assert await read.tenant("a") is not None
        assert await read.erasures.of("t_a") is None


async def test_without_a_purge_no_receipt(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
    lease = await store.claim("a", holder="one", for_s=30)
    assert lease is not None
    await store.erase(lease, "t_a", [], entry("tenant.erased"))
    async with store.look() as read:
        assert await read.erasures.page() == []


async def test_every_store_can_be_scrubbed(store: Store) -> None:
    assert await store.scrub()


def test_every_table_is_erased_from_kept_or_of_nobody() -> None:
    """A table that is added has to be in one of the three."""
    erased = {table.name for table, _ in tables_with("a", "t_a")}
    assert erased | KEPT | OF_NOBODY == set(tables.metadata.tables)
    assert not erased & (KEPT | OF_NOBODY)
