"""Drills by the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from innkeeper.core.instance import Execution
from tests.api.bench import Bench, opened
from tests.support.drills import Range


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path / "house") as bench:
        await bench.tenant("alice")
        yield bench


@pytest.fixture
async def range_(bench: Bench, tmp_path: Path) -> Range:
    return Range(folder=tmp_path, house=bench.house)


async def test_one_is_run_by_hand_and_shows_with_its_tenant(bench: Bench, range_: Range) -> None:
    snapshot = await range_.snapshot()
    range_.room.answer = lambda drill, blueprint: Execution(exit_code=0, output=b"2")
    async with bench.client() as client, range_.carrying_out():
        asked = await client.post("/v1/tenants/alice/drills", params={"wait": 60})
        operation = asked.json()
        assert (operation["kind"], operation["status"]) == ("drill", "done"), operation
        assert operation["result"]["snapshot"] == snapshot
        [drill] = (await client.get("/v1/drills")).json()["items"]
        assert (await client.get("/v1/tenants/alice/drills")).json()["items"] == [drill]
        assert (drill["id"], drill["outcome"], drill["sessions"]) == (operation["id"], "proven", 2)
        assert [step["step"] for step in drill["steps"]][-1] == "reading its sessions"
        shown = (await client.get("/v1/tenants/alice")).json()["proven"]
        assert (shown["snapshot"], shown["ok"]) == (snapshot, True)
        assert (shown["at"], shown["tried_at"]) == (drill["ended_at"], drill["ended_at"])
        trail = (await client.get("/v1/audit", params={"tenant": "alice"})).json()["items"]
        assert "tenant.drill" in [line["action"] for line in trail]


async def test_a_failure_shows_beside_the_last_proof(bench: Bench, range_: Range) -> None:
    good = await range_.snapshot()
    async with bench.client() as client, range_.carrying_out():
        await client.post("/v1/tenants/alice/drills", params={"wait": 60})
        range_.damage(await range_.tenant())
        failed = (await client.post("/v1/tenants/alice/drills", params={"wait": 60})).json()
        assert failed["status"] == "failed"
        assert failed["error"]["code"] in ("snapshot_damaged", "backup_failed")
        drills = (await client.get("/v1/drills", params={"limit": 1})).json()
        assert drills["items"][0]["outcome"] == "failed"
        older = (await client.get("/v1/drills", params={"cursor": drills["next_cursor"]})).json()["items"]
        assert [drill["outcome"] for drill in older] == ["proven"]
        shown = (await client.get("/v1/tenants")).json()["items"][0]["proven"]
    assert (shown["snapshot"], shown["ok"]) == (good, False)


async def test_the_same_request_twice_is_one_drill(bench: Bench, range_: Range) -> None:
    await range_.snapshot()
    async with bench.client() as client:
        key = {"Idempotency-Key": "once"}
        first = await client.post("/v1/tenants/alice/drills", headers=key)
        again = await client.post("/v1/tenants/alice/drills", headers=key)
        other = await client.post("/v1/tenants/alice/drills", headers=key, json={"snapshot": "5e3f9d99"})
    assert (first.status_code, first.json()["id"]) == (202, again.json()["id"])
    assert other.status_code == 422


@pytest.mark.parametrize("snapshot", ["5e", "la-test", "../../etc", "5E3F9D99", "a" * 65])
async def test_what_cant_be_an_id_is_refused(bench: Bench, snapshot: str) -> None:
    async with bench.client() as client:
        answer = await client.post("/v1/tenants/alice/drills", json={"snapshot": snapshot})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), answer.text


async def test_of_nobody(bench: Bench) -> None:
    async with bench.client() as client:
        answers = [await client.post("/v1/tenants/no/drills"), await client.get("/v1/tenants/no/drills")]
        answers.append(await client.get("/v1/drills", params={"tenant": "No!"}))
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "unknown_tenant")] * 3
