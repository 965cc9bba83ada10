"""OCMT's own endpoints, as its clients call them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from tests.api.bench import Bench, opened


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as bench:
        await bench.tenant("alice")
        yield bench


@pytest.fixture
async def ocmt(bench: Bench) -> AsyncIterator[httpx2.AsyncClient]:
    async with bench.client("") as client:
        del client.headers["authorization"]
        client.headers["x-auth-token"] = bench.admin_token
        yield client


async def test_containers_are_listed_put_to_sleep_and_woken(ocmt: httpx2.AsyncClient) -> None:
    (alice,) = (await ocmt.get("/api/containers")).json()
    assert alice == {"userId": "alice", "hibernationState": "running", "idleMinutes": 0}
    for mode, state in (("pause", "paused"), ("stop", "stopped")):
        slept = await ocmt.post("/api/containers/alice/hibernate", json={"mode": mode})
        assert (slept.status_code, slept.json()["hibernationState"]) == (200, state)
        assert (await ocmt.get("/health")).json()["hibernation"][state] == 1
    woken = await ocmt.post("/api/containers/alice/wake")
    assert (woken.status_code, woken.json()["hibernationState"]) == (200, "running")


async def test_what_isnt_there_or_isnt_known_is_refused(ocmt: httpx2.AsyncClient) -> None:
    assert (await ocmt.post("/api/containers/nobody/wake")).status_code == 404
    assert (await ocmt.post("/api/containers/alice/hibernate", json={"mode": "deep"})).status_code == 400
    ocmt.headers["x-auth-token"] = "wrong"
    assert (await ocmt.get("/api/containers")).status_code == 401
    del ocmt.headers["x-auth-token"]
    assert (await ocmt.get("/api/containers")).status_code == 401


async def test_what_went_wrong_is_told_by_the_status(bench: Bench, ocmt: httpx2.AsyncClient) -> None:
    await ocmt.post("/api/containers/alice/hibernate", json={"mode": "stop"})
    bench.house.memory.found = replace(bench.house.memory.found, available_mb=1)
    refused = await ocmt.post("/api/containers/alice/wake")
    assert (refused.status_code, refused.json()["code"]) == (503, "no_capacity")


async def test_who_failed_does_not_count_as_asleep(bench: Bench, ocmt: httpx2.AsyncClient) -> None:
    for _ in range(5):
        bench.house.runtime.crash("alice", exit_code=3)
        await bench.house.settle()
    health = (await ocmt.get("/health")).json()
    assert health["containers"] == 1
    assert health["hibernation"] == {"running": 0, "paused": 0, "stopped": 0}
