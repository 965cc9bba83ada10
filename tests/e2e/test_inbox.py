"""Webhooks to tenants that may be asleep: in order, once, bounded; and public paths that need no key."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest

from tests.e2e.conftest import have_image
from tests.support.installation import Installation, installed
from tests.support.recording_agent import OTHER_PORT, PORT, recording_spec

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

INBOX = [{"path": "/hooks"}, {"path": "/other", "id": "json:update_id", "port": OTHER_PORT}]


async def send(inn: Installation, path: str, body: str = "", *, tenant: str = "rec", **headers: str) -> httpx2.Response:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    async with inn.edge(tenant) as edge:
        return await edge.post(path, content=body, headers=said)


async def got(inn: Installation, key: str, number: int) -> list[dict[str, Any]]:
    """What the agent has taken, as soon as it is so many."""
    async with inn.edge("rec", key) as edge, asyncio.timeout(60):
        while len(taken := (await edge.get("/got")).json()) < number:
            await asyncio.sleep(0.1)
    found: list[dict[str, Any]] = taken
    return found


async def show(inn: Installation) -> dict[str, Any]:
    async with inn.api() as api:
        document: dict[str, Any] = (await api.get("/v1/tenants/rec")).json()
    return document


async def test_a_sleeper_gets_its_webhooks_in_order_and_once() -> None:
    async with installed(INNKEEPER_SWEEP_S="1") as inn:
        await have_image(inn, "nanobot")
        await inn.create("rec", **recording_spec(inbox=INBOX, public_paths=["/public"]))
        key = await inn.key("rec")
        slept = await inn.cli("tenant", "sleep", "rec", "--tier", "stop")
        assert slept.returncode == 0, slept.stderr

        bodies = [str(number) for number in range(12)]
        for body in bodies:
            for _ in range(2):  # each is sent again, as senders do that have missed an answer
                answer = await send(
                    inn, "/hooks?a=%20b", body, Webhook_Id=body, X_Secret="s", Authorization="Bearer own"
                )
                assert answer.status_code == 200, answer.text
        assert answer.json() == {"ok": True, "duplicate": True}
        taken = await got(inn, key, 12)
        assert [each["body"] for each in taken] == bodies
        told = {(each["path"], each["port"], each["secret"], each["login"]) for each in taken}
        assert told == {("/hooks?a=%20b", PORT, "s", "Bearer own")}
        assert len({each["delivery"] for each in taken}) == 12
        assert (await show(inn))["state"] == "running"

        assert (await send(inn, "/other", json.dumps({"update_id": 1}))).json() == {"ok": True}
        [*_, last] = await got(inn, key, 13)
        assert (last["path"], last["port"]) == ("/other", OTHER_PORT)

        listed = await inn.cli_json("inbox", "list", "rec")
        assert {each["state"] for each in listed} == {"delivered"}
        assert [each["attempts"] for each in listed] == [1] * 13
        assert b"Bearer own" not in (inn.data / "innkeeper.db").read_bytes()


async def test_bad_input_and_a_flood_are_bounded_and_nobody_elses_trouble() -> None:
    async with installed(INNKEEPER_INBOX_MESSAGES="20") as inn:
        await have_image(inn, "nanobot")
        await inn.create("rec", **recording_spec(inbox=INBOX, public_paths=["/public"]))
        await inn.create("bob", **recording_spec(inbox=INBOX))
        key = await inn.key("rec")

        assert (await send(inn, "/hooks", "x" * (10 << 20))).status_code == 413
        assert (await send(inn, "/hooks", tenant="nobody")).status_code == 404
        assert (await send(inn, "/hooks/")).status_code == 401
        assert (await send(inn, "/hooks")).status_code == 200
        assert [each["body"] for each in await got(inn, key, 1)] == [""]

        async with inn.edge("rec") as stranger:
            assert (await stranger.get("/public")).status_code == 200
            assert (await stranger.get("/got")).status_code == 401
            assert (await stranger.get("/hooks")).status_code == 401

        async with inn.api() as api:
            assert (await api.patch("/v1/tenants/rec?wait=60", json={"wanted": "asleep"})).json()["status"] == "done"
        async with inn.edge("rec") as edge:
            flood = [edge.post("/hooks", content=str(number)) for number in range(200)]
            meanwhile = [send(inn, "/hooks", str(number), tenant="bob") for number in range(5)]
            answers = await asyncio.gather(*flood, *meanwhile)
        codes = [answer.status_code for answer in answers]
        assert sorted(codes[:200]) == [200] * 20 + [429] * 180
        assert codes[200:] == [200] * 5
        bob = await inn.key("bob")
        async with inn.edge("bob", bob) as edge, asyncio.timeout(30):
            while len((await edge.get("/got")).json()) < 5:
                await asyncio.sleep(0.1)
        assert (await show(inn))["state"] == "stopped"
        waiting = await inn.cli_json("inbox", "list", "rec", "--state", "waiting")
        assert [each["attempts"] for each in waiting] == [0] * 20
        await inn.cli_json("tenant", "wake", "rec")
        assert len(await got(inn, key, 21)) == 21


async def test_a_dead_letter_is_replayed_and_a_purge_leaves_nothing(inn: Installation) -> None:
    await have_image(inn, "nanobot")
    await inn.create("rec", **recording_spec(inbox=INBOX))
    key = await inn.key("rec")
    assert (await send(inn, "/hooks", "refuse me")).status_code == 200
    assert (await send(inn, "/hooks", "next")).status_code == 200
    assert [each["body"] for each in await got(inn, key, 2)] == ["refuse me", "next"]
    async with asyncio.timeout(30):
        while not (dead := await inn.cli_json("inbox", "list", "rec", "--state", "dead")):
            await asyncio.sleep(0.1)
    [letter] = dead
    assert letter["last_error"] == "It was answered with 401."
    await inn.cli_json("inbox", "replay", "rec", letter["id"])
    taken = await got(inn, key, 3)
    assert [each["body"] for each in taken] == ["refuse me", "next", "refuse me"]
    assert taken[0]["delivery"] == taken[2]["delivery"], "the same message, which the agent may know again"
    await inn.delete("rec")
    await inn.create("rec", **recording_spec(inbox=INBOX))
    assert await inn.cli_json("inbox", "list", "rec") == []
