"""`kill -9` of the control plane at random moments while webhooks come in: none is lost, none doubled, all in order."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import suppress

import httpx2
import pytest

from tests.e2e.conftest import have_image
from tests.support.installation import Installation, installed
from tests.support.recording_agent import recording_spec

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

KILLS = int(os.environ.get("INNKEEPER_TEST_KILLS", "5"))
LONGEST_S = 3.0
"""A start takes a second or so: the kill comes in it, or while webhooks are accepted, delivered and noted."""
LANES = ("/moody", "/quick")
SLEEPY = {"pause_after_s": 1, "page_after_s": None, "stop_after_s": None}


async def test_each_webhook_that_was_accepted_arrives_once_and_in_order() -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    async with installed(INNKEEPER_SWEEP_S="0.5") as inn:
        await have_image(inn, "nanobot")
        await inn.create("rec", **recording_spec(inbox=[{"path": path} for path in LANES], sleep=SLEEPY))
        key = await inn.key("rec")
        over = asyncio.Event()
        senders = [asyncio.create_task(_send(inn, lane, over)) for lane in LANES]
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0, LONGEST_S))
            inn.kill()
            await inn.start()
        over.set()
        accepted = dict(zip(LANES, await asyncio.gather(*senders), strict=True))

        async with asyncio.timeout(120):
            while await _open(inn):
                await asyncio.sleep(0.2)
        async with inn.edge("rec", key) as edge:
            taken = (await edge.get("/got")).json()
        where = f"seed {seed}\n{inn.log()[-3000:]}"
        for lane, bodies in accepted.items():
            assert [each["body"] for each in taken if each["path"] == lane] == bodies, where
        assert len({each["delivery"] for each in taken}) == len(taken), where
        assert min(map(len, accepted.values())) > KILLS, "there was something to lose"


async def _send(inn: Installation, lane: str, over: asyncio.Event) -> list[str]:
    """A sender as they are: one after the other, each again and again until it is told that it has arrived."""
    accepted: list[str] = []
    async with inn.edge("rec") as edge:
        while not over.is_set():
            body = f"{lane} {len(accepted)}"
            while True:
                with suppress(httpx2.HTTPError):
                    answer = await edge.post(lane, content=body, headers={"Webhook-Id": body})
                    if answer.status_code == 200:
                        break
                    assert answer.status_code in (429, 502, 503), answer.text
                await asyncio.sleep(0.05)
            accepted.append(body)
            await asyncio.sleep(0.15)
    return accepted


async def _open(inn: Installation) -> bool:
    """Whether anything is still to be delivered."""
    async with inn.api() as api:
        states = {"state": ["waiting", "delivering"]}
        return bool((await api.get("/v1/tenants/rec/inbox", params=states)).json()["items"])
