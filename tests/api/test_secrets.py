"""Secrets by the API: whatever is sent as one, no answer and no log line has it."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from innkeeper.core.access import ADMIN
from tests.api.bench import Bench

PATH = "/v1/tenants/alice/secrets"


@pytest.fixture
async def api(bench: Bench) -> AsyncIterator[httpx2.AsyncClient]:
    await bench.tenant()
    async with bench.client() as client:
        yield client


async def test_a_secret_goes_in_and_never_comes_out(api: httpx2.AsyncClient, logged: io.StringIO) -> None:
    told = [
        await api.put(f"{PATH}/KEY", json={"value": "canary-1", "expires_at": "2027-01-31T00:00:00Z"}),
        await api.put(f"{PATH}/KEY", json={"value": "canary-2\nwith a second line"}),
        await api.post(f"{PATH}/KEY/rotate", json={"value": "canary-3"}),
        await api.post(f"{PATH}/KEY/rotate", json={"back_to": 2}),
        await api.get(PATH),
        await api.put("/v1/secrets/KEY", json={"value": "canary-4"}),
        await api.post("/v1/secrets/KEY/rotate", json={"value": "canary-5"}),
        await api.get("/v1/secrets"),
        await api.get("/v1/audit"),
        await api.get("/v1/tenants/alice"),
    ]
    assert [answer.status_code for answer in told] == [200] * len(told)
    (kept,) = told[4].json()["items"]
    assert (kept["name"], kept["version"], kept["created_by"], kept["expires_at"], kept["expired"]) == (
        "KEY", 4, "admin", None, False,
    )  # fmt: skip
    assert [each["expires_at"] for each in kept["versions"]][-1] == "2027-01-31T00:00:00Z"
    assert (await api.delete(f"{PATH}/KEY")).status_code == 204
    assert (await api.delete(f"{PATH}/KEY")).json()["code"] == "secret_missing"
    assert not any("canary" in answer.text for answer in told)
    assert "canary" not in logged.getvalue()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"value": ""}, 400, "invalid_request"),
        ({"value": "a\0canary"}, 400, "invalid_request"),
        ({"value": "canary" * 15_000}, 400, "invalid_request"),
        ({"value": "canary" * 200_000}, 413, "too_large"),
        ({"value": ["canary"]}, 400, "invalid_request"),
        ({"value": "\ud800canary"}, 400, "invalid_request"),
        ({"value": "canary", "expires_at": "2001-01-31T00:00:00Z"}, 400, "invalid_request"),
        ({"value": "canary", "more": "canary"}, 400, "invalid_request"),
        ({}, 400, "invalid_request"),
    ],
)
async def test_values_that_may_not_be_are_refused_and_not_repeated(
    api: httpx2.AsyncClient, logged: io.StringIO, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await api.put(f"{PATH}/KEY", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "canary" not in answer.text + logged.getvalue()
    assert (await api.get(PATH)).json()["items"] == []


@pytest.mark.parametrize("name", ["%2E%2E%2Fx", "..%2Fx", "a%2Fb", "1x", "a%00", "%20", "x" * 129, "integration.x"])
async def test_names_that_may_not_be(api: httpx2.AsyncClient, name: str) -> None:
    answer = await api.put(f"{PATH}/{name}", json={"value": "x"})
    assert answer.status_code in (400, 404, 405)
    assert (await api.get(PATH)).json()["items"] == []


async def test_the_same_request_sent_again_makes_no_second_version(api: httpx2.AsyncClient) -> None:
    for _ in range(2):
        answer = await api.put(f"{PATH}/KEY", json={"value": "x"}, headers={"Idempotency-Key": "once"})
        assert (answer.status_code, answer.json()["version"]) == (200, 1)
    other = await api.put(f"{PATH}/KEY", json={"value": "y"}, headers={"Idempotency-Key": "once"})
    assert other.json()["code"] == "idempotency_mismatch"


async def test_a_config_refers_to_secrets_and_shows_the_references_alone(api: httpx2.AsyncClient, bench: Bench) -> None:
    config = {"channels": {"telegram": {"token": "${secret:BOT}", "dmPolicy": "open"}}}
    missing = await api.patch("/v1/tenants/alice", json={"config": config})
    assert (missing.json()["code"], "BOT" in missing.json()["detail"]) == ("invalid_spec", True)
    assert (await bench.house.control.tenant("alice")).seen.ready, "it isn't taken down for that"
    await bench.house.vault.set("alice", "BOT", "canary", actor=ADMIN)
    assert (await api.patch("/v1/tenants/alice?wait=20", json={"config": config})).json()["status"] == "done"
    shown = await api.get("/v1/tenants/alice")
    assert shown.json()["config"] == config
    trail = await api.get("/v1/audit")
    (line,) = [each for each in trail.json()["items"] if each["action"] == "tenant.update"]
    assert line["after"]["config"] == ["channels.telegram.dmPolicy", "channels.telegram.token"]
    for wrong in ({"channels": {"telegram": {"token": "canary"}}}, {"model": "${secret:BOT}"}):
        refused = await api.patch("/v1/tenants/alice", json={"config": wrong})
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_spec")
        assert "canary" not in refused.text
    assert "canary" not in shown.text + trail.text
