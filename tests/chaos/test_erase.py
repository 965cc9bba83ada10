"""`kill -9` of the control plane while tenants are purged: each ends with one receipt that holds."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from innkeeper.erasing import check_receipt
from innkeeper.settings import Settings
from tests.support.installation import Installation, installed

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]  # Docker for what `installed` looks after, not for tenants

ROUNDS = int(os.environ.get("INNKEEPER_TEST_KILLS", "2"))
LONGEST_S = 0.8
FILES = 3000


@pytest.mark.soak
async def test_kill_nine_while_a_tenant_is_purged() -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    canary = f"canary{secrets.token_hex(8)}"
    async with installed(INNKEEPER_RUNTIME="memory", INNKEEPER_EDGE="false") as inn:
        kills = 0
        for number in range(ROUNDS):
            name = f"t{number}"
            await _furnished(inn, name, canary)
            for _ in range(2):
                asked = asyncio.create_task(_purge(inn, name))
                await asyncio.sleep(chance.uniform(0, LONGEST_S))
                inn.kill()
                kills += 1
                with suppress(httpx2.HTTPError):
                    await asked
                await inn.start()
        where = f"seed {seed}\n{inn.log()[-2000:]}"
        async with inn.api() as api, asyncio.timeout(120):
            for number in range(ROUNDS):
                await _purge(inn, f"t{number}")  # the kill may have come before it was written down
            while (await api.get("/v1/tenants")).json()["items"]:
                await asyncio.sleep(0.1)
            receipts = (await api.get("/v1/receipts")).json()["items"]
            assert [each["tenant"] for each in receipts] == [f"t{number}" for number in range(ROUNDS)], where
            for each in receipts:
                while (document := (await api.get(f"/v1/receipts/{each['id']}")).json())["pending"]:
                    await asyncio.sleep(0.1)
                assert check_receipt(Settings(data=inn.data), document, public_key=None)["ok"], where
                assert document["statement"]["erased"]["rows"]["secrets"] == 1
            verdict = await inn.cli("audit", "verify", "--offline")
            assert verdict.returncode == 0, verdict.stdout
        await inn.stop()
        assert inn.folders() == []
        assert _everywhere(inn.data, canary) == [], where


async def _furnished(inn: Installation, name: str, canary: str) -> None:
    body: dict[str, Any] = {"name": name, "agent": "custom", "wanted": "asleep", "custom": {"image": "x", "port": 1}}
    async with inn.api() as api:
        answer = await api.post("/v1/tenants", json=body, params={"wait": 120})
        assert answer.json()["status"] == "done", answer.text
        put = await api.put(f"/v1/tenants/{name}/secrets/KEY", json={"value": canary})
        assert put.status_code in (200, 201, 204), put.text
    persistence = inn.data / "tenants" / name / "persistence"
    persistence.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(_fill, persistence, canary)


def _fill(folder: Path, canary: str) -> None:
    for number in range(FILES):
        if number % 100 == 0:
            (folder / f"folder{number}").mkdir()
        (folder / f"folder{number // 100 * 100}" / f"{number}").write_text(canary)


async def _purge(inn: Installation, name: str) -> None:
    async with inn.api() as api:
        answer = await api.delete(f"/v1/tenants/{name}", params={"purge": True})
    assert answer.status_code in (202, 404), answer.text


def _everywhere(folder: Path, canary: str) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]
