"""Backups over the API: asked for, listed, verified, and told of with each tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.events import BackupDone
from tests.api.bench import Bench, opened
from tests.backups.house import at_work

WAIT = {"wait": 60}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as bench:
        await bench.tenant("alice")
        home = bench.keeping.home("alice")
        home.mkdir(parents=True)
        (home / "note.md").write_text("I remember")
        async with at_work(bench.keeping):
            yield bench


async def post(bench: Bench, path: str, **how: Any) -> Any:
    async with bench.client() as client:
        answer = await client.post(path, params=WAIT, **how)
    return answer.status_code, answer.json()


async def get(bench: Bench, path: str) -> Any:
    async with bench.client() as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_backup_is_an_operation_with_a_result_and_is_listed(bench: Bench) -> None:
    status, operation = await post(bench, "/v1/tenants/alice/backups")
    assert (status, operation["kind"], operation["status"]) == (202, "backup", "done")
    assert operation["result"]["targets"] == ["local", "remote"]
    [snapshot] = (await get(bench, "/v1/tenants/alice/backups"))["items"]
    assert (snapshot["id"], snapshot["good"], snapshot["tenant"]) == (operation["result"]["snapshot"], True, "alice")
    assert await get(bench, f"/v1/tenants/alice/backups/{snapshot['id']}") == snapshot
    shown = (await get(bench, "/v1/tenants/alice"))["backup"]
    assert (shown["age_s"], shown["late"], shown["error"], shown["failures"]) == (0, False, None, 0)
    listed = (await get(bench, "/v1/tenants"))["items"][0]["backup"]
    assert listed["last_good"] == shown["last_good"]
    done = next(event for event in bench.house.happened if isinstance(event, BackupDone))
    assert (done.tenant, done.way, done.snapshot) == ("alice", "shadow", snapshot["id"])


async def test_the_overview_tells_ages_and_what_is_wrong(bench: Bench) -> None:
    page = await get(bench, "/v1/backups")
    assert page["targets"] == ["local", "remote"]
    [alice] = page["items"]
    assert (alice["tenant"], alice["last_good"], alice["age_s"], alice["good"]) == ("alice", None, None, {})
    assert page["control"]["tenant"] is None
    (bench.keeping.data / "first").write_text("no folder")
    assert (await post(bench, "/v1/tenants/alice/backups"))[1]["status"] == "failed"
    [alice] = (await get(bench, "/v1/backups"))["items"]
    assert alice["failures"] == 1
    assert alice["error"]["code"]


async def test_a_snapshot_is_verified_by_order(bench: Bench) -> None:
    _, backup = await post(bench, "/v1/tenants/alice/backups")
    snapshot = backup["result"]["snapshot"]
    _, operation = await post(bench, f"/v1/tenants/alice/backups/{snapshot}/verify", json={"whole": True})
    assert (operation["status"], operation["result"]) == ("done", {"verified": [snapshot], "whole": True})
    status, problem = await post(bench, "/v1/tenants/alice/backups/snap_none/verify")
    assert (status, problem["code"]) == (404, "unknown_snapshot")


async def test_damage_is_mended_by_order_and_told(bench: Bench) -> None:
    await post(bench, "/v1/tenants/alice/backups")
    await post(bench, "/v1/backups/control")
    [snapshot] = (await get(bench, "/v1/tenants/alice/backups"))["items"]
    assert (snapshot["damage"], snapshot["broken_databases"]) == ({}, {})
    for config in (bench.keeping.data / "first").glob("*/config"):
        config.unlink()
    status, operation = await post(bench, "/v1/tenants/alice/backups/repair", json={"target": "local"})
    assert (status, operation["kind"], operation["status"]) == (202, "repair", "done")
    did = {"local": {"aside": 0, "anew": False, "damaged": []}}
    assert operation["result"] == {"repaired": did, "whole": [snapshot["id"]], "damaged": {}}
    assert (await post(bench, "/v1/backups/control/repair"))[1]["status"] == "done"
    actions = [each["action"] for each in (await get(bench, "/v1/audit"))["items"]]
    assert {"tenant.repair", "control.repair"} <= set(actions)
    status, problem = await post(bench, "/v1/tenants/alice/backups/repair", json={"target": "nowhere"})
    assert (status, problem["code"]) == (404, "unknown_target")


async def test_everything_is_pruned_by_order(bench: Bench) -> None:
    await post(bench, "/v1/tenants/alice/backups")
    _, one = await post(bench, "/v1/tenants/alice/backups/prune")
    assert (one["kind"], one["result"]) == ("retain", {"dropped": 0})
    status, begun = await post(bench, "/v1/backups/prune")
    assert (status, sorted(each["tenant"] for each in begun["operations"])) == (202, ["", "alice"])
    for each in begun["operations"]:
        assert (await bench.house.control.wait(each["id"], timeout_s=60)).error is None


async def test_the_database_of_the_control_plane(bench: Bench) -> None:
    _, operation = await post(bench, "/v1/backups/control")
    assert operation["status"] == "done"
    [snapshot] = (await get(bench, "/v1/backups/control"))["items"]
    assert (snapshot["tenant"], snapshot["agent"], snapshot["revision"]) == (None, None, None)
    assert (await get(bench, "/v1/backups"))["control"]["age_s"] == 0
    trail = (await get(bench, "/v1/audit"))["items"]
    assert "control.backup" in [each["action"] for each in trail]


async def test_asked_twice_with_one_key_it_is_done_once(bench: Bench) -> None:
    key = {"Idempotency-Key": "tonight"}
    first, again = [(await post(bench, "/v1/tenants/alice/backups", headers=key))[1]["id"] for _ in range(2)]
    assert first == again
    (bench.keeping.home("alice") / "new").write_text("new")
    assert (await post(bench, "/v1/tenants/alice/backups"))[1]["id"] != first


async def test_startclaws_clients_keep_working(bench: Bench) -> None:
    async with bench.client() as client:
        answer = await client.post("/backup", json={"tenant": "alice"}, params=WAIT)
    assert (answer.status_code, answer.json()["status"]) == (202, "done")
    for name, status in (("nobody", 404), ("../x", 404), ("", 404)):
        assert (await post(bench, "/backup", json={"tenant": name}))[0] == status


async def test_what_isnt_there_isnt_listed(bench: Bench) -> None:
    async with bench.client() as client:
        for path in ("/v1/tenants/nobody/backups", "/v1/tenants/alice/backups/snap_none"):
            assert (await client.get(path)).status_code == 404
        assert (await client.post("/v1/tenants/nobody/backups")).status_code == 404


async def test_snapshots_outlive_a_tenant_that_was_deleted_without_its_data(bench: Bench) -> None:
    _, backup = await post(bench, "/v1/tenants/alice/backups")
    async with bench.client() as client:
        assert (await client.delete("/v1/tenants/alice", params=WAIT)).status_code == 202
        found = (await client.get("/v1/tenants/alice/backups")).json()["items"]
    assert [each["id"] for each in found] == [backup["result"]["snapshot"]]
