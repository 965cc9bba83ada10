"""The gate by itself, on its socket, without Caddy in front."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from innkeeper.core.door import Upstream
from innkeeper.core.errors import (
    EdgeFault,
    Problem,
    RuntimeUnavailable,
    TenantAsleep,
    TenantFailed,
    TenantNotReady,
    UnknownTenant,
)
from innkeeper.core.tenant import Tenant
from innkeeper.edge.answers import passage, refusal
from innkeeper.edge.gate import Gate, Outcome
from innkeeper.edge.gate_server import GateServer
from tests.edge.house import AGENT_TOKEN, KEY, ToldDoor, raw


@dataclass
class Post:
    """A gate and its door."""

    socket: Path
    door: ToldDoor
    gate: GateServer
    outcomes: list[Outcome]

    async def ask(self, host: str = "alice.localhost", key: str = KEY, accept: str = "*/*") -> tuple[int, bytes]:
        """One ask, as Caddy would put it."""
        return await raw(self.socket, _ask(host, key, accept))


def _ask(host: str = "alice.localhost", key: str = KEY, accept: str = "*/*") -> bytes:
    head = f"GET /gate HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: {host}\r\nAuthorization: Bearer {key}\r\n"
    return f"{head}Accept: {accept}\r\n\r\n".encode()


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    """A gate for alice, who is awake, and bob, who isn't."""
    with tempfile.TemporaryDirectory(prefix="gate-") as folder:
        door, outcomes, socket = ToldDoor(), list[Outcome](), Path(folder) / "gate.sock"
        door.lead("alice", "10.0.0.1:80")
        gate = GateServer(Gate(door, count=outcomes.append), path=socket)
        await gate.open()
        yield Post(socket, door, gate, outcomes)
        await gate.close()


async def test_the_socket_is_ours_alone(post: Post) -> None:
    assert post.socket.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in post.socket.parent.iterdir()] == ["gate.sock"]


async def test_a_yes(post: Post) -> None:
    status, answer = await post.ask()

    assert status == 204
    assert b"\r\nX-Upstream: 10.0.0.1:80\r\n" in answer
    assert b"\r\nX-Upstream-authorization: Bearer %b\r\n" % AGENT_TOKEN.encode() in answer


async def test_many_asks_on_one_connection(post: Post) -> None:
    reader, writer = await asyncio.open_unix_connection(post.socket)
    for key, first in ((KEY, b"204"), ("wrong", b"401"), (KEY, b"204")):
        ask = _ask(key=key)
        writer.write(ask[:20])
        await writer.drain()
        writer.write(ask[20:])
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.split()[1] == first
        if first == b"401":
            length = int(head.lower().split(b"content-length: ")[1].split()[0])
            await reader.readexactly(length)
    writer.close()


@pytest.mark.parametrize(
    ("problem", "status", "retry"),
    [
        (TenantNotReady("not yet"), 503, True),
        (TenantAsleep("asleep"), 503, True),
        (TenantFailed("failed"), 503, True),
        (RuntimeUnavailable("down"), 503, True),
        (UnknownTenant("gone meanwhile"), 404, False),
    ],
)
async def test_why_a_tenant_could_not_be_entered(
    post: Post, monkeypatch: pytest.MonkeyPatch, problem: Problem, status: int, retry: bool
) -> None:
    async def enter(_: Tenant) -> Upstream:
        raise problem

    monkeypatch.setattr(post.door, "enter", enter)
    found, answer = await post.ask("bob.localhost", "ik_a_admin")

    assert found == status
    assert (b"\r\nRetry-After: " in answer) is retry
    assert problem.code.encode() in answer


async def test_a_bug_is_answered_and_the_gate_stays(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(_: object) -> None:
        raise ValueError("canary")

    async def explode_later(_: Tenant) -> Upstream:
        raise ValueError("canary")

    with monkeypatch.context() as broken:
        broken.setattr(post.door, "touched", explode)
        status, answer = await post.ask()
        assert status == 500
        assert b"canary" not in answer
    with monkeypatch.context() as broken:
        broken.setattr(post.door, "enter", explode_later)
        assert (await post.ask("bob.localhost", "ik_a_admin"))[0] == 500

    assert (await post.ask())[0] == 204
    assert post.outcomes == [Outcome.FAULT, Outcome.FAULT, Outcome.PASSED]


async def test_garbage_ends_only_its_own_connection(post: Post) -> None:
    reader, writer = await asyncio.open_unix_connection(post.socket)
    writer.write(b"\x16\x03\x01 what is this\r\n\r\n")
    assert await reader.read() == b""
    writer.close()

    assert (await post.ask())[0] == 204


async def test_the_next_gate_takes_the_socket_over(post: Post) -> None:
    later = ToldDoor()
    gate = GateServer(Gate(later), path=post.socket)
    await gate.open()
    try:
        assert (await post.ask("bob.localhost", "wrong"))[0] == 401
        assert post.outcomes == []
    finally:
        await gate.close()


async def test_closing_breaks_off_without_an_answer(post: Post) -> None:
    asking = asyncio.create_task(post.ask("bob.localhost", "ik_a_admin"))
    while not post.door.waiting:
        await asyncio.wait([asking], timeout=0.01)

    await post.gate.close()

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asking
    assert post.outcomes == []


def test_only_headers_that_caddy_carries_can_be_set() -> None:
    for name, value in ((b"x-other", b"1"), (b"authorization", b"a\r\nX-Upstream: evil")):
        with pytest.raises(EdgeFault):
            passage(Upstream(address="10.0.0.1:80", headers=((name, value),)))


def test_a_page_says_what_a_document_says_and_runs_nothing() -> None:
    problem = Problem("<script>alert(1)</script>", hint="Try `this`.")

    page = refusal(problem, page=True)

    assert b"<script>" not in page
    assert b"&lt;script&gt;" in page
    assert b"default-src 'none'" in page
