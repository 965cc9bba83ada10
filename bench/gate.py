"""The gate: what access control, routing and wake-up cost on every request, beside proxies that do none of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from bench.membership import door_cookie
from bench.plane import Plane, full_house
from bench.report import Area, Floor, Judged, Row, Target, row
from bench.rivals import CADDY, CHP, Unavailable, jupyterhub_proxy, plain_caddy, upstream
from bench.samples import samples
from bench.seed import name_of
from bench.wrk import Shot, Subject, shoot
from tests.support.serving import free_port

FIRST_ADDRESS = "127.64.0.16"
"""Where the memory runtime says that the tenant in slot 0 is."""
MANY, KEYS_EACH = 10_000, 5
ONE_TENANT, MANY_TENANTS = "1 tenant, a key", f"{MANY:,} tenants, a key"
A_MEMBER = f"{MANY:,} tenants, a member's cookie"
OURS = (ONE_TENANT, MANY_TENANTS, A_MEMBER)
HOP = Target(judged=Judged.EXCESS, at_most=0.25)
OF_CADDY = Target(judged=Judged.RATIO, at_least=0.6)
OF_CHP = Target(judged=Judged.RATIO, at_least=1.0)

Shots = dict[str, list[Shot]]


async def measure(*, quick: bool) -> Area:
    """Everything stands at once; then each is shot at in turn, round by round, so that noise hits all alike."""
    rounds, seconds = (3, 2) if quick else (9, 2)
    missing: list[str] = []
    async with AsyncExitStack() as stack:
        subjects = await _subjects(stack, missing)
        for subject in subjects:
            await shoot(subject, connections=16, seconds=1)  # warm up
        alone = await _rounds(subjects, connections=1, rounds=rounds, seconds=seconds)
        crowd = await _rounds(subjects, connections=16, rounds=rounds, seconds=seconds)
    return Area(
        name="gate",
        how=f"wrk, {rounds} rounds of {seconds} s each in turn, medians of the rounds; one upstream for all, which "
        f"answers 16 bytes. Innkeeper checks on every request who comes and what they may, with {KEYS_EACH} keys to a "
        "tenant; the peers check nothing.",
        rows=[*_hops(alone), *_throughputs(crowd), *_processor(crowd)],
        missing=missing,
    )


async def _subjects(stack: AsyncExitStack, missing: list[str]) -> list[Subject]:
    port = free_port(FIRST_ADDRESS)
    target = f"{FIRST_ADDRESS}:{port}"
    await stack.enter_async_context(upstream(FIRST_ADDRESS, port))
    subjects = [await stack.enter_async_context(plain_caddy(target))]
    alone, many = [await _edge(stack, count, port) for count in (1, MANY)]
    subjects += [await _with_key(alone, ONE_TENANT), await _with_key(many, MANY_TENANTS), await _member(many)]
    try:
        subjects.append(await stack.enter_async_context(jupyterhub_proxy(target)))
    except Unavailable as why:
        missing.append(str(why))
    return subjects


async def _edge(stack: AsyncExitStack, count: int, port: int) -> Plane:
    house = await stack.enter_async_context(full_house(count, port=port, keys=KEYS_EACH))
    await house.start()
    return house


async def _with_key(house: Plane, name: str) -> Subject:
    return _subject(house, name, {"Authorization": f"Bearer {await house.new_key(name_of(0))}"})


async def _member(house: Plane) -> Subject:
    return _subject(house, A_MEMBER, {"Cookie": await door_cookie(house, name_of(0))})


def _subject(house: Plane, name: str, credential: Mapping[str, str]) -> Subject:
    headers = {"Host": f"{name_of(0)}.localhost:{house.edge_port}", **credential}
    return Subject(name=name, url=f"{house.edge_url}/", pids=[house.pid, house.caddy_pid], headers=headers)


async def _rounds(subjects: Sequence[Subject], *, connections: int, rounds: int, seconds: int) -> Shots:
    shots: Shots = {subject.name: [] for subject in subjects}
    for _ in range(rounds):
        for subject in subjects:
            shots[subject.name].append(await shoot(subject, connections=connections, seconds=seconds))
    return shots


# --- the rows ---------------------------------------------------------------------------------------------------------


def _hops(shots: Shots) -> list[Row]:
    floor = Floor(what=CADDY, value=samples(shot.p50_ms for shot in shots[CADDY]).p50)
    return [
        Row(
            what=f"1 connection, {name}",
            value=samples(shot.p50_ms for shot in taken).p50,
            p95=samples(shot.p95_ms for shot in taken).p50,
            unit="ms",
            floor=floor,
            target=HOP if name in OURS else None,
        )
        for name, taken in shots.items()
        if name != CADDY
    ]


def _throughputs(shots: Shots) -> list[Row]:
    rates = {name: samples(shot.per_second for shot in taken) for name, taken in shots.items()}
    return [
        row(
            f"16 connections, {name}",
            rates[name],
            "requests/s",
            floor=Floor(what=peer, value=rates[peer].p50),
            target=target,
        )
        for peer, target in ((CADDY, OF_CADDY), (CHP, OF_CHP))
        if peer in rates
        for name in OURS
    ]


def _processor(shots: Shots) -> list[Row]:
    """The same, told by what neighbours on the machine disturb least."""
    used = {name: samples(shot.cpu_us for shot in taken) for name, taken in shots.items()}
    return [
        row(f"processor per request, {name}", used[name], "µs", floor=Floor(what=CADDY, value=used[CADDY].p50))
        for name in used
        if name != CADDY
    ]
