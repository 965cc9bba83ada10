"""The gate by itself, on its socket, without Caddy in front."""

from __future__ import annotations

import asyncio
import re
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
from innkeeper.core.openings import InboxPath
from innkeeper.core.tenant import Tenant
from innkeeper.edge.answers import passage, refusal
from innkeeper.edge.gate import Gate, Outcome
from innkeeper.edge.gate_server import GateServer
from innkeeper.edge.tickets import Ticket, read_ticket
from tests.edge.house import AGENT_TOKEN, KEY, OTHER_KEY, ToldDoor, raw, tenant

INBOX = Path("/run/inbox.sock")


@dataclass
class Post:
    """A gate and its door."""

    socket: Path
    door: ToldDoor
    gate: GateServer
    outcomes: list[Outcome]

    async def ask(
        self,
        host: str = "alice.localhost",
        key: str = KEY,
        accept: str = "*/*",
        *,
        method: str = "GET",
        uri: str = "/",
    ) -> tuple[int, bytes]:
        """One ask, as Caddy would put it."""
        return await raw(self.socket, _ask(host, key, accept, method, uri))


def _ask(
    host: str = "alice.localhost", key: str = KEY, accept: str = "*/*", method: str = "GET", uri: str = "/"
) -> bytes:
    head = f"GET /gate HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: {host}\r\nAuthorization: Bearer {key}\r\n"
    asked = f"X-Forwarded-Method: {method}\r\nX-Forwarded-Uri: {uri}\r\n"
    return f"{head}{asked}Accept: {accept}\r\n\r\n".encode()


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    """A gate for alice, who is awake, and bob, who isn't."""
    with tempfile.TemporaryDirectory(prefix="gate-") as folder:
        door, outcomes, socket = ToldDoor(), list[Outcome](), Path(folder) / "gate.sock"
        door.lead("alice", "10.0.0.1:80")
        gate = GateServer(Gate(door, inbox=INBOX, count=outcomes.append), path=socket)
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


# --- paths that are open to anybody -----------------------------------------------------------------------------------


@pytest.fixture
def opened(post: Post) -> Post:
    """Alice has a public path, a public folder and an inbox; bob, who isn't awake, too."""
    inbox = (InboxPath(path="/hooks", id="json:id", port=8787),)
    for name in ("alice", "bob"):
        post.door.hosts[f"{name}.localhost"] = tenant(name, public_paths=("/verify", "/static/*"), inbox=inbox)
    return post


@pytest.mark.parametrize("uri", ["/verify", "/verify?a=b", "/static/a.js"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_stranger_passes_by_a_public_path_as_a_stranger(opened: Post, uri: str, method: str) -> None:
    for key in ("their-own", OTHER_KEY):
        status, answer = await opened.ask(key=key, method=method, uri=uri)
        assert status == 204
        assert AGENT_TOKEN.encode() not in answer
        assert (b"\r\nX-Upstream-authorization: Bearer their-own\r\n" in answer) is (key == "their-own")
        assert OTHER_KEY.encode() not in answer


async def test_whoever_has_the_key_is_no_stranger_there(opened: Post) -> None:
    assert AGENT_TOKEN.encode() in (await opened.ask(uri="/verify"))[1]


@pytest.mark.parametrize("uri", ["/", "/verify/", "/%76erify", "/static", "/static/../x", "/static/..%2fx", "/hooks"])
async def test_everywhere_else_a_key_is_needed(opened: Post, uri: str) -> None:
    assert (await opened.ask(key="wrong", uri=uri))[0] == 401
    assert (await opened.ask(key=OTHER_KEY, uri=uri))[0] == 403
    assert (await opened.ask(uri=uri))[0] == 204


async def test_a_public_path_wakes_like_any_other(opened: Post) -> None:
    asking = asyncio.create_task(opened.ask("bob.localhost", "wrong", uri="/verify"))
    while not opened.door.waiting:
        await asyncio.wait([asking], timeout=0.01)
    opened.door.lead("bob", "10.0.0.2:80")
    opened.door.opened.set()

    status, answer = await asking
    assert status == 204
    assert AGENT_TOKEN.encode() not in answer


async def test_a_webhook_goes_to_the_inbox_though_its_tenant_sleeps(opened: Post) -> None:
    status, answer = await opened.ask("bob.localhost", "their-own", method="POST", uri="/hooks?x=1")

    assert status == 204
    assert b"\r\nX-Upstream: unix//run/inbox.sock\r\n" in answer
    header = re.search(rb"\r\nX-Upstream-authorization: (.*)\r\n", answer)
    assert header is not None
    at = InboxPath(path="/hooks", id="json:id", port=8787)
    assert read_ticket(header[1]) == Ticket(tenant="bob", tenant_id="t_bob", at=at, authorization="Bearer their-own")
    assert opened.outcomes == [Outcome.INBOX]
    assert opened.door.touches == []


@pytest.mark.parametrize("key", [KEY, OTHER_KEY, "ik_a_admin"])
async def test_a_credential_of_ours_goes_no_further(opened: Post, key: str) -> None:
    _, answer = await opened.ask(key=key, method="POST", uri="/hooks")

    header = re.search(rb"\r\nX-Upstream-authorization: (.*)\r\n", answer)
    assert header is not None
    ticket = read_ticket(header[1])
    assert ticket is not None
    assert ticket.authorization == ""


@pytest.mark.parametrize(
    "header", [b"", b"Bearer x", b"Inbox ", b"Inbox !!", b"Inbox e30=", b"Inbox W10=", b"Inbox /w=="]
)
def test_what_is_no_ticket(header: bytes) -> None:
    assert read_ticket(header) is None


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
    gate = GateServer(Gate(later, inbox=INBOX), path=post.socket)
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
