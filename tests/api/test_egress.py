"""A tenant's way out by the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.bench import Bench, opened


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as bench:
        await bench.tenant("alice")
        yield bench


async def asked(bench: Bench, *names: str, refused: bool = False) -> None:
    """As if the tenant had asked for these while it was watched."""
    tenant = bench.house.directory.tenant("alice")
    assert tenant
    for name in names:
        bench.inn.asked_for.note(tenant, name, refused)
    await bench.inn.asked_for.write()


async def test_mode_list_and_what_was_asked_for(bench: Bench) -> None:
    async with bench.client() as client:
        empty = (await client.get("/v1/tenants/alice/egress")).json()
        assert (empty["mode"], empty["names"], empty["asked"]) == ("off", [], [])
        assert empty["cannot"] == "instances in memory have no network"
        body = {"uses": {"egress": {"mode": "learn", "names": ["API.example.com."]}}}
        assert (await client.patch("/v1/tenants/alice", json=body)).status_code == 202
        await asked(bench, "api.example.com", "www.example.com")
        await asked(bench, "www.example.com", refused=True)
        shown = (await client.get("/v1/tenants/alice/egress")).json()
    assert (shown["mode"], shown["names"]) == ("learn", ["api.example.com"])
    assert [(each["name"], each["listed"], each["asked"], each["refused"]) for each in shown["asked"]] == [
        ("api.example.com", True, 1, 0),
        ("www.example.com", False, 2, 1),
    ]


async def test_what_was_asked_for_is_forgotten_on_the_record(bench: Bench) -> None:
    await asked(bench, "a.example", "b.example")
    async with bench.client() as client:
        assert (await client.delete("/v1/tenants/alice/egress")).json() == {"forgotten": 2}
        assert (await client.get("/v1/tenants/alice/egress")).json()["asked"] == []
        trail = (await client.get("/v1/audit", params={"tenant": "alice"})).json()["items"]
        assert "egress.forget" in [line["action"] for line in trail]
        for answer in (await client.get("/v1/tenants/no/egress"), await client.delete("/v1/tenants/no/egress")):
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_tenant")


async def test_what_cant_be_enforced_here_is_refused_with_the_reason(bench: Bench) -> None:
    bench.house.control._cannot_enforce = bench.house.runtime.ways_out.why_not
    body = {"uses": {"egress": {"mode": "enforce", "names": ["a.example"]}}}
    async with bench.client() as client:
        answer = await client.patch("/v1/tenants/alice", json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "egress_not_enforceable")
        assert "no network" in answer.json()["detail"]
        made = await client.post("/v1/tenants", json={"name": "bob", "agent": "plain", **body})
        assert made.json()["code"] == "egress_not_enforceable"
        assert (await client.get("/v1/tenants/alice")).json()["uses"]["egress"]["mode"] == "off"


@pytest.mark.parametrize(
    "name", ["*", "*.", "10.0.0.1", "a b.example", "..", "x" * 300, "localhost", "http://a.example"]
)
async def test_names_that_are_none(bench: Bench, name: str) -> None:
    async with bench.client() as client:
        answer = await client.patch("/v1/tenants/alice", json={"uses": {"egress": {"mode": "learn", "names": [name]}}})
    assert answer.status_code == 400, answer.text
