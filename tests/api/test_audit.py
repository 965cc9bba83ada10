"""The audit trail over HTTP: what is asked for, by whom, checked and copied."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from innkeeper.core.access import ActorKind, Role, Scope, TenantRole, digest, new_secret
from innkeeper.core.audit import Entry
from innkeeper.core.copies import check_copies
from innkeeper.core.people import ApiToken
from innkeeper.core.trail import COLUMNS
from tests.api.bench import Bench
from tests.support.links import LINKS

CANARY = "hunter2-canary"


async def token(bench: Bench, **fields: Any) -> str:
    """The secret of a new API token."""
    secret, now = new_secret("t"), bench.inn.clock.now()
    made = ApiToken(**{
        "id": f"tok_{digest(secret)[:8]}", "name": "test", "hint": secret[:9], "digest": digest(secret),
        "user": None, "role": None, "tenant": None, "tenant_role": None, "scopes": frozenset(Scope),
        "created_by": "admin", "created_at": now, "expires_at": None, **fields,
    })  # fmt: skip
    async with bench.inn.store.begin() as tx:
        await tx.people.add_token(made)
    await bench.house.identities.load()
    return secret


async def numbers(api: httpx2.AsyncClient, query: str) -> list[int]:
    answer = await api.get(f"/v1/audit?{query}")
    assert answer.status_code == 200, answer.text
    return [entry["number"] for entry in answer.json()["items"]]


async def test_a_line_says_who_from_where_and_what_changed(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant()
    changed = await api.patch("/v1/tenants/alice?wait=20", json={"limits": {"memory_mb": 256}, "env": {"KEY": CANARY}})
    line = (await api.get("/v1/audit?tenant=alice&order=newest")).json()["items"][0]
    assert (line["actor"], line["kind"], line["action"]) == ("admin", "admin", "tenant.update")
    assert (line["address"], line["request"]) == ("127.0.0.1", changed.headers["x-request-id"])
    assert (line["before"]["limits"]["memory_mb"], line["after"]["limits"]["memory_mb"]) == (128, 256)
    assert (line["before"]["env"], line["after"]["env"]) == ([], ["KEY"])
    assert len(line["link"]) > 40


async def test_no_value_that_may_be_secret_is_written_down(api: httpx2.AsyncClient, bench: Bench) -> None:
    body = {"env": {"KEY": CANARY}}
    assert (await api.post("/v1/tenants?wait=20", json={"name": "alice", "agent": "plain", **body})).status_code == 202
    await api.patch("/v1/tenants/alice?wait=20", json={"env": {"KEY": CANARY + "2", "OTHER": CANARY}})
    made = await api.post("/v1/tenants/alice/keys", json={"name": "phone"})
    await api.delete("/v1/tenants/alice?wait=20&purge=true")
    copy = (await api.get("/v1/audit/export")).text
    assert "KEY" in copy
    for secret in (CANARY, made.json()["key"], bench.admin_token):
        assert secret not in copy


async def test_filters_and_pages_in_both_orders(api: httpx2.AsyncClient, bench: Bench) -> None:
    for name in ("alice", "bob"):
        await bench.tenant(name)
    await api.post("/v1/tenants/alice/keys", json={"name": "phone"})
    first = (await api.get("/v1/audit?order=newest&limit=2")).json()
    rest = (await api.get(f"/v1/audit?order=newest&limit=500&cursor={first['next_cursor']}")).json()
    backwards = [entry["number"] for entry in first["items"] + rest["items"]]
    assert backwards == sorted(await numbers(api, "limit=500"), reverse=True)
    assert len(await numbers(api, "actor=admin&action=key.&kind=admin&tenant=alice")) == 1
    assert await numbers(api, "until=2020-01-01T00:00:00Z") == []
    assert await numbers(api, "since=2020-01-01T00:00:00") == sorted(backwards)


BAD = [
    "kind=alien", "action=DROP%20TABLE", "action=", "actor=%00", f"actor={'x' * 201}", "since=yesterday", "order=both",
    "since=0001-01-01T00:00:00%2B14:00", "until=9999-12-31T23:59:59-14:00", "request=%0A", "cursor=AAAA", "limit=0",
]  # fmt: skip


@pytest.mark.parametrize("query", BAD)
async def test_filters_of_a_wrong_shape_are_refused(query: str, api: httpx2.AsyncClient) -> None:
    for path in ("/v1/audit", "/v1/audit/export"):
        if path.endswith("export") and query.split("=")[0] in ("order", "cursor", "limit"):
            continue
        answer = await api.get(f"{path}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), answer.text


async def test_an_owner_sees_their_own_tenant_alone(api: httpx2.AsyncClient, bench: Bench) -> None:
    for name in ("alice", "bob"):
        await bench.tenant(name)
    await api.delete("/v1/tenants/alice?wait=20&purge=true")
    await bench.tenant("alice")  # another customer's
    there = await bench.house.tenant("alice")
    owner = await token(bench, tenant="alice", tenant_role=TenantRole.OWNER)
    async with bench.client(owner) as client:
        lines = (await client.get("/v1/audit?tenant=alice")).json()["items"]
        assert {line["tenant_id"] for line in lines} == {there.id}
        for refused in ("/v1/audit", "/v1/audit?tenant=bob", "/v1/audit/export", "/v1/audit/export?tenant=bob"):
            assert (await client.get(refused)).status_code == 403, refused
        assert (await client.post("/v1/audit/verify")).status_code == 403
        copies = [json.loads(line) for line in (await client.get("/v1/audit/export?tenant=alice")).text.splitlines()]
        assert {copy["tenant_id"] for copy in copies} == {there.id}
        assert copies[-1]["action"] == "audit.export"
        assert check_copies(copies, LINKS).ok
    auditor = await token(bench, role=Role.AUDITOR)
    async with bench.client(auditor) as client:
        assert len((await client.get("/v1/audit?tenant=alice")).json()["items"]) > len(lines)
        assert (await client.post("/v1/audit/verify")).status_code == 200


async def verdict(api: httpx2.AsyncClient, body: Any = None) -> dict[str, Any]:
    answer = await api.post("/v1/audit/verify", json=body)
    assert answer.status_code == 200, answer.text
    event, data = answer.text.strip().split("\n\n")[-1].split("\n")
    assert event == "event: verdict"
    found: dict[str, Any] = json.loads(data.removeprefix("data: "))
    return found


async def test_a_check_says_that_all_is_well_and_what_is_not(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant()
    well = await verdict(api)
    assert (well["ok"], well["faults"], well["first"], well["rows"]) == (True, [], 1, well["last"])
    assert (await verdict(api, {"head": well["head"]}))["ok"]
    gone = await verdict(api, {"head": well["head"].replace(f"{well['last']}:", "9999:")})
    assert [(fault["number"], fault["kind"]) for fault in gone["faults"]] == [(9999, "head")]
    _forge(bench, 2)
    assert [fault["number"] for fault in (await verdict(api))["faults"]] == [2]
    for head in ("", "x", "7", "0:" + "x" * 43, "7:" + "!" * 43, "x" * 161, 7):
        assert (await api.post("/v1/audit/verify", json={"head": head})).status_code == 400, head


async def test_a_line_that_somebody_has_broken_is_shown_all_the_same(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant()
    _forge(bench, 2, at="once", detail="{", kind="alien", actor="\udcff")
    broken = (await api.get("/v1/audit")).json()["items"][1]
    assert (broken["at"], broken["kind"], broken["detail"]) == ("once", "alien", {"unreadable": "{"})
    copies = [json.loads(line) for line in (await api.get("/v1/audit/export")).text.splitlines()]
    assert [fault.number for fault in check_copies(copies, LINKS).faults] == [2]


def _forge(bench: Bench, number: int, **texts: str) -> None:
    """What somebody with the database in their hands might do."""
    trail = bench.house.store._tables.trail  # type: ignore[attr-defined]
    forged = {**dict(zip(COLUMNS, trail[number].texts, strict=True)), "actor": "nobody", **texts}
    trail[number] = replace(trail[number], texts=tuple(forged.values()))


async def test_a_large_export_comes_whole(api: httpx2.AsyncClient, bench: Bench) -> None:
    async with bench.inn.store.begin() as tx:
        for _ in range(1200):
            moment = datetime(2026, 1, 1, tzinfo=UTC)
            await tx.audit(Entry(at=moment, actor="usr_1", kind=ActorKind.USER, action="tenant.update", tenant=None))
    lines = (await api.get("/v1/audit/export?actor=usr_1")).text.splitlines()
    assert len(lines) == 1200
    assert check_copies(map(json.loads, lines), LINKS).ok


async def test_a_look_into_a_tenants_own_is_told(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant()
    _, key = await bench.key()
    async with bench.client(key) as member:
        for path in ("logs", "inbox"):
            assert (await member.get(f"/v1/tenants/alice/{path}")).status_code == 200
            assert (await api.get(f"/v1/tenants/alice/{path}")).status_code == 200
        await api.post("/v1/tenants/alice/chat", json={"message": CANARY})
    await api.get("/v1/tenants/alice")  # how it is isn't what it says
    looks = (await api.get("/v1/audit?action=tenant.looked&tenant=alice")).json()["items"]
    assert [(look["actor"], look["detail"]["what"]) for look in looks] == [
        ("admin", "log"),
        ("admin", "inbox"),
        ("admin", "chat"),
    ]
    assert CANARY not in json.dumps(looks)


async def test_denied_access_is_told_without_what_was_shown(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant()
    key_id, key = await bench.key()
    wrong = new_secret("k")
    for secret, path in ((wrong, "tenants/alice"), (wrong, "tenants/nobody"), (key, "audit"), ("", "tenants/alice")):
        async with bench.client(secret) as client:
            denied = await client.get(f"/v1/{path}")
            assert denied.status_code in (401, 403)
            if secret == key:
                request = denied.headers["x-request-id"]
    await bench.inn.denials.write()
    lines = (await api.get("/v1/audit?action=access.denied")).json()["items"]
    assert [(line["actor"], line["kind"], line["tenant"]) for line in lines] == [
        ("unknown", "unknown", "alice"),
        ("unknown", "unknown", None),
        (key_id, "key", None),
    ]
    assert lines[2]["detail"] == {"reason": "permission", "action": "tenant.trail"}
    assert (lines[2]["request"], lines[2]["address"]) == (request, "127.0.0.1")
    assert wrong not in json.dumps(lines)


async def test_every_change_is_a_line(api: httpx2.AsyncClient, bench: Bench) -> None:
    async def did(method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = await api.request(method, f"/v1{path}", json=body)
        assert answer.is_success, answer.text
        done: dict[str, Any] = answer.json() if answer.content and "json" in answer.headers["content-type"] else {}
        request = answer.headers["x-request-id"]
        lines = (await api.get(f"/v1/audit?request={request}")).json()["items"]
        assert [(line["actor"], line["address"]) for line in lines] == [("admin", "127.0.0.1")], path
        actions.append(lines[0]["action"])
        return done

    actions: list[str] = []
    await did("POST", "/tenants?wait=20", {"name": "alice", "agent": "plain"})
    await did("PATCH", "/tenants/alice?wait=20", {"access": "open"})
    await did("POST", "/tenants/alice/sleep?wait=20", {"tier": "pause"})
    await did("POST", "/tenants/alice/wake?wait=20")
    await did("POST", "/tenants/alice/restart?wait=20")
    key = await did("POST", "/tenants/alice/keys", {"name": "phone"})
    await did("DELETE", f"/tenants/alice/keys/{key['id']}")
    await did("POST", "/releases/build", {"agent": "plain"})
    await did("DELETE", "/tenants/alice?wait=20")
    assert actions == [
        "tenant.create", "tenant.update", "tenant.sleep", "tenant.wake", "tenant.restart", "key.create", "key.revoke",
        "release.record", "tenant.delete",
    ]  # fmt: skip
