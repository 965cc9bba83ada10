"""The life of a tenant through the API."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx2

from innkeeper.core.instance import State
from innkeeper.runtimes.memory_faults import Call
from tests.api.bench import Bench

NEW = {"name": "alice", "agent": "plain"}
JSON = {"Content-Type": "application/json"}


async def test_a_created_tenant_is_shown_as_the_contract_says(api: httpx2.AsyncClient, bench: Bench) -> None:
    answer = await api.post("/v1/tenants?wait=20", json=NEW)
    assert answer.status_code == 202
    operation = answer.json()
    assert answer.headers["location"] == f"/v1/operations/{operation['id']}"
    assert (operation["kind"], operation["status"], operation["tenant"]) == ("provision", "done", "alice")

    bench.house.directory.touch("alice", bench.house.clock.now())
    bench.house.clock.turn(412)
    shown = (await api.get("/v1/tenants/alice")).json()
    created = shown.pop("created_at")
    assert created.startswith("2026-11-20T12:00:00")
    assert shown.pop("last_activity").startswith("2026-11-20T12:00")
    backup = shown.pop("backup")
    assert (backup["last_good"], backup["late"], backup["error"]) == (None, False, None)
    assert shown == {
        "name": "alice",
        "agent": "plain",
        "release": "1.0",
        "mode": "dedicated",
        "wanted": "auto",
        "state": "running",
        "url": "http://alice.localhost:8080/",
        "hostnames": [],
        "access": "guarded",
        "public_paths": [],
        "inbox": [],
        "config": {},
        "uses": {
            "plan": None,
            "budget": {"day_tokens": None, "month_tokens": None, "day_usd": None, "month_usd": None},
            "calls_per_minute": None,
            "models": [],
            "providers": {},
            "mcp": {},
            "egress": {"mode": "off", "names": []},
        },
        "limits": {"memory_mb": 128, "cpus": 1.0, "pids": 512, "memory_reserve_mb": None, "cpus_reserve": None},
        "sleep": {
            "preset": "balanced",
            "pause_after_s": 300,
            "page_after_s": 600,
            "save_after_s": None,
            "stop_after_s": 14400,
            "check_every_s": None,
            "schedule": [],
            "missed_runs": "run-once",
            "despite_channels": False,
            "wake_deadline_s": None,
            "rung": "running",
            "paged": None,
            "trimmed": None,
            "holds": [],
            "skipped": [],
        },
        "idle_s": 412,
        "next_wake": None,
        "wake": {"usual_s": None, "position": None, "of": None},
        "memory": {"rss_mb": 64, "resident_mb": 64, "swap_mb": 0, "zram_mb": None, "charged_mb": 64},
        "ready": True,
        "error": None,
        "closed": None,
        "fenced": False,
        "proven": None,
        "packs": [],
        "revision": 1,
    }


async def test_without_waiting_the_answer_is_202_and_the_operation_goes_on(
    api: httpx2.AsyncClient, bench: Bench
) -> None:
    answer = await api.post("/v1/tenants", json=NEW)
    assert answer.status_code == 202
    assert answer.json()["status"] == "queued"
    ended = await api.get(answer.headers["location"], params={"wait": 20})
    assert (ended.status_code, ended.json()["status"]) == (200, "done")


async def test_a_wait_that_is_too_short_answers_how_far_it_is(api: httpx2.AsyncClient, bench: Bench) -> None:
    bench.house.prober.answer = None
    answer = await api.post("/v1/tenants?wait=0.05", json=NEW)
    assert answer.status_code == 202
    assert answer.json()["status"] in ("queued", "running")


async def test_it_sleeps_wakes_restarts_and_changes(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant()

    async def after(method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = await api.request(method, f"/v1/tenants/alice{path}?wait=20", json=body)
        assert (answer.status_code, answer.json()["status"]) == (202, "done"), answer.text
        return dict((await api.get("/v1/tenants/alice")).json())

    assert (await after("POST", "/sleep"))["state"] == "paused"
    assert (await after("POST", "/wake"))["state"] == "running"
    stopped = await after("POST", "/sleep", {"tier": "stop"})
    assert (stopped["state"], stopped["memory"]) == ("stopped", None)
    assert (await after("POST", "/wake"))["ready"] is True
    assert (await after("POST", "/restart"))["revision"] == 2
    changed = await after(
        "PATCH", "", {"limits": {"memory_mb": 256}, "sleep": {"page_after_s": None}, "hostnames": ["Chat.Example.com"]}
    )
    assert changed["limits"] == {
        "memory_mb": 256,
        "cpus": 1.0,
        "pids": 512,
        "memory_reserve_mb": None,
        "cpus_reserve": None,
    }
    assert changed["sleep"]["page_after_s"] is None
    assert changed["sleep"]["pause_after_s"] == 300
    assert changed["hostnames"] == ["chat.example.com"]
    assert (await after("PATCH", "", {"wanted": "asleep"}))["state"] == "stopped"


async def test_a_deleted_tenant_is_gone_and_leaves_its_folder_unless_purged(
    api: httpx2.AsyncClient, bench: Bench
) -> None:
    for name, query in (("alice", ""), ("bob", "&purge=true")):
        await bench.tenant(name)
        answer = await api.delete(f"/v1/tenants/{name}?wait=20{query}")
        assert (answer.status_code, answer.json()["status"]) == (202, "done")
        assert (await api.get(f"/v1/tenants/{name}")).status_code == 404
    assert list(bench.house.units.folders) == ["alice"]
    again = await api.post("/v1/tenants?wait=20", json=NEW)
    assert (again.status_code, again.json()["code"]) == (409, "unit_exists")
    adopted = await api.post("/v1/tenants?wait=20", json=NEW | {"adopt": True})
    assert adopted.json()["status"] == "done"


async def test_lists_come_in_pages_that_never_look(api: httpx2.AsyncClient, bench: Bench) -> None:
    names = [f"t{number:02}" for number in range(7)]
    for name in names:
        await bench.tenant(name)
    await api.get("/v1/tenants/t03")
    looked = bench.house.runtime.calls[Call.USAGE]
    seen, cursor, sizes = [], None, []
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/v1/tenants", params=params)).json()
        seen += page["items"]
        sizes.append(len(page["items"]))
        if (cursor := page["next_cursor"]) is None:
            break
    assert [tenant["name"] for tenant in seen] == names
    assert sizes == [3, 3, 1]
    assert [tenant["name"] for tenant in seen if tenant["memory"]] == ["t03"]
    assert bench.house.runtime.calls[Call.USAGE] == looked


async def test_memory_is_null_and_the_answer_quick_when_the_runtime_is_silent(
    api: httpx2.AsyncClient, bench: Bench
) -> None:
    await bench.tenant()
    bench.house.runtime.down = True
    shown = await api.get("/v1/tenants/alice")
    assert (shown.status_code, shown.json()["memory"]) == (200, None)
    stats = await api.get("/v1/tenants/alice/stats")
    assert (stats.status_code, stats.json()["memory"], stats.json()["limit_mb"]) == (200, None, 128)


async def test_stats_are_measured(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant()
    stats = (await api.get("/v1/tenants/alice/stats")).json()
    assert stats["memory"] == {"rss_mb": 64, "resident_mb": 64, "swap_mb": 0, "zram_mb": None, "charged_mb": 64}
    assert (stats["charged_mb"], stats["limit_mb"], stats["pids"], stats["state"]) == (64, 128, 1, "running")
    assert stats["uptime_s"] is not None


async def test_the_same_key_is_the_same_operation_and_another_body_is_refused(
    api: httpx2.AsyncClient, bench: Bench
) -> None:
    once = {"Idempotency-Key": "order 66"}
    first = await api.post("/v1/tenants", json=NEW, headers=once)
    again = await api.post("/v1/tenants?wait=20", content=b'{"agent":"plain",  "name":"alice"}', headers=once | JSON)
    assert again.json()["id"] == first.json()["id"]
    other = await api.post("/v1/tenants", json=NEW | {"adopt": True}, headers=once)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    elsewhere = await api.post("/v1/tenants/alice/wake", headers=once)
    assert elsewhere.json()["code"] == "idempotency_mismatch"
    assert [tenant["name"] for tenant in (await api.get("/v1/tenants")).json()["items"]] == ["alice"]


async def test_a_purge_is_part_of_what_a_key_stands_for(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant()
    bench.house.runtime.down = True  # so that the first one isn't done yet
    once = {"Idempotency-Key": "bye"}
    assert (await api.delete("/v1/tenants/alice", headers=once)).status_code == 202
    assert (await api.delete("/v1/tenants/alice?purge=true", headers=once)).status_code == 422


async def test_a_failed_tenant_says_why_and_its_operation_too(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant()
    bench.house.prober.answer = None
    restarting = await api.post("/v1/tenants/alice/restart")
    with bench.house.bus.subscribe() as events:
        while (await bench.house.runtime.get("alice")).state is not State.RUNNING:
            async with asyncio.timeout(10):
                await events.get()
    bench.house.runtime.crash("alice", exit_code=78)
    ended = (await api.get(restarting.headers["location"], params={"wait": 20})).json()
    assert (ended["status"], ended["error"]["code"]) == ("failed", "tenant_failed")
    shown = (await api.get("/v1/tenants/alice")).json()
    assert shown["state"] == "failed"
    assert shown["error"]


async def test_secrets_in_an_error_are_blotted_out(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant()
    async with bench.house.store.begin() as tx:
        tenant = await tx.tenant("alice")
        assert tenant is not None
    lease = await bench.house.store.claim("alice", holder="test", for_s=60)
    assert lease is not None
    await bench.house.store.record(lease, replace(tenant.seen, error="bad key sk-abcdefghijklmnop given"))
    assert (await api.get("/v1/tenants/alice")).json()["error"] == "bad key sk-… given"
