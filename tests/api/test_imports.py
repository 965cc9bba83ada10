"""Imports over the API: who may, what is answered, and bodies as large as units."""

from __future__ import annotations

import asyncio
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from innkeeper.agents import AGENTS
from innkeeper.core.access import Role
from innkeeper.core.importing import Importing
from innkeeper.core.operations import Status
from innkeeper.units.pack_tar import Tarring
from tests.api.bench import BODY_LIMIT, Bench, opened
from tests.api.people import person, token_of
from tests.support import layouts
from tests.support.arriving import open_house, over
from tests.support.layouts import SECRETS, TEAMS_PASSWORD

ROUTE = "/v1/units/import"
TAR = {"Content-Type": "application/x-tar"}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path / "data", hospitable=True) as bench:
        yield bench


def exported(
    tmp_path: Path, *, with_secrets: bool = False, whole: bool = True, name: str = "alice", **spec: Any
) -> bytes:
    """What `unit export` writes."""
    persistence = tmp_path / f"export-{name}"
    layouts.write(persistence / "workspace/notes.md", "remember me\n")
    layouts.write(persistence / "workspace/large.bin", bytes(3 * BODY_LIMIT))
    if not (persistence / "workspace/skill").is_symlink():
        (persistence / "workspace/skill").symlink_to("/opt/agent/skills/x")
    out = io.BytesIO()
    tar = Tarring(out, name, at=1_700_000_000)
    tar.folder("")
    manifest = {
        "format": 1,
        "tenant": {"name": name, "id": "tn_1"},
        "agent": "openclaw",
        "release": AGENTS["openclaw"].minimum_version,
        "spec": {
            "agent": "openclaw",
            "limits": {"memory_mb": 3000, "cpus": 1.5, "pids": 300},
            "sleep": {"pause_after_s": 60, "page_after_s": 90, "stop_after_s": None, "preset": "theirs"},
            "env": {"LANG": "C"},
            "hostnames": ["chat.example.com"],
            "config": {"channels": {"telegram": {"botToken": "${secret:TG}"}}},
            "uses": {"providers": {}, "budget": {"day_usd": 2.0}},
            **spec,
        },
        **({"secrets": {"TG": TEAMS_PASSWORD}} if with_secrets else {}),
    }
    tar.file("innkeeper.json", json.dumps(manifest).encode())
    tar.file("compose.yaml", b"services: {}\n")
    tar.file(".env", b"PORT=19999\nMODEL_NAME=gpt-5.4\n")
    descriptor = os.open(persistence, os.O_RDONLY | os.O_DIRECTORY)
    tar.tree(descriptor, "persistence", owner=1000)
    os.close(descriptor)
    if whole:
        tar.end()
    else:
        tar._tar.close()
    return out.getvalue()


async def test_an_export_is_sent_and_lives_again(bench: Bench, api: httpx2.AsyncClient, tmp_path: Path) -> None:
    body = exported(tmp_path, with_secrets=True)
    look = await api.put(ROUTE, content=body, headers=TAR, params={"dry_run": True})
    (plan,) = look.json()["units"]
    assert (look.status_code, plan["name"], plan["refusals"], plan["secrets"]) == (200, "alice", [], ["TG"])
    assert TEAMS_PASSWORD not in look.text
    async with open_house_of(bench):
        answer = await api.put(ROUTE, content=body, headers=TAR, params={"as": "bob"})
        assert answer.status_code == 202, answer.text
        (operation,) = answer.json()["operations"]
        ended = await over(bench.house, await bench.house.control.operation(operation["id"]))
        result = (await api.get(f"/v1/operations/{ended.id}")).json()
        assert result["status"] == "done", result
        started = await api.get(f"/v1/operations/{result['result']['provision']}", params={"wait": 20})
        assert started.json()["status"] == "done", started.text
    assert TEAMS_PASSWORD not in json.dumps(result)
    tenant = (await api.get("/v1/tenants/bob")).json()
    assert (tenant["fenced"], tenant["closed"], tenant["ready"]) == (True, None, True)
    assert (tenant["limits"]["memory_mb"], tenant["sleep"]["pause_after_s"]) == (3000, 60)
    assert (await bench.house.tenant("bob")).spec.env == {"LANG": "C"}
    assert tenant["hostnames"] == ["chat.example.com"]
    unit = tmp_path / "data/tenants/bob"
    assert (unit / "persistence/workspace/notes.md").read_text() == "remember me\n"
    assert (unit / "persistence/workspace/large.bin").stat().st_size == 3 * BODY_LIMIT
    assert str((unit / "persistence/workspace/skill").readlink()) == "/opt/agent/skills/x"
    assert "MODEL_NAME=gpt-5.4" in (unit / ".env").read_text()
    assert "PORT=19999" not in (unit / ".env").read_text()
    assert not list((tmp_path / "data/imports").iterdir())


async def test_sent_again_with_its_key_it_is_the_same_import(
    bench: Bench, api: httpx2.AsyncClient, tmp_path: Path
) -> None:
    body, headers = exported(tmp_path), {**TAR, "Idempotency-Key": "once"}

    async def sent(**changed: Any) -> httpx2.Response:
        return await api.put(ROUTE, **{"content": body, "headers": headers, **changed})

    answers = [*await asyncio.gather(sent(), sent()), await sent()]
    assert [each.status_code for each in answers] == [202] * 3, [each.text for each in answers]
    ids = {each["id"] for answer in answers for each in answer.json()["operations"]}
    assert len(ids) == 1
    for other in ({"content": exported(tmp_path, env={"LANG": "de"})}, {"params": {"as": "bob"}}):
        refused = await sent(**other)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_mismatch")
    assert (await sent(headers={**headers, "Idempotency-Key": "x" * 256})).status_code == 400
    importing = bench.inn.importing
    await importing.tidy()  # as the next process does
    (upload,) = (tmp_path / "data/imports").iterdir()
    assert (upload / "source").read_bytes() == body, "it is kept once"
    async with open_house_of(bench):
        ended = await over(bench.house, await bench.house.control.operation(ids.pop()))
        assert ended.status is Status.DONE, ended
        assert (await sent()).json()["operations"][0]["id"] == ended.id
    assert not list((tmp_path / "data/imports").iterdir())


async def test_half_an_export_is_refused(api: httpx2.AsyncClient, tmp_path: Path) -> None:
    whole = exported(tmp_path)
    cut = await api.put(ROUTE, content=whole[: len(whole) // 2], headers=TAR)
    assert (cut.status_code, cut.json()["code"]) == (400, "archive_damaged")
    ended = await api.put(ROUTE, content=exported(tmp_path, whole=False), headers=TAR)
    assert (ended.status_code, ended.json()["code"]) == (409, "import_refused")
    assert "innkeeper.end" in ended.json()["detail"]
    assert not list((tmp_path / "data/imports").iterdir())


async def test_hostile_exports_are_refused(api: httpx2.AsyncClient, tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("../../etc/cron.d/x")
        tar.addfile(info)
    answer = await api.put(ROUTE, content=out.getvalue(), headers=TAR)
    assert (answer.status_code, answer.json()["code"]) == (400, "archive_refused")
    for wrong in (b"", b"x" * 2000, b'{"a": 1}'):
        assert (await api.put(ROUTE, content=wrong, headers=TAR)).status_code == 400
    assert (await api.put(ROUTE, content=b"x", headers={"Content-Type": "application/json"})).status_code == 400
    wrong_specs: list[dict[str, Any]] = [
        {"limits": {"memory_mb": "lots"}},
        {"limits": 7},
        {"access": "all"},
        {"custom": {"x": 1}},
        {"env": {"LD_PRELOAD": "/x"}},
        {"env": ["x"]},
        {"uses": {"providers": {"p": {"kind": "openai"}}}},
        {"sleep": {"pause_after_s": "soon"}},
        {"config": 3},
        {"hostnames": [7]},
    ]
    for spec in wrong_specs:
        answer = await api.put(ROUTE, content=exported(tmp_path, **spec), headers=TAR)
        assert answer.status_code == 409, (spec, answer.text)
    assert not list((tmp_path / "data/imports").iterdir())


async def test_a_path_is_read_for_admins_alone(bench: Bench, api: httpx2.AsyncClient, tmp_path: Path) -> None:
    source = layouts.marcoby(tmp_path)
    body = {"from": "marcoby", "path": str(source), "dry_run": True}
    look = await api.post(ROUTE, json=body)
    assert look.status_code == 200, look.text
    (plan,) = look.json()["units"]
    assert plan["name"] == "client-alpha"
    assert not any(secret in look.text for secret in SECRETS)
    assert {"PORT": "ignored", "OPENAI_API_KEY": "secret", "COMPANY_NAME": "setting"}.items() <= {
        each["name"]: each["becomes"] for each in plan["values"]
    }.items()
    operator = await token_of(bench, await person(bench, "op", role=Role.OPERATOR))
    async with bench.client(operator) as theirs:
        assert (await theirs.post(ROUTE, json=body)).status_code == 403
    inside = await api.post(ROUTE, json={**body, "path": str(tmp_path / "data")})
    assert (inside.status_code, inside.json()["code"]) == (403, "source_forbidden")
    gone = await api.post(ROUTE, json={**body, "path": str(tmp_path / "nowhere")})
    assert (gone.status_code, gone.json()["code"]) == (404, "source_missing")
    for wrong in ("relative", "", "/a\0b"):
        assert (await api.post(ROUTE, json={**body, "path": wrong})).status_code == 400
    unknown = await api.post(ROUTE, json={**body, "agent": "nobody"})
    assert unknown.json()["code"] == "unknown_agent"


async def test_the_same_request_again_begins_nothing_new(bench: Bench, api: httpx2.AsyncClient, tmp_path: Path) -> None:
    root = layouts.ocmt(tmp_path / "ocmt", "u1", "u2")
    headers = {"Idempotency-Key": "once"}
    body = {"from": "ocmt", "path": str(root)}
    first = await api.post(ROUTE, json=body, headers=headers)
    assert first.status_code == 202, first.text
    again = await api.post(ROUTE, json=body, headers=headers)
    ids = [[each["id"] for each in answer.json()["operations"]] for answer in (first, again)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 2


def open_house_of(bench: Bench) -> Any:
    """Its works carried out; its tenants are brought up already."""
    importing = bench.inn.importing
    assert isinstance(importing, Importing)
    return open_house(bench.house, importing, tenants=False)


async def test_a_name_that_is_no_text_can_be_told(bench: Bench, api: httpx2.AsyncClient, tmp_path: Path) -> None:
    await bench.tenant("odd")
    os.mkfifo(tmp_path / "data/tenants/odd/persistence/\udcff-fifo")
    exports = bench.inn.exports
    async with open_house(bench.house, exports, tenants=False):  # type: ignore[arg-type]  # a work like any other
        begun = (await api.post("/v1/tenants/odd/exports")).json()
        await over(bench.house, await bench.house.control.operation(begun["id"]))
    told = await api.get(f"/v1/operations/{begun['id']}")
    assert list(told.json()["result"]["left_out"]) == ["?-fifo"]
    assert (await api.get("/v1/operations")).status_code == 200
