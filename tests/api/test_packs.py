"""Packs over HTTP: uploaded, listed, given to tenants, delivered, and refused where they should be."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from innkeeper.core.access import TenantRole
from tests.api.bench import BODY_LIMIT, Bench
from tests.api.people import person, token_of
from tests.support.packs import tarball, texts, unit

FILES = {"SOUL.md": "soul 1", "sops/intake.md": "intake"}


async def added(api: httpx2.AsyncClient, version: str = "1", **files: str) -> httpx2.Response:
    return await api.post("/v1/packs", content=tarball(version, {**FILES, **files}, said={"title": "Core"}))


async def test_a_pack_is_added_listed_and_deleted(api: httpx2.AsyncClient) -> None:
    first = await added(api)
    assert first.status_code == 201
    document = first.json()
    assert {key: document[key] for key in ("name", "version", "title", "files", "size", "added_by")} == {
        "name": "core",
        "version": "1",
        "title": "Core",
        "files": 2,
        "size": 12,
        "added_by": "admin",
    }
    assert (await added(api)).json() == document, "the same again"
    changed = await added(api, **{"SOUL.md": "another"})
    assert (changed.status_code, changed.json()["code"]) == (409, "pack_exists")
    assert (await api.get("/v1/packs")).json()["items"] == [document]
    assert (await api.delete("/v1/packs/core/1")).status_code == 204
    assert (await api.delete("/v1/packs/core/1")).json()["code"] == "unknown_pack"
    trail = (await api.get("/v1/audit", params={"limit": 100})).json()["items"]
    assert [each["action"] for each in trail if each["action"].startswith("pack.")] in (
        ["pack.add", "pack.delete"],
        ["pack.delete", "pack.add"],
    )


async def test_a_pack_may_be_larger_than_other_bodies_but_not_endless(bench: Bench, api: httpx2.AsyncClient) -> None:
    import random

    noise = "".join(random.Random(1).choices("abcdefghijklmnop", k=4 * BODY_LIMIT))
    content = tarball("1", {"noise.md": noise})
    assert BODY_LIMIT < len(content) < bench.inn.pack_limit
    assert (await api.post("/v1/packs", content=content)).status_code == 201
    too_large = await api.post("/v1/packs", content=bytes(bench.inn.pack_limit + 1))
    assert too_large.status_code == 413
    other = await api.post("/v1/tenants", content=bytes(BODY_LIMIT + 1))
    assert other.status_code == 413


async def test_what_isnt_a_pack_is_refused_with_the_reason(api: httpx2.AsyncClient) -> None:
    for content in (b"", b"no tarball", tarball("1", {"a.md.new": "x"})):
        answer = await api.post("/v1/packs", content=content)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_pack")


async def test_a_tenant_is_given_packs_and_hydrated(bench: Bench, api: httpx2.AsyncClient, tmp_path: Path) -> None:
    await bench.tenant()
    workspace = unit(tmp_path) / "workspace"
    unknown = await api.patch("/v1/tenants/alice", json={"packs": ["core"]})
    assert (unknown.status_code, unknown.json()["code"], unknown.json()["field"]) == (404, "unknown_pack", "packs")
    await added(api)
    assert (await api.patch("/v1/tenants/alice", json={"packs": ["core"]})).status_code == 202
    assert (await api.get("/v1/tenants/alice")).json()["packs"] == ["core"]
    assert (await api.delete("/v1/packs/core/1")).json()["code"] == "pack_in_use"

    planned = (await api.post("/v1/tenants/alice/hydrate", json={"dry_run": True}, params={"wait": 20})).json()
    assert (planned["kind"], planned["status"], planned["result"]["counts"]) == ("hydrate", "done", {"add": 2})
    assert not workspace.exists()
    done = (await api.post("/v1/tenants/alice/hydrate", params={"wait": 20})).json()
    assert done["result"]["packs"] == [{"name": "core", "version": "1"}]
    assert texts(workspace) == FILES

    (workspace / "SOUL.md").write_text("mine")
    await added(api, "2", **{"SOUL.md": "soul 2"})
    standing = (await api.get("/v1/tenants/alice/unit")).json()
    assert [(each["name"], each["version"], each["wanted"], each["current"]) for each in standing["packs"]] == [
        ("core", "1", "2", False)
    ]
    await api.post("/v1/tenants/alice/hydrate", params={"wait": 20})
    standing = (await api.get("/v1/tenants/alice/unit")).json()
    assert standing["packs"][0]["current"]
    assert [(each["path"], each["beside"], each["version"]) for each in standing["conflicts"]] == [
        ("workspace/SOUL.md", "workspace/SOUL.md.new", "2")
    ]


async def test_the_same_request_again_begins_nothing_new(bench: Bench, api: httpx2.AsyncClient, tmp_path: Path) -> None:
    await bench.tenant()
    unit(tmp_path)
    await added(api)
    sent = [
        (
            await api.post("/v1/tenants/alice/hydrate", json={"packs": ["core"]}, headers={"Idempotency-Key": "once"})
        ).json()["id"]
        for _ in range(2)
    ]
    assert sent[0] == sent[1]


async def test_an_owner_may_hydrate_but_not_choose_the_packs(bench: Bench, tmp_path: Path) -> None:
    await bench.tenant()
    unit(tmp_path)
    owner = await token_of(bench, await person(bench, "owner", tenants={"alice": TenantRole.OWNER}))
    async with bench.client(owner) as client:
        assert (await client.post("/v1/tenants/alice/hydrate")).status_code == 202
        chosen = await client.post("/v1/tenants/alice/hydrate", json={"packs": ["gold"]})
        assert (chosen.status_code, chosen.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("wrong", ["../core", "core@", "image:../x", "Core"])
async def test_what_names_no_pack_is_refused(bench: Bench, api: httpx2.AsyncClient, wrong: str) -> None:
    await bench.tenant()
    for answer in (
        await api.post("/v1/tenants/alice/hydrate", json={"packs": [wrong]}),
        await api.patch("/v1/tenants/alice", json={"packs": [wrong]}),
    ):
        assert (answer.status_code, answer.json()["field"]) == (400, "packs")
