"""Who may do what: every route that the API describes, against every kind of caller."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from innkeeper.api.app import openapi
from innkeeper.core.access import new_secret
from tests.api.bench import Bench, opened

OPEN = {("GET", "/health"), ("GET", "/ready"), ("GET", "/metrics")}
ABOUT_ONESELF = {
    ("GET", "/v1/tenants"),
    ("GET", "/v1/me"),
    ("POST", "/v1/me/password"),
    ("GET", "/v1/sessions"),
    ("DELETE", "/v1/sessions/{session_id}"),
    ("GET", "/v1/tokens"),
    ("POST", "/v1/tokens"),
    ("DELETE", "/v1/tokens/{token_id}"),
}
"""What everybody may who is anybody: it holds only what is theirs. Who may what else, test_access_table.py says."""
TENANTS_OWN = {
    ("GET", "/v1/tenants/{name}"),
    ("GET", "/v1/tenants/{name}/stats"),
    ("GET", "/v1/tenants/{name}/logs"),
    ("GET", "/v1/tenants/{name}/events"),
    ("GET", "/v1/tenants/{name}/inbox"),
    ("GET", "/v1/tenants/{name}/hostnames"),
    ("POST", "/v1/tenants/{name}/wake"),
    ("POST", "/v1/tenants/{name}/chat"),
}
ROUTES = [(method.upper(), path) for path, methods in openapi()["paths"].items() for method in methods]
GUARDED = [route for route in ROUTES if route not in OPEN]
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/v1/tenants"): {"name": "carol", "agent": "plain"},
    ("PATCH", "/v1/tenants/{name}"): {},
    ("POST", "/v1/tenants/{name}/chat"): {"message": "hello"},
    ("POST", "/v1/releases/build"): {"agent": "plain"},
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Bench]:
    """Two tenants, and streams that end at once."""
    async with opened(tmp_path) as bench:
        await bench.tenant("alice")
        await bench.tenant("bob")
        bench.agent.model = None
        bench.inn.stopping.set()
        yield bench


async def status(bench: Bench, route: tuple[str, str], *, token: str | None, name: str = "alice") -> int:
    method, path = route
    url = re.sub(r"\{(\w+)\}", lambda found: name if found[1] == "name" else "unknown", path)
    async with bench.client(token) as client:
        if token == "":
            del client.headers["authorization"]
        return (await client.request(method, url, json=BODIES.get(route))).status_code


def test_the_routes_of_the_contract_are_there() -> None:
    assert set(ROUTES) > TENANTS_OWN | OPEN
    assert len(GUARDED) > 20


async def test_nobody_gets_in_without_a_credential_that_holds(house: Bench) -> None:
    wrong = ("", new_secret("a"), new_secret("k"), "x" * 5000)
    answers = {(route, token): await status(house, route, token=token) for route in GUARDED for token in wrong}
    assert {asked: answer for asked, answer in answers.items() if answer != 401} == {}


async def test_a_tenants_key_opens_nothing_of_another_tenant(house: Bench) -> None:
    _, key = await house.key("alice")
    for name in ("bob", "nobody"):
        foreign = [route for route in GUARDED if route not in ABOUT_ONESELF]
        answers = {route: await status(house, route, token=key, name=name) for route in foreign}
        assert {route: answer for route, answer in answers.items() if answer != 403} == {}


async def test_the_admin_gets_everywhere(house: Bench) -> None:
    answers = {route: await status(house, route, token=None) for route in GUARDED}
    assert {route: answer for route, answer in answers.items() if answer in (401, 403)} == {}


async def test_a_refusal_is_a_problem_that_says_how_to_do_better(house: Bench) -> None:
    async with house.client("nonsense") as client:
        answer = await client.get("/v1/tenants")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["hint"]) == (
        "unauthenticated",
        "Send `Authorization: Bearer TOKEN`.",
    )


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", "bearer\tx", "Bearer é"])
async def test_odd_headers_are_nobodys(header: str, house: Bench) -> None:
    async with house.client() as client:
        answer = await client.get("/v1/tenants", headers={b"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401


async def test_a_revoked_key_is_worth_nothing(house: Bench) -> None:
    key_id, secret = await house.key("alice")
    async with house.client() as admin, house.client(secret) as client:
        assert (await client.get("/v1/tenants/alice")).status_code == 200
        assert (await admin.delete(f"/v1/tenants/alice/keys/{key_id}")).status_code == 204
        assert (await client.get("/v1/tenants/alice")).status_code == 401


async def test_a_tenants_key_doesnt_undo_an_ordered_sleep(tmp_path: Path) -> None:
    async with opened(tmp_path) as bench:
        await bench.tenant()
        _, key = await bench.key()
        async with bench.client() as admin, bench.client(key) as client:
            assert (await client.post("/v1/tenants/alice/wake?wait=20")).json()["status"] == "done"
            assert (await admin.patch("/v1/tenants/alice?wait=20", json={"wanted": "asleep"})).status_code == 202
            refused = await client.post("/v1/tenants/alice/wake?wait=20")
            assert (refused.status_code, refused.json()["code"]) == (503, "tenant_asleep")
            assert (await admin.get("/v1/tenants/alice")).json()["wanted"] == "asleep"
            assert (await admin.post("/v1/tenants/alice/wake?wait=20")).json()["status"] == "done"


async def test_metrics_are_open_to_the_machine_itself_alone(house: Bench) -> None:
    for address, token, expected in (
        ("127.0.0.1", "", 200),
        ("::1", "", 200),
        ("192.0.2.7", "", 401),
        ("192.0.2.7", house.admin_token, 200),
    ):
        transport = httpx2.ASGITransport(house.app, client=(address, 5))
        async with httpx2.AsyncClient(transport=transport, base_url="http://inn") as client:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            assert (await client.get("/metrics", headers=headers)).status_code == expected
    _, key = await house.key("alice")
    transport = httpx2.ASGITransport(house.app, client=("192.0.2.7", 5))
    async with httpx2.AsyncClient(transport=transport, base_url="http://inn") as client:
        assert (await client.get("/metrics", headers={"Authorization": f"Bearer {key}"})).status_code == 403
