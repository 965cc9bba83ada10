"""What a restore is asked for over the API, by whom, and what they get by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from innkeeper.core.access import SYSTEM, Role, Scope, TenantRole
from innkeeper.core.operations import OperationKind, work_ended
from innkeeper.core.restore_asked import Asked, Mode, asked_of
from tests.api.bench import Bench, opened
from tests.api.deposit import deposited
from tests.api.people import person, token_of


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path / "data") as bench:
        await bench.tenant("alice")
        await deposited(bench, tmp_path)
        yield bench


async def post(bench: Bench, path: str, token: str | None = None, **body: Any) -> httpx2.Response:
    async with bench.client(token) as client:
        return await client.post(path, json=body)


async def asked(bench: Bench, answer: httpx2.Response) -> Asked:
    assert answer.status_code == 202, answer.text
    operation = await bench.house.control.operation(answer.json()["id"])
    assert operation.kind is OperationKind.RESTORE
    return asked_of(operation.detail)


async def over(bench: Bench) -> None:
    """Nobody is at work here: what was begun is over, so that the next can be asked for."""
    async with bench.house.store.begin() as tx:
        for operation in await tx.operations(open_only=True):
            await tx.put_operation(work_ended(operation, bench.house.clock.now()))


async def test_an_owner_gets_the_data_back_and_an_operator_the_spec_as_well(bench: Bench) -> None:
    owner = await token_of(bench, await person(bench, "owner", tenants={"alice": TenantRole.OWNER}))
    theirs = await asked(bench, await post(bench, "/v1/tenants/alice/restore", owner))
    assert (theirs.mode, theirs.whole_spec, theirs.safety, theirs.replace_secrets) == (
        Mode.IN_PLACE,
        False,
        True,
        False,
    )
    again = await post(bench, "/v1/tenants/alice/restore", owner)
    assert (again.status_code, again.json()["code"]) == (409, "conflict"), "one at a time"
    await over(bench)
    operator = await token_of(bench, await person(bench, "operator", role=Role.OPERATOR))
    ours = await asked(bench, await post(bench, "/v1/tenants/alice/restore", operator, safety=False, secrets=True))
    assert (ours.whole_spec, ours.safety, ours.replace_secrets) == (True, False, True)


async def test_what_would_give_an_owner_more_than_they_have_is_refused(bench: Bench, tmp_path: Path) -> None:
    user = await person(bench, "owner", tenants={"alice": TenantRole.OWNER})
    owner = await token_of(bench, user)
    other = await post(bench, "/v1/tenants/alice/restore", owner, **{"as": "twin"})
    assert (other.status_code, other.json()["code"]) == (403, "forbidden"), "it would make a tenant"
    narrow = await token_of(bench, user, scopes=frozenset({Scope.OPERATE}))
    secrets = await post(bench, "/v1/tenants/alice/restore", narrow, secrets=True)
    assert (secrets.status_code, secrets.json()["code"]) == (403, "forbidden"), "it would bring back secrets"
    assert (await post(bench, "/v1/tenants/nobody/restore", owner)).status_code == 403


async def test_another_tenant_is_there_from_the_beginning_and_closed(bench: Bench) -> None:
    answer = await post(bench, "/v1/tenants/alice/restore", **{"as": "twin"})
    assert (await asked(bench, answer)).mode is Mode.ANEW
    async with bench.client() as client:
        twin = (await client.get("/v1/tenants/twin")).json()
        assert (twin["closed"], twin["fenced"], twin["state"]) == (answer.json()["id"], True, "absent")
        confirmed = (await client.post("/v1/tenants/twin/confirm")).json()
    assert confirmed["fenced"] is False


async def test_the_same_request_sent_again_begins_nothing_new(bench: Bench) -> None:
    async with bench.client() as client:
        key = {"Idempotency-Key": "one"}
        first, second = [
            await client.post("/v1/tenants/alice/restore", json={"as": "twin"}, headers=key) for _ in range(2)
        ]
    assert first.json()["id"] == second.json()["id"]


async def test_a_tenant_that_is_gone_is_listed_and_restored_by_whoever_may_create_one(
    bench: Bench, tmp_path: Path
) -> None:
    before = await bench.house.tenant("alice")
    _, delete = await bench.house.control.delete("alice", purge=False, actor=SYSTEM)
    await bench.house.control.wait(delete.id, timeout_s=20)
    await bench.house.units.erase("alice")
    async with bench.client() as client:
        (found,) = (await client.get("/v1/restorable", params={"name": "alice"})).json()["items"]
    assert (found["tenant"], found["tenant_id"], found["targets"]) == ("alice", before.id, ["local"])
    nowhere = await post(bench, "/v1/tenants/alice/restore", paths=["workspace/note.md"])
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "unknown_tenant"), "single paths bring nobody back"
    answer = await post(bench, "/v1/tenants/alice/restore", channels=True)
    assert (await asked(bench, answer)).mode is Mode.ANEW
    after = await bench.house.tenant("alice")
    assert replace(after, seen=before.seen, closed=None) == replace(
        before, token_epoch=after.token_epoch, slot=after.slot
    )
    assert after.token_epoch > before.token_epoch


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"snapshot": "x", "at": "2026-11-20T03:00:00Z"}, "at"),
        ({"into": "x"}, "into"),
        ({"paths": ["x"], "as": "twin"}, "as"),
        ({"paths": ["../x"]}, "paths"),
        ({"paths": ["x\0y"]}, "paths"),
        ({"paths": ["x" * 256]}, "paths"),
        ({"paths": []}, "paths"),
        ({"paths": ["x"], "into": "../x"}, "into"),
        ({"as": "console"}, "as"),
        ({"as": "No Name"}, "name"),
    ],
)
async def test_what_can_not_be_meant_is_refused_by_name(bench: Bench, body: dict[str, Any], field: str) -> None:
    answer = await post(bench, "/v1/tenants/alice/restore", **body)
    assert (answer.status_code, answer.json()["field"].split(".")[-1]) == (400, field), answer.text


async def test_a_path_may_have_any_name_that_a_file_has(bench: Bench) -> None:
    strange = ["workspace/a*b?[c]\\d", "line\nbreak", "-rf", "$HOME", "é/☃"]
    assert (await asked(bench, await post(bench, "/v1/tenants/alice/restore", paths=strange))).paths == tuple(strange)
    await over(bench)
    raw = await post(bench, "/v1/tenants/alice/restore", paths=["x"], paths_encoded=["caf%E9/%25"])
    assert (await asked(bench, raw)).paths == ("x", "caf\udce9/%"), "one that isn't UTF-8"
    async with bench.client() as client:
        trail = await client.get("/v1/audit", params={"tenant": "alice"})
    assert "caf%E9" in trail.text, "and the trail can be read"
    out = await post(bench, "/v1/tenants/alice/restore", paths_encoded=["%2E%2E/x"])
    assert (out.status_code, out.json()["field"]) == (400, "paths")


async def test_startclaws_restore_takes_a_day(bench: Bench) -> None:
    today = bench.house.clock.now().date().isoformat()
    assert (await asked(bench, await post(bench, "/restore", tenant="alice", date=today))).mode is Mode.IN_PLACE
    await over(bench)
    early = await post(bench, "/restore", tenant="alice", date="2020-01-01")
    assert (early.status_code, early.json()["code"]) == (404, "snapshot_missing")
