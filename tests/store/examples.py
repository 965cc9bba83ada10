"""Tenants, operations and the like for the store's tests, with every field away from its default somewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from innkeeper.core.access import TenantKey
from innkeeper.core.audit import Entry
from innkeeper.core.instance import State
from innkeeper.core.ladder import MissedRuns, Rung, SleepPolicy
from innkeeper.core.messages import Message
from innkeeper.core.openings import InboxPath
from innkeeper.core.operations import Operation, OperationKind, Progress, Status, Trouble
from innkeeper.core.past import Past
from innkeeper.core.ports import Receipt
from innkeeper.core.ports.receipts import Issue
from innkeeper.core.receipts import FORMAT, ErasureReceipt, Signed
from innkeeper.core.tenant import Access, CustomAgent, Limits, Seen, Spec, Tenant, Wanted

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PLAIN = Spec(agent="nanobot", release="0.3.5", image="sha256:" + "ab" * 32, limits=Limits(memory_mb=256, cpus=0.5))


def tenant(name: str, slot: int = 0, **fields: Any) -> Tenant:
    """A tenant with as little said as can be."""
    hostnames = fields.pop("hostnames", ())
    return Tenant(
        **{
            "id": f"t_{name}",
            "name": name,
            "slot": slot,
            "spec": replace(PLAIN, hostnames=hostnames),
            "created_at": NOON,
            **fields,
        }
    )


def elaborate_tenant() -> Tenant:
    """A tenant with everything said."""
    spec = Spec(
        agent="custom",
        release="1",
        image="registry.example/agent@sha256:" + "cd" * 32,
        limits=Limits(memory_mb=2048, cpus=1.5, pids=300),
        sleep=SleepPolicy(
            pause_after_s=None,
            page_after_s=1,
            save_after_s=2,
            stop_after_s=3,
            check_every_s=4,
            preset="night",
            schedule=("awake 22:00-06:00 Fri-Mon UTC",),
            missed_runs=MissedRuns.SKIP,
            despite_channels=True,
            wake_deadline_s=1.5,
        ),
        env={"TZ": "Europe/Berlin", "GREETING": "grüß 'dich' \"$HOME\" \U0001f600"},
        hostnames=("chat.example.com", "b.example.org"),
        access=Access.OPEN,
        custom=CustomAgent(
            image="agent:1", port=8080, health_path="/up", command=("serve", "--all"), mount="/srv/data"
        ),
        public_paths=("/verify", "/static/*"),
        inbox=(InboxPath(path="/hooks", id="json:a.b", port=8787), InboxPath(path="/other")),
    )
    return Tenant(
        id="t_1",
        name="elaborate",
        spec=spec,
        slot=7,
        created_at=datetime(2026, 11, 20, 14, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2))),
        revision=4,
        remade_at=2,
        wanted=Wanted.ASLEEP,
        rung=Rung.PAGED,
        purge=True,
        born_as="before",
        token_epoch=3,
        last_activity=NOON + timedelta(microseconds=1),
        seen=elaborate_seen(),
        past=elaborate_past(),
        closed="op_1",
        fenced=True,
    )


def elaborate_past() -> Past:
    """Figures of every kind."""
    past = Past(asleep_mb={Rung.PAUSED: (801, 799)}, swapped_mb={Rung.PAGED: (900,), Rung.RUNNING: (1, 2, 3)})
    return past.with_wake(Rung.STOPPED, 8.125).with_peak(Rung.PAGED, 301, same_stay=False)


def elaborate_seen() -> Seen:
    """All that can be seen, with a NUL in the agent's own words."""
    return Seen(
        state=State.FAILED,
        ready=True,
        error="exit 78: \0 \ud800 no such key",
        instance_id="f" * 64,
        restarts=6,
        crashes=(NOON, NOON + timedelta(seconds=2.5)),
        started_at=NOON - timedelta(days=1),
        next_wake=NOON + timedelta(hours=3),
        missed_since=NOON - timedelta(hours=3),
        owed_runs=(("daily", 3), ("\u00e9", 1)),
        suspension="paused:s1",
        webhooks=(InboxPath(path="/telegram-webhook", id="json:update_id", port=8787),),
    )


def operation(number: int, of: Tenant, **fields: Any) -> Operation:
    """The `number`th operation, which a tenant is to be provisioned by."""
    return Operation(
        **{
            "id": f"op_{number:04}",
            "kind": OperationKind.PROVISION,
            "tenant": of.name,
            "tenant_id": of.id,
            "revision": 1,
            "created_at": NOON,
            "updated_at": NOON,
            "deadline": NOON + timedelta(minutes=10),
            **fields,
        }
    )


def ended(operation: Operation, at: datetime = NOON) -> Operation:
    """The operation, failed."""
    trouble = Trouble(code="tenant_failed", message="It \0 broke.", hint="Mend it.")
    progress = Progress(done=2, of=3, step="waiting until ready")
    return replace(operation, status=Status.FAILED, error=trouble, progress=progress, updated_at=at)


def message(name: str, number: int, **fields: Any) -> Message:
    """The `number`th message to the tenant of that name."""
    return Message(
        **{
            "id": f"msg_{name}{number}",
            "tenant": name,
            "tenant_id": f"t_{name}",
            "path": "/hooks",
            "port": None,
            "sender_id": None,
            "fingerprint": None,
            "size": 1,
            "received_at": NOON,
            "next_attempt_at": NOON,
            **fields,
        }
    )


def key(number: int, of: Tenant) -> TenantKey:
    """The `number`th API key."""
    return TenantKey(
        id=f"k{number}",
        tenant=of.name,
        tenant_id=of.id,
        name="laptop",
        hint="…abcd",
        digest="d" * 64,
        created_at=NOON + timedelta(seconds=number),
    )


def receipt(of: Operation, *, name: str = "r1", actor: str = "admin", at: datetime = NOON) -> Receipt:
    """A receipt for an operation."""
    return Receipt(key=name, actor=actor, fingerprint="f", operation_id=of.id, created_at=at)


def entry(action: str, of: Tenant | None = None) -> Entry:
    """A line of the trail."""
    name, id_ = (of.name, of.id) if of else (None, None)
    return Entry(at=NOON, actor="admin", action=action, tenant=name, tenant_id=id_, detail={"limits": {"cpus": 0.5}})


def erasure(number: int = 1, name: str = "a", **fields: Any) -> ErasureReceipt:
    """An erasure that has begun."""
    return ErasureReceipt(
        **{
            "id": f"rct_{number:04}",
            "tenant": name,
            "tenant_id": f"t_{name}",
            "began_at": NOON,
            "journal": {"found": {"files": 3}},
            **fields,
        }
    )


def issued(number: int = 1, name: str = "a", **fields: Any) -> ErasureReceipt:
    """One that has ended, with a signature that nobody looks at."""
    statement = {"format": FORMAT, "id": f"rct_{number:04}", "tenant": {"name": name}}
    signed = Signed(statement=statement, key="rk_1", signature="c2ln")
    return erasure(number, name, **{"issued_at": NOON, "signed": signed, **fields})


def issuing(name: str) -> Issue:
    """Makes a receipt that tells what it was told."""

    def issue(rows: Mapping[str, int], head: str) -> ErasureReceipt:
        return issued(name=name, id=f"rct_{name}", journal={"rows": dict(rows), "head": head})

    return issue
