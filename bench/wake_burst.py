"""Floods: many requests at one sleeper, and many sleepers that are needed at once."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from time import perf_counter

import httpx2

from bench.plane import Plane
from bench.report import Row, Target, row
from bench.samples import samples

AGENT, HEALTH = "nanobot", "/health"
ONE = Target(at_most=1.0)
NONE = Target(at_most=0.0)
CREATED_AT_ONCE = 2
LONGEST_S = 300.0


async def burst(house: Plane, *, sleepers: int, requests: int) -> list[Row]:
    """Both, with nanobot."""
    names = [f"s{number}" for number in range(sleepers)]
    turns = asyncio.Semaphore(CREATED_AT_ONCE)

    async def create(name: str) -> str:
        async with turns:
            await house.create(name, agent=AGENT, sleep={"pause_after_s": None, "page_after_s": None})
            return await house.new_key(name)

    keys = dict(zip(names, await asyncio.gather(*(create(name) for name in names)), strict=True))
    try:
        rows = await _flood(house, names[0], keys[names[0]], requests)
        for tier in ("pause", "stop"):
            rows.append(await _everybody(house, keys, tier))
        return rows
    finally:
        for name in names:
            await house.delete(name)


async def _flood(house: Plane, name: str, key: str, requests: int) -> list[Row]:
    """So many requests at once at one that is stopped."""
    await _sleep(house, [name], "stop")
    before = await _starts(house)
    limits = httpx2.Limits(max_connections=requests)
    headers = {"Host": f"{name}.localhost:{house.edge_port}", "Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=house.edge_url, headers=headers, timeout=120, limits=limits) as edge:
        began = perf_counter()
        answers = await asyncio.gather(*(edge.get(HEALTH) for _ in range(requests)))
        took_s = perf_counter() - began
    statuses = Counter(answer.status_code for answer in answers)
    lost = requests - statuses[200]
    what = f"{requests:,} requests at one stopped {AGENT}"
    return [
        Row(what=f"{what}: starts", value=float(await _starts(house) - before), unit="", target=ONE),
        Row(what=f"{what}: lost", value=float(lost), unit="", target=NONE, note=str(dict(statuses))),
        Row(what=f"{what}: until the last answer", value=took_s, unit="s"),
    ]


async def _everybody(house: Plane, keys: dict[str, str], tier: str) -> Row:
    """One request at each of many sleepers, all at once."""
    await _sleep(house, list(keys), tier)

    async def ask(name: str, key: str) -> float:
        async with house.edge(name, key) as edge:
            began = perf_counter()
            answer = await edge.get(HEALTH)
            while answer.status_code == 503 and perf_counter() - began < LONGEST_S:  # its deadline passed: as it says
                await asyncio.sleep(float(answer.headers.get("retry-after", "1")))
                answer = await edge.get(HEALTH)
            assert answer.status_code == 200, f"{name}: {answer.status_code} {answer.text[:200]}"
            return perf_counter() - began

    taken = await asyncio.gather(*(ask(name, key) for name, key in keys.items()))
    state = "paused" if tier == "pause" else "stopped"
    return row(f"{len(keys)} {state} {AGENT}s woken at once", samples(taken), "s", note=f"the last {max(taken):.2f} s")


async def _sleep(house: Plane, names: list[str], tier: str) -> None:
    await asyncio.sleep(3)
    turns = asyncio.Semaphore(8)

    async def sleep(name: str) -> None:
        async with turns, house.api() as api:
            done = await api.post(f"/v1/tenants/{name}/sleep", params={"wait": 120}, json={"tier": tier})
            assert done.json()["status"] == "done", done.text

    await asyncio.gather(*(sleep(name) for name in names))


async def _starts(house: Plane) -> int:
    """How many starts the control plane has counted."""
    async with house.api() as api:
        text = (await api.get("/metrics")).text
    found = re.search(r'^innkeeper_reconcile_steps_total\{step="start"\} ([0-9.]+)$', text, re.MULTILINE)
    return int(float(found[1])) if found else 0
