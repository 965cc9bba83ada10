"""Messages through a real Caddy: whole or not at all, never twice, and how they ended is known whoever has died."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from innkeeper.core.errors import EdgeFault
from innkeeper.edge.caddy import Caddy
from innkeeper.edge.caddy_config import EdgePlan
from innkeeper.edge.courier import CaddyCourier
from innkeeper.edge.deliveries import connections, recorded
from tests.edge.courier_process import parcel
from tests.support.recorder import Got, Recorder, recording

SIZES = (0, 10, 5_000, 60_000, 200_000, 1 << 20)


@pytest.fixture
async def agent() -> AsyncIterator[tuple[Recorder, str]]:
    async with recording() as made:
        yield made


def fresh() -> str:
    """The id of an attempt."""
    return f"at-{secrets.token_hex(8)}"


async def sender(run: Path, to: str, **sizes: int) -> Process:
    """A process that has begun to deliver."""
    arguments = [str(run), to, *(f"{attempt}={size}" for attempt, size in sizes.items())]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.edge.courier_process", *arguments, stdout=PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"sending\n"
    return process


@pytest.mark.parametrize("size", SIZES)
async def test_a_message_arrives_whole(common_plan: EdgePlan, agent: tuple[Recorder, str], size: int) -> None:
    recorder, to = agent
    courier, body, attempt = CaddyCourier(common_plan), random.randbytes(size), fresh()

    sent = parcel(
        attempt, to, body=body, query="a=%20b&c", x_telegram_bot_api_secret_token="s", authorization="Bearer x"
    )
    assert await courier.deliver(sent) == 200

    [got] = recorder.got
    assert (got.method, got.path, got.query, got.body) == ("POST", "/hooks", "a=%20b&c", body)
    assert got.headers.pop("connection") == "close"
    assert got.headers == {
        "host": "alice.localhost",
        "content-length": str(size),
        "authorization": "Bearer x",
        "x-telegram-bot-api-secret-token": "s",
        "x-innkeeper-delivery": f"msg_{attempt}",
        "x-forwarded-for": "203.0.113.9",
        "x-forwarded-proto": "https",
    } | {"x-forwarded-host": ""}
    assert recorded(common_plan.deliveries, attempt) == 200


@pytest.mark.parametrize("status", [201, 302, 400, 404, 429, 500, 503])
async def test_the_agents_answer_is_told(common_plan: EdgePlan, agent: tuple[Recorder, str], status: int) -> None:
    recorder, to = agent

    async def answer(_: Got) -> int:
        return status

    recorder.answer, attempt = answer, fresh()
    assert await CaddyCourier(common_plan).deliver(parcel(attempt, to)) == status
    assert recorded(common_plan.deliveries, attempt) == status


async def test_nobody_there_and_no_answer(caddy: Caddy, plan: EdgePlan, agent: tuple[Recorder, str]) -> None:
    hurried = replace(plan, answer_s=1)
    await Caddy(hurried).start()
    courier, never = CaddyCourier(hurried), asyncio.Event()
    recorder, to = agent

    async def answer(_: Got) -> int:
        await never.wait()
        return 200

    recorder.answer = answer
    assert await courier.deliver(parcel(fresh(), "127.0.0.1:1")) == 502
    assert await courier.deliver(parcel(fresh(), to)) == 504
    never.set()


async def test_without_caddy_nothing_is_sent(plan: EdgePlan) -> None:
    with pytest.raises(EdgeFault):
        await CaddyCourier(plan).deliver(parcel(fresh(), "127.0.0.1:1"))


async def test_the_sender_is_killed_while_the_agent_works(common_plan: EdgePlan, agent: tuple[Recorder, str]) -> None:
    recorder, to = agent
    go_on = asyncio.Event()

    async def answer(_: Got) -> int:
        await go_on.wait()
        return 201

    recorder.answer, attempt = answer, fresh().replace("-", "_")
    process = await sender(common_plan.run, to, **{attempt: 100_000})
    await recorder.arrived.wait()
    process.kill()
    await process.wait()

    after = await CaddyCourier(common_plan).look_back()
    asking = asyncio.create_task(after.ended(attempt))
    await asyncio.wait([asking], timeout=0.2)
    assert not asking.done(), "Caddy is still at it"
    go_on.set()
    assert await asking == 201
    assert await after.ended(fresh()) is None
    assert len(recorder.got) == 1
    assert recorder.broken_off == 0


async def test_killed_at_random_what_the_record_says_is_what_the_agent_saw(
    common_plan: EdgePlan, agent: tuple[Recorder, str]
) -> None:
    recorder, to = agent
    chance = random.Random(seed := random.randrange(1 << 32))
    attempts: list[str] = []
    for _ in range(20):
        batch = {fresh().replace("-", "_"): chance.choice(SIZES) for _ in range(5)}
        attempts += batch
        process = await sender(common_plan.run, to, **batch)
        await asyncio.sleep(chance.uniform(0, 0.03))  # the kill comes before, within or after the sending
        process.kill()
        await process.wait()

    after = await CaddyCourier(common_plan).look_back()
    ended = {attempt: await after.ended(attempt) for attempt in attempts}
    arrived = [got.headers["x-innkeeper-delivery"].removeprefix("msg_") for got in recorder.got]
    assert sorted(arrived) == sorted(attempt for attempt, status in ended.items() if status == 200), f"seed {seed}"
    assert set(ended.values()) <= {200, None}
    assert recorder.broken_off == 0


async def test_a_message_that_ends_short_never_reaches_the_agent(
    common_plan: EdgePlan, agent: tuple[Recorder, str]
) -> None:
    recorder, to = agent
    for sent in (0, 1, 50_000):
        attempt = fresh()
        _, writer = await asyncio.open_unix_connection(common_plan.courier_socket)
        head = f"POST /hooks HTTP/1.1\r\nHost: a\r\nX-Innkeeper-To: {to}\r\nX-Innkeeper-Attempt: {attempt}\r\n"
        writer.write(f"{head}Content-Length: 100000\r\n\r\n".encode() + b"x" * sent)
        await writer.drain()
        after = await CaddyCourier(common_plan).look_back()
        writer.close()
        assert await after.ended(attempt) is None
    assert recorder.got == []
    assert recorder.broken_off == 0


async def test_a_reload_breaks_nothing_off(caddy: Caddy, plan: EdgePlan, agent: tuple[Recorder, str]) -> None:
    recorder, to = agent
    go_on = asyncio.Event()

    async def answer(_: Got) -> int:
        await go_on.wait()
        return 200

    await caddy.start()
    recorder.answer, attempt = answer, fresh()
    delivering = asyncio.create_task(CaddyCourier(plan).deliver(parcel(attempt, to)))
    await recorder.arrived.wait()
    changed = replace(plan, wake_deadline_s=7)
    await Caddy(changed).start()
    go_on.set()
    assert await delivering == 200
    assert recorded(plan.deliveries, attempt) == 200
    assert await CaddyCourier(changed).deliver(parcel(fresh(), to)) == 200


async def test_when_caddy_dies_it_is_over_and_the_next_one_carries_on(
    caddy: Caddy, plan: EdgePlan, agent: tuple[Recorder, str]
) -> None:
    recorder, to = agent
    go_on = asyncio.Event()

    async def answer(_: Got) -> int:
        await go_on.wait()
        return 200

    pid = await caddy.start()
    recorder.answer = answer
    delivering = asyncio.create_task(CaddyCourier(plan).deliver(parcel(fresh(), to)))
    await recorder.arrived.wait()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EdgeFault):
        await delivering
    go_on.set()
    await caddy.start()
    assert await CaddyCourier(plan).deliver(parcel(fresh(), to)) == 200


async def test_the_socket_and_the_record_are_ours_alone_and_hold_no_secret(
    common_plan: EdgePlan, agent: tuple[Recorder, str]
) -> None:
    _, to = agent
    attempt = fresh()
    courier = CaddyCourier(common_plan)
    await courier.deliver(
        parcel(attempt, to, body=b"canary", query="canary", authorization="canary", x_canary="canary")
    )
    await courier.deliver(parcel(fresh(), "127.0.0.1:1", body=b"canary", query="canary", authorization="canary"))

    for path in (common_plan.courier_socket, common_plan.deliveries):
        assert path.stat().st_mode & 0o777 == 0o600
    for log in common_plan.run.glob("*.log"):
        assert "canary" not in log.read_text(), log.name
    [line] = [line for line in common_plan.deliveries.read_text().splitlines() if attempt in line]
    assert json.loads(line).keys() == {
        "level", "ts", "logger", "msg", "bytes_read", "duration", "size", "status", "attempt"
    }  # fmt: skip


def test_a_record_is_found_wherever_rotation_has_put_it(tmp_path: Path) -> None:
    record = tmp_path / "deliveries.log"
    assert recorded(record, "at-1") is None
    (tmp_path / "deliveries-2026-11-20T12-00-00.000-size.log").write_text('{"attempt":"at-1","status":204}\n')
    record.write_text('{"attempt":"at-11","status":500}\n{"msg":"at-1"}\nat-1 cut off in the midd\n')
    assert recorded(record, "at-1") == 204
    assert recorded(record, "at-11") == 500
    assert recorded(record, "at-2") is None


def test_connections_are_read_from_the_kernels_table(tmp_path: Path) -> None:
    table = tmp_path / "unix"
    table.write_text(
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000: 00000002 00000000 00010000 0001 01 11 /run/courier.sock\n"
        "0001: 00000003 00000000 00000000 0001 03 12 /run/courier.sock\n"
        "0002: 00000003 00000000 00000000 0001 02 0 /run/courier.sock\n"
        "0003: 00000003 00000000 00000000 0001 03 13 /run/gate.sock\n"
        "0004: 00000003 00000000 00000000 0001 03 14\n"
        "0005: 00000003 00000000 00000000 0001 03 15 /run/courier.sock and more\n"
    )
    assert connections(Path("/run/courier.sock"), table=table) == {12, 0}
