"""/v1/capacity: what was measured, said as that; what wasn't, said too; and nothing that can't be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx2
import pytest

from innkeeper.core.costs import Source, stated
from innkeeper.core.instance import Usage
from innkeeper.core.ladder import Rung
from innkeeper.core.past import NOTHING, Past
from innkeeper.host.keepers import Footprint
from tests.api.bench import Bench

MB = 1 << 20
PAST = (
    NOTHING.with_peak(Rung.STOPPED, 100, same_stay=False)
    .with_peak(Rung.PAGED, 40, same_stay=False)
    .with_rest(Rung.PAUSED, 100, 0)
    .with_rest(Rung.PAGED, 10, 90)
    .with_wake(Rung.PAGED, 0.5)
    .with_wake(Rung.STOPPED, 3.0)
)


async def lived(bench: Bench, name: str = "alice", past: Past = PAST) -> None:
    """A tenant that was measured."""
    await bench.tenant(name)
    directory = bench.inn.directory
    tenant = directory.tenant(name)
    assert tenant is not None
    directory._put(replace(tenant, past=past))
    bench.house.dormitory.chronicle._pasts[name] = past


async def asked(api: httpx2.AsyncClient, **params: Any) -> dict[str, Any]:
    answer = await api.get("/v1/capacity", params=params)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def fits(agent: dict[str, Any]) -> dict[tuple[float, str | None], int | None]:
    return {(row["awake_share"], row["rung"]): row["fits"] for row in agent["rows"]}


async def test_an_empty_house_has_nothing_to_tell_and_an_agent_can_be_asked_about(api: httpx2.AsyncClient) -> None:
    assert (await asked(api))["agents"] == []
    (agent,) = (await asked(api, agent="plain"))["agents"]
    assert (agent["agent"], agent["tenants"]) == ("plain", 0)
    assert agent["costs"]["awake_mb"] == {
        "source": "assumed",
        "mean": 128.0,
        "usual": 128.0,
        "worst": 128.0,
        "samples": 0,
        "says": agent["costs"]["awake_mb"]["says"],
    }
    assert agent["costs"]["paged_mb"]["source"] == "missing"
    assert "--tier page" in agent["costs"]["paged_mb"]["says"]
    assert fits(agent)[1.0, None] == 120  # 16,384 MB without 1,024 that are used, and no reserve; 128 each
    assert fits(agent)[0.1, "paged"] is None
    assert any("assumed" in note for note in agent["rows"][0]["notes"])
    assert agent["cold_starts_per_minute"] is None


async def test_what_was_measured_decides(api: httpx2.AsyncClient, bench: Bench) -> None:
    await lived(bench)
    bench.survey.unit_mb = 50.0
    bench.survey.seen = lambda _id: Footprint(keeper_mb=4.0, keeper_tasks=11, inotify=1)
    found = await asked(api)
    (agent,) = found["agents"]
    costs = agent["costs"]
    assert [costs[name]["mean"] for name in ("awake_mb", "returned_mb", "paged_mb")] == [100, 40, 10]
    assert (costs["awake_mb"]["samples"], costs["awake_mb"]["source"]) == (1, "measured")
    assert [costs[name]["mean"] for name in ("keeper_mb", "tasks", "inotify", "unit_mb")] == [4, 12, 1, 50]
    assert (costs["cold_cpu_s"]["mean"], costs["cold_cpu_s"]["source"]) == (3.0, "bound")  # one core at most
    assert agent["cold_starts_per_minute"] == 40
    host = found["host"]
    assert host["system_mb"] == 1024 - 64 - 4  # without what the tenant takes: half its limit, and its keeper
    assert host["room_mb"] == 16384 - 956
    by_memory = {
        (row["awake_share"], row["rung"]): limit["tenants"]
        for row in agent["rows"]
        for limit in row["limits"]
        if limit["resource"] == "memory"
    }
    assert by_memory[1.0, None] == int(host["room_mb"] / 104)
    out_mb, resident_mb = 0.1 * 60 + 0.9 * 90, 0.1 * 40 + 0.9 * 10 + 4
    swapped = 16384 / out_mb
    assert by_memory[0.1, "paged"] == int(swapped + (host["room_mb"] - swapped * resident_mb) / 104)
    assert agent["rows"][0]["limits"][0]["resource"] == "inotify"
    assert fits(agent)[1.0, None] == 128
    assert found["policy"]["preset"] == "balanced"
    assert [row["rung"] for row in agent["rows"] if row["leads_to"]] == ["stopped", "stopped"]


async def test_many_tenants_are_told_from_a_few(api: httpx2.AsyncClient, bench: Bench) -> None:
    for number in range(20):
        await bench.tenant(f"t{number:02}")
        usage = Usage(memory_bytes=0, rss_bytes=10 * MB, swap_bytes=0, cpu_s=0, pids=5)
        bench.house.runtime.usages[f"t{number:02}"] = usage
    found = await asked(api)
    assert found["agents"][0]["tenants"] == 20
    assert found["agents"][0]["costs"]["tasks"] == {
        "source": "measured",
        "mean": 5.0,
        "usual": 5.0,
        "worst": 5.0,
        "samples": 7,
        "says": None,
    }
    assert found["host"]["system_mb"] == 1024 - 200


async def test_another_host_can_be_asked_about(api: httpx2.AsyncClient, bench: Bench) -> None:
    await lived(bench)
    here = await asked(api)
    there = await asked(api, memory_mb=32768, zram_mb=1000, zram_ratio=2.5, cpus=8, swap_mb=0, reserve_mb=100)
    assert (here["host"]["what_if"], there["host"]["what_if"]) == (False, True)
    assert there["host"]["room_mb"] == 32768 - here["host"]["system_mb"] - 100
    assert there["host"]["zram_ratio"]["source"] == "given"
    assert there["agents"][0]["costs"]["zram_mb"]["mean"] == 36
    assert there["agents"][0]["cold_starts_per_minute"] == 4 * here["agents"][0]["cold_starts_per_minute"]
    bench.survey.host = replace(bench.survey.host, zram_mb=8192, zram_ratio=stated(Source.MEASURED, 2.0))
    assert (await asked(api, memory_mb=4096))["host"]["zram_mb"] == 2048


async def test_the_policy_and_what_this_host_has_of_it(api: httpx2.AsyncClient, bench: Bench) -> None:
    await lived(bench)
    bench.inn.control.offer.missing = {Rung.PAGED: "there is no swap"}
    balanced = await asked(api)
    assert [row["rung"] for row in balanced["agents"][0]["rows"]] == [None, *["paused", "stopped"] * 2]
    assert balanced["policy"]["skipped"] == [{"rung": "paged", "why": "there is no swap"}]
    snappy = await asked(api, preset="snappy")
    assert (snappy["policy"]["preset"], snappy["policy"]["stop_after_s"]) == ("snappy", None)
    assert {row["rung"] for row in snappy["agents"][0]["rows"]} == {None, "paused"}


async def test_claims_are_called_that(api: httpx2.AsyncClient, bench: Bench) -> None:
    await lived(bench)
    (agent,) = (await asked(api))["agents"]
    four_gb = agent["host_claims"][0]
    assert (four_gb["by"], four_gb["agent"], four_gb["memory_mb"]) == ("OCMT", "openclaw", 4096)
    assert (four_gb["always_on"], four_gb["with_sleep"]) == (8, [50, 100])
    here = {(row["awake_share"], row["rung"]): row["fits"] for row in four_gb["here"]}
    assert here[1.0, None] == int((4096 - 960) / 100)
    assert agent["memory_claims"][-1] == {
        "by": "ZeptoClaw",
        "agent": "zeptoclaw",
        "tenants": 1000,
        "memory_mb": 6144,
        "here_mb": 100_000,
    }


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"memory_mb": 0}, "memory_mb"),
        ({"memory_mb": -1}, "memory_mb"),
        ({"memory_mb": "nan"}, "memory_mb"),
        ({"memory_mb": "inf"}, "memory_mb"),
        ({"cpus": 0}, "cpus"),
        ({"zram_ratio": 0.5}, "zram_ratio"),
        ({"burst": 0}, "burst"),
        ({"wakes_per_day": "nan"}, "wakes_per_day"),
        ({"preset": "lazy"}, "preset"),
        ({"agent": "skynet"}, "agent"),
    ],
)
async def test_what_cant_be_names_its_field(api: httpx2.AsyncClient, params: dict[str, Any], field: str) -> None:
    answer = await api.get("/v1/capacity", params=params)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert answer.json()["hint"]


async def test_a_tenants_own_key_isnt_enough(bench: Bench) -> None:
    await bench.tenant()
    _, secret = await bench.key()
    async with bench.client(secret) as tenant:
        assert (await tenant.get("/v1/capacity")).status_code == 403
