"""Every route that the API describes against every kind of caller: the table of who may do what."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter

from innkeeper.api.admission import all_declared
from innkeeper.api.app import openapi
from innkeeper.core.access import ADMIN, Role, Scope, TenantRole, digest
from innkeeper.core.tokens import TokenWish
from tests.api.bench import Bench, opened
from tests.api.people import person, token_of

OPEN = {"GET /health", "GET /ready", "GET /metrics"}
EVERYBODY = {"admin", "operator", "auditor", "owner", "member", "viewer", "foreign owner", "key", "nobody's user"}
PLATFORM = {"admin", "operator"}
SEERS = {"admin", "operator", "auditor"}
OWNERS = {"admin", "operator", "owner"}
USERS = {"admin", "operator", "owner", "member", "key"}
LOOKERS = SEERS | {"owner", "member", "viewer", "key"}

TABLE: Mapping[str, set[str]] = {
    # tenants
    "POST /v1/tenants": PLATFORM,
    "GET /v1/tenants": EVERYBODY,
    "GET /v1/tenants/{name}": LOOKERS,
    "PATCH /v1/tenants/{name}": PLATFORM,
    "DELETE /v1/tenants/{name}": PLATFORM,
    "POST /v1/tenants/{name}/wake": USERS,
    "POST /v1/tenants/{name}/sleep": OWNERS,
    "POST /v1/tenants/{name}/restart": OWNERS,
    "POST /v1/tenants/{name}/chat": USERS,
    "GET /v1/tenants/{name}/logs": USERS,
    "GET /v1/tenants/{name}/stats": LOOKERS,
    "GET /v1/tenants/{name}/events": LOOKERS,
    "GET /v1/tenants/{name}/hostnames": LOOKERS,
    "GET /v1/tenants/{name}/usage": LOOKERS,
    "GET /v1/tenants/{name}/tools": LOOKERS,
    "GET /v1/tenants/{name}/keys": OWNERS,
    "POST /v1/tenants/{name}/keys": OWNERS,
    "DELETE /v1/tenants/{name}/keys/{key_id}": OWNERS,
    "GET /v1/tenants/{name}/integrations": OWNERS,
    "POST /v1/tenants/{name}/integrations/{integration}/connect": OWNERS,
    "DELETE /v1/tenants/{name}/integrations/{integration}": OWNERS,
    "GET /v1/tenants/{name}/members": OWNERS,
    "PUT /v1/tenants/{name}/members/{who}": OWNERS,
    "DELETE /v1/tenants/{name}/members/{who}": OWNERS,
    "GET /v1/tenants/{name}/inbox": USERS,
    "POST /v1/tenants/{name}/inbox/replay": OWNERS,
    "POST /v1/tenants/{name}/inbox/{message_id}/replay": OWNERS,
    "DELETE /v1/tenants/{name}/inbox/{message_id}": OWNERS,
    "GET /v1/tenants/{name}/secrets": OWNERS,
    "PUT /v1/tenants/{name}/secrets/{key}": OWNERS,
    "POST /v1/tenants/{name}/secrets/{key}/rotate": OWNERS,
    "DELETE /v1/tenants/{name}/secrets/{key}": OWNERS,
    "POST /v1/tenants/{name}/restore": OWNERS,
    "POST /v1/tenants/{name}/confirm": OWNERS,
    "POST /v1/tenants/{name}/exports": OWNERS,
    "GET /v1/tenants/{name}/exports/{operation_id}": OWNERS,
    "DELETE /v1/tenants/{name}/exports/{operation_id}": OWNERS,
    "GET /v1/tenants/{name}/drills": LOOKERS,
    "POST /v1/tenants/{name}/drills": PLATFORM,
    "GET /v1/tenants/{name}/unit": LOOKERS,
    "POST /v1/tenants/{name}/hydrate": OWNERS,
    "GET /v1/tenants/{name}/backups": LOOKERS,
    "POST /v1/tenants/{name}/backups": OWNERS,
    "POST /v1/tenants/{name}/backups/prune": OWNERS,
    "POST /v1/tenants/{name}/backups/repair": OWNERS,
    "GET /v1/tenants/{name}/backups/{snapshot_id}": LOOKERS,
    "POST /v1/tenants/{name}/backups/{snapshot_id}/verify": OWNERS,
    "GET /v1/tenants/{name}/egress": USERS,
    "DELETE /v1/tenants/{name}/egress": OWNERS,
    # units from elsewhere
    "POST /v1/units/import": {"admin"},
    "PUT /v1/units/import": PLATFORM,
    # the house
    "GET /v1/operations": SEERS,
    "GET /v1/operations/{operation_id}": SEERS,  # of one that isn't there
    "GET /v1/agents": SEERS,
    "GET /v1/releases": SEERS,
    "POST /v1/releases/build": PLATFORM,
    "GET /v1/packs": SEERS,
    "POST /v1/packs": PLATFORM,
    "DELETE /v1/packs/{pack}/{version}": PLATFORM,
    "GET /v1/status": SEERS,
    "GET /v1/restorable": PLATFORM,
    "GET /v1/doctor": SEERS,
    "GET /v1/capacity": SEERS,
    "GET /v1/drills": SEERS,
    "GET /v1/compose": PLATFORM,
    "GET /v1/usage": SEERS,
    "GET /v1/events": SEERS,
    "GET /v1/backups": SEERS,
    "GET /v1/backups/control": SEERS,
    "POST /v1/backups/control": PLATFORM,
    "POST /v1/backups/control/repair": PLATFORM,
    "POST /v1/backups/prune": PLATFORM,
    "GET /v1/audit": {"admin", "auditor"},
    "GET /v1/audit/export": {"admin", "auditor"},
    "POST /v1/audit/verify": {"admin", "auditor"},
    "POST /v1/tenants/{name}/restored-files": OWNERS,
    "GET /v1/tenants/{name}/restored-files/{operation_id}": OWNERS,
    "DELETE /v1/tenants/{name}/restored-files/{operation_id}": OWNERS,
    "POST /v1/tenants/{name}/data-exports": OWNERS,
    "GET /v1/tenants/{name}/data-exports/{operation_id}": OWNERS,
    "DELETE /v1/tenants/{name}/data-exports/{operation_id}": OWNERS,
    "GET /v1/receipts": SEERS,
    "GET /v1/receipts/key": SEERS,
    "GET /v1/receipts/{receipt_id}": SEERS,
    "GET /v1/secrets": {"admin"},
    "PUT /v1/secrets/{key}": {"admin"},
    "POST /v1/secrets/{key}/rotate": {"admin"},
    "DELETE /v1/secrets/{key}": {"admin"},
    "GET /v1/keyring": {"admin"},
    "POST /v1/keyring/rotate": {"admin"},
    # people
    "GET /v1/users": SEERS,
    "POST /v1/users": {"admin"},
    "GET /v1/users/{who}": SEERS,
    "PATCH /v1/users/{who}": {"admin"},
    "DELETE /v1/users/{who}": {"admin"},
    "GET /v1/me": EVERYBODY,
    "POST /v1/me/password": EVERYBODY,  # of what has no password it is refused with 403, too
    "GET /v1/sessions": EVERYBODY,
    "DELETE /v1/sessions/{session_id}": EVERYBODY,
    "GET /v1/tokens": EVERYBODY,
    "POST /v1/tokens": EVERYBODY,
    "DELETE /v1/tokens/{token_id}": EVERYBODY,
    # OCMT's
    "GET /api/containers": SEERS,
    "POST /api/containers/{name}/wake": OWNERS,
    "POST /api/containers/{name}/hibernate": OWNERS,
    # StartClaw's
    "POST /restore": PLATFORM,
    "POST /backup": PLATFORM,
}
ROUTES = [f"{method.upper()} {path}" for path, methods in openapi()["paths"].items() for method in methods]
GUARDED = [route for route in ROUTES if route not in OPEN]
BODIES: dict[str, Any] = {
    "POST /v1/tenants": {"name": "carol", "agent": "plain"},
    "POST /v1/tenants/{name}/chat": {"message": "hello"},
    "POST /v1/releases/build": {"agent": "plain"},
    "POST /v1/units/import": {"from": "marcoby", "path": "/nowhere"},
    "PUT /v1/tenants/{name}/secrets/{key}": {"value": "x"},
    "POST /v1/tenants/{name}/secrets/{key}/rotate": {"value": "x"},
    "PUT /v1/secrets/{key}": {"value": "x"},
    "POST /v1/secrets/{key}/rotate": {"value": "x"},
    "POST /v1/users": {"mail": "new@example.com"},
    "POST /backup": {"tenant": "alice"},
    "POST /v1/me/password": {"old": "x", "new": "y"},
    "POST /restore": {"tenant": "alice"},
}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Two tenants, and streams that end at once."""
    async with opened(tmp_path) as bench:
        await bench.tenant("alice")
        await bench.tenant("bob")
        bench.agent.model = None
        bench.inn.stopping.set()
        yield bench


async def credentials(bench: Bench) -> dict[str, str]:
    """Of everybody in the table."""
    people = {
        "admin": await person(bench, "admin", role=Role.ADMIN),
        "operator": await person(bench, "operator", role=Role.OPERATOR),
        "auditor": await person(bench, "auditor", role=Role.AUDITOR),
        "owner": await person(bench, "owner", tenants={"alice": TenantRole.OWNER}),
        "member": await person(bench, "member", tenants={"alice": TenantRole.MEMBER}),
        "viewer": await person(bench, "viewer", tenants={"alice": TenantRole.VIEWER}),
        "foreign owner": await person(bench, "foreign", tenants={"bob": TenantRole.OWNER}),
        "nobody's user": await person(bench, "nobodys"),
    }
    found = {who: await token_of(bench, user) for who, user in people.items()}
    _, found["key"] = await bench.key("alice")
    return found


async def answered(bench: Bench, route: str, token: str, name: str = "alice") -> tuple[int, str]:
    method, _, path = route.partition(" ")
    url = re.sub(r"\{(\w+)\}", lambda found: name if found[1] == "name" else "unknown", path)
    async with bench.client(token) as client:
        answer = await client.request(method, url, json=BODIES.get(route))
        kind = answer.headers.get("content-type", "")
        return answer.status_code, answer.json()["code"] if kind == "application/problem+json" else ""


def is_let_in(answer: tuple[int, str]) -> bool:
    """Whether the choke point let it pass; what has no password is refused behind it, and says another thing."""
    return answer[0] != 401 and answer[1] != "forbidden"


def test_the_table_names_every_route_and_no_other() -> None:
    assert set(GUARDED) - set(TABLE) == set()
    assert set(TABLE) - set(GUARDED) <= {  # come with other parts
        "GET /v1/audit/export",
        "POST /v1/audit/verify",
    }


async def test_everybody_may_what_the_table_says_and_nothing_else(bench: Bench) -> None:
    tokens = await credentials(bench)
    routes = [route for route in GUARDED if route != "POST /v1/me/password"]
    routes.sort(key=lambda route: route == "DELETE /v1/tenants/{name}")  # last: memberships go with it
    seen = {
        route: {who for who, token in tokens.items() if is_let_in(await answered(bench, route, token))}
        for route in routes
    }
    assert seen == {route: TABLE[route] for route in seen}


async def test_a_credential_that_has_ended_opens_nothing(bench: Bench) -> None:
    user = await person(bench, "ann", role=Role.ADMIN)
    await person(bench, "other", role=Role.ADMIN)
    revoked, expired, orphaned = [await token_of(bench, user) for _ in range(3)]
    tokens = {token.digest: token for token in await bench.inn.people.tokens.all()}
    await bench.inn.people.tokens.revoke(tokens[digest(revoked)].id, actor=ADMIN, own=False)
    await all_shut(bench, revoked)
    over, at = tokens[digest(expired)], bench.house.clock.now() + timedelta(seconds=1)
    async with bench.house.store.begin() as tx:
        await tx.people.drop_token(over.id)
        await tx.people.add_token(replace(over, expires_at=at))
    await bench.inn.people.identities.load()
    _, key = await bench.inn.keys.create("alice", "short", actor=ADMIN, expires_at=at)
    for token in (expired, key):
        assert (await answered(bench, "GET /v1/tenants/{name}", token))[0] == 200, "it isn't over yet"
    bench.house.clock.turn(1)
    await all_shut(bench, expired)
    await all_shut(bench, key)
    assert (await answered(bench, "GET /v1/me", orphaned))[0] == 200, "only its own end ends a token"
    await bench.inn.people.users.delete(user, actor=ADMIN)
    await all_shut(bench, orphaned)


async def all_shut(bench: Bench, token: str) -> None:
    """Whatever it asks for, the credential is nobody's."""
    answers = {route: (await answered(bench, route, token))[0] for route in GUARDED}
    assert {route: status for route, status in answers.items() if status != 401} == {}


@pytest.mark.parametrize(
    ("scopes", "shut", "opened_"),
    [
        ({Scope.READ}, "POST /v1/tenants/{name}/wake", "GET /v1/tenants/{name}"),
        ({Scope.USE}, "GET /v1/tenants/{name}", "POST /v1/tenants/{name}/wake"),
        ({Scope.OPERATE}, "GET /v1/audit", "POST /v1/tenants/{name}/restart"),
        ({Scope.AUDIT}, "POST /v1/users", "GET /v1/audit"),
        ({Scope.MANAGE}, "GET /v1/audit", "POST /v1/users"),
    ],
)
async def test_a_token_is_narrowed_by_its_scopes(bench: Bench, scopes: set[Scope], shut: str, opened_: str) -> None:
    token = await token_of(bench, await person(bench, "ann", role=Role.ADMIN), scopes=frozenset(scopes))
    assert is_let_in(await answered(bench, opened_, token))
    assert await answered(bench, shut, token) == (403, "forbidden")


async def test_an_admins_token_for_one_tenant_is_good_for_that_one(bench: Bench) -> None:
    token = await token_of(bench, await person(bench, "ann", role=Role.ADMIN), tenant="alice")
    assert (await answered(bench, "GET /v1/tenants/{name}", token))[0] == 200
    assert await answered(bench, "GET /v1/tenants/{name}", token, "bob") == (403, "forbidden")
    for route in ("GET /v1/users", "POST /v1/tenants", "GET /v1/audit"):
        assert await answered(bench, route, token) == (403, "forbidden")


async def test_a_services_token_has_the_role_it_was_given(bench: Bench) -> None:
    wish = TokenWish(name="bot", tenant="alice", tenant_role=TenantRole.VIEWER)
    _, secret = await bench.inn.people.tokens.create(wish, actor=ADMIN)
    assert (await answered(bench, "GET /v1/tenants/{name}", secret))[0] == 200
    assert await answered(bench, "POST /v1/tenants/{name}/wake", secret) == (403, "forbidden")
    _, deletion = await bench.inn.control.delete("alice", purge=False, actor=ADMIN)
    assert (await bench.inn.control.wait(deletion.id, timeout_s=20)).status == "done"
    assert (await answered(bench, "GET /v1/tenants", secret))[0] == 401


async def test_lists_hold_what_one_may_look_at(bench: Bench) -> None:
    user = await person(bench, "ann", tenants={"alice": TenantRole.VIEWER})
    async with bench.client(await token_of(bench, user)) as client:
        page = (await client.get("/v1/tenants")).json()
        assert [tenant["name"] for tenant in page["items"]] == ["alice"]
        assert page["next_cursor"] is None
        assert [token["user"] for token in (await client.get("/v1/tokens")).json()["items"]] == [user]
    _, key = await bench.key("bob")
    async with bench.client(key) as client:
        assert [tenant["name"] for tenant in (await client.get("/v1/tenants")).json()["items"]] == ["bob"]
        assert (await client.get("/v1/tokens")).json()["items"] == []
        assert (await client.get("/v1/sessions")).json()["items"] == []


async def test_an_operation_is_for_those_who_may_look_at_its_tenant(bench: Bench) -> None:
    _, operation = await bench.inn.control.wake("alice", actor=ADMIN)
    viewer = await token_of(bench, await person(bench, "v", tenants={"alice": TenantRole.VIEWER}))
    foreign = await token_of(bench, await person(bench, "f", tenants={"bob": TenantRole.OWNER}))
    for token, expected in ((viewer, 200), (foreign, 403)):
        async with bench.client(token) as client:
            assert (await client.get(f"/v1/operations/{operation.id}")).status_code == expected


def test_a_route_that_forgot_to_say_what_it_needs_ends_the_start() -> None:
    router = APIRouter()

    @router.get("/new")
    async def forgotten() -> None: ...

    with pytest.raises(TypeError, match="doesn't say what it needs"):
        all_declared(router)
