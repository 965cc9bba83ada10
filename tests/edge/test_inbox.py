"""Webhooks through a real Caddy into the inbox: kept before anybody is told, bounded, whatever the client says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from innkeeper.core.errors import StoreUnavailable
from innkeeper.core.inbox import Accepted, Inbox, InboxLimits
from innkeeper.core.messages import Lane, Payload, unpacked
from innkeeper.core.openings import InboxPath
from innkeeper.core.tenant import Tenant
from innkeeper.edge import inbox_server
from innkeeper.edge.gate import Outcome
from innkeeper.edge.inbox_server import InboxServer
from innkeeper.keyring import Keyring
from innkeeper.store.memory import MemoryStore
from tests.edge.house import KEY, Stage, raw, tenant
from tests.support.house import TurnedClock
from tests.support.links import LINKS

HOOKS = (InboxPath(path="/hooks"), InboxPath(path="/telegram", id="json:update_id", port=8787))
LIMIT = 1 << 20


class Desk:
    """The stage with an inbox behind it, for alice and for bob, who sleeps."""

    def __init__(self, edge: Stage, keyring: Keyring, *, limits: InboxLimits) -> None:
        self.edge = edge
        self.store = MemoryStore(links=LINKS)
        self.keyring = keyring
        self.counted: list[Accepted] = []
        self.waiting: list[Lane] = []
        self.inbox = Inbox(
            store=self.store, seals=keyring, clock=TurnedClock(), limits=limits, count=self.counted.append
        )
        self.inbox.on_waiting(self.waiting.append)
        self.server = InboxServer(self.inbox, path=edge.run / "inbox.sock", body_limit=LIMIT)

    async def add(self, *tenants: Tenant) -> None:
        async with self.store.begin() as tx:
            for each in tenants:
                await tx.add_tenant(each)
                self.edge.door.hosts[f"{each.name}.localhost"] = each

    async def send(
        self, path: str = "/hooks", body: Any = None, *, host: str = "alice", **headers: str
    ) -> httpx2.Response:
        """A webhook."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        said = {"Host": f"{host}.localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.edge.client.post(path, headers=said, content=content)

    async def kept(self, name: str = "alice") -> list[Payload]:
        """What lies in a tenant's inbox."""
        async with self.store.look() as tx:
            found = []
            for message in await tx.messages.page(name):
                sealed = await tx.messages.sealed(message.id)
                assert sealed is not None
                found.append(unpacked(self.keyring.unseal(message.tenant_id, message.id, sealed)))
            return found


@asynccontextmanager
async def desk_at(edge: Stage, folder: Path, limits: InboxLimits) -> AsyncIterator[Desk]:
    desk = Desk(edge, Keyring.open(folder), limits=limits)
    await desk.add(tenant("alice", inbox=HOOKS))
    bob = tenant("bob", inbox=HOOKS)
    await desk.add(Tenant(id=bob.id, name="bob", spec=bob.spec, slot=1, created_at=bob.created_at))
    await desk.server.open()
    yield desk
    await desk.server.close()


@pytest.fixture
async def desk(edge: Stage, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_at(edge, tmp_path, InboxLimits(messages=5, bytes=4 << 20)) as desk:
        yield desk


async def test_a_webhook_is_kept_for_a_sleeper_and_its_sender_told(desk: Desk) -> None:
    answer = await desk.send(
        "/telegram?a=%20b&c",
        {"update_id": 7},
        host="bob",
        X_Telegram_Bot_Api_Secret_Token="s",
        Authorization="Bearer own",
    )

    assert (answer.status_code, answer.json()) == (200, {"ok": True})
    [payload] = await desk.kept("bob")
    assert (payload.method, payload.query, payload.body) == ("POST", "a=%20b&c", b'{"update_id": 7}')
    headers = dict(payload.headers)
    assert headers["x-telegram-bot-api-secret-token"] == "s"
    assert headers["authorization"] == "Bearer own"
    assert headers["host"] == headers["x-forwarded-host"] == "bob.localhost"
    assert headers["x-forwarded-for"] == "192.0.2.1"
    assert {"content-length", "connection", "via"}.isdisjoint(headers)
    assert desk.waiting == [Lane("bob", "/telegram")]
    assert desk.edge.outcomes == [Outcome.INBOX]
    assert desk.edge.door.touches == []
    [message] = await desk.inbox.page("bob")
    assert (message.path, message.port, message.sender_id) == ("/telegram", 8787, "7")


@pytest.mark.parametrize("body", [b"", b"\0" * 1000, b"x" * LIMIT])
async def test_bodies_of_any_kind(desk: Desk, body: bytes) -> None:
    assert (await desk.send(body=body)).json() == {"ok": True}
    assert [payload.body for payload in await desk.kept()] == [body]


async def test_no_body_and_no_length_at_all(desk: Desk) -> None:
    status, answer = await raw(("127.0.0.1", desk.edge.port), b"POST /hooks HTTP/1.1\r\nHost: alice.localhost\r\n\r\n")
    assert (status, answer.endswith(b'{"ok": true}')) == (200, True)
    assert [payload.body for payload in await desk.kept()] == [b""]


async def test_one_that_comes_twice_is_kept_once(desk: Desk) -> None:
    for expected in ({"ok": True}, {"ok": True, "duplicate": True}, {"ok": True, "duplicate": True}):
        answer = await desk.send(body={"a": 1}, X_GitHub_Delivery="72d3162e")
        assert (answer.status_code, answer.json()) == (200, expected)
    assert len(await desk.kept()) == 1
    assert len(desk.waiting) == 1
    assert desk.counted == [Accepted.ACCEPTED, Accepted.DUPLICATE, Accepted.DUPLICATE]


async def test_what_isnt_the_same_is_kept_beside(desk: Desk) -> None:
    for path, body, headers in (
        ("/hooks", {"a": 1}, {"Webhook_Id": "1"}),
        ("/hooks", {"a": 2}, {"Webhook_Id": "1"}),  # somebody guessed the id and was first: the real one still comes in
        ("/hooks", {"a": 1}, {"Webhook_Id": "2"}),
        ("/telegram", {"a": 1}, {"Webhook_Id": "1"}),
        ("/telegram", {"a": 1}, {"Webhook_Id": "1"}),  # no id by this path's rule
    ):
        assert (await desk.send(path, body, **headers)).json() == {"ok": True}


@pytest.mark.parametrize("chunked", [False, True])
async def test_ten_megabytes_are_too_much(desk: Desk, chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b"x" * 65536

    body: Any = pieces() if chunked else b"x" * (160 * 65536)
    headers = {"Host": "alice.localhost"}
    answer = await desk.edge.client.post("/hooks", headers=headers, content=body)

    assert answer.status_code == 413, answer.text
    assert answer.json()["code"] == "too_large"
    assert answer.headers["content-type"] == "application/problem+json"
    assert await desk.kept() == []
    assert (await desk.send()).status_code == 200


async def test_headers_may_be_long_but_not_that_long(desk: Desk) -> None:
    assert (await desk.send(X_Long="x" * 20_000)).status_code == 200
    for answer in (await desk.send(X_Long="x" * 40_000), await desk.send("/hooks?" + "x" * 40_000)):
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_full_inbox_says_so_and_is_nobody_elses_trouble(desk: Desk) -> None:
    answers = await asyncio.gather(*(desk.send(body=number) for number in range(30)))
    by_status = sorted(answer.status_code for answer in answers)
    assert by_status == [200] * 5 + [429] * 25
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "inbox_full"
    assert int(refused.headers["retry-after"]) > 0
    assert (await desk.send(host="bob")).status_code == 200
    assert len(await desk.kept()) == 5


async def test_a_full_inbox_knows_what_it_has_already(desk: Desk) -> None:
    for number in range(5):
        assert (await desk.send(body=number, Webhook_Id=str(number))).status_code == 200
    assert (await desk.send(body=0, Webhook_Id="0")).json() == {"ok": True, "duplicate": True}


async def test_bytes_count_too(edge: Stage, tmp_path: Path) -> None:
    async with desk_at(edge, tmp_path, InboxLimits(messages=100, bytes=3 << 20)) as desk:
        answers = [(await desk.send(body=b"x" * LIMIT)).status_code for _ in range(4)]
        assert answers == [200, 200, 429, 429]
        assert (await desk.send(host="bob")).status_code == 200


async def test_too_many_at_once_wait_outside(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_server, "AT_ONCE", 2)
    begun = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"x"
        await begun.wait()
        yield b"y"

    headers = {"Host": "alice.localhost"}
    slow = [asyncio.create_task(desk.edge.client.post("/hooks", headers=headers, content=slowly())) for _ in range(2)]
    while desk.server.taking("alice") < 2:
        await asyncio.wait(slow, timeout=0.01)
    assert (await desk.send()).status_code == 429
    assert desk.counted == [Accepted.FULL]
    assert (await desk.send(host="bob")).status_code == 200
    begun.set()
    assert [answer.status_code for answer in await asyncio.gather(*slow)] == [200, 200]
    assert desk.server.taking("alice") == 0


@pytest.mark.parametrize("leaves", [True, False])
async def test_half_a_message_is_none(desk: Desk, monkeypatch: pytest.MonkeyPatch, leaves: bool) -> None:
    if not leaves:
        monkeypatch.setattr(inbox_server, "BODY_WITHIN_S", 0.05)
    _, writer = await asyncio.open_connection("127.0.0.1", desk.edge.port)
    writer.write(b"POST /hooks HTTP/1.1\r\nHost: alice.localhost\r\nContent-Length: 10\r\n\r\nhalf")
    await writer.drain()
    while not desk.server.taking("alice"):
        await asyncio.sleep(0.005)
    if leaves:
        writer.transport.abort()
    while desk.server.taking("alice"):
        await asyncio.sleep(0.005)
    writer.close()
    assert await desk.kept() == []


async def test_a_store_that_is_down_is_said_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(**_: bool) -> Any:
        raise StoreUnavailable("The database doesn't answer.")

    monkeypatch.setattr(desk.store, "begin", begin)
    answer = await desk.send()
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_a_bug_is_answered_without_a_word_of_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(**_: bool) -> Any:
        raise ValueError("canary")

    monkeypatch.setattr(desk.store, "begin", begin)
    answer = await desk.send()
    assert (answer.status_code, "canary" in answer.text) == (500, False)


async def test_a_tenant_that_went_meanwhile_gets_nothing(desk: Desk) -> None:
    async with desk.store.begin() as tx:
        await tx.drop_tenant("bob", "t_bob")
    answer = await desk.send(host="bob")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_tenant")


async def test_unknown_tenants_and_other_paths_dont_get_here(desk: Desk) -> None:
    assert (await desk.send(host="nobody")).status_code == 404
    for path in ("/hooks/", "/%68ooks", "//hooks", "/hooks;x", "/"):
        assert (await desk.send(path)).status_code == 401
    assert (await desk.edge.client.get("/hooks", headers={"Host": "alice.localhost"})).status_code == 401


async def test_no_client_can_choose_tenant_or_path(desk: Desk) -> None:
    ticket = "Inbox WyJib2IiLCJ0X2JvYiIsIi9ob29rcyIsImF1dG8iLG51bGwsIiJd"  # ["bob","t_bob","/hooks","auto",null,""]
    answer = await desk.send(
        Authorization=ticket,
        X_Upstream="unix//x",
        X_Upstream_Authorization=ticket,
        X_Innkeeper_Tenant="bob",
        X_Tenant_Id="bob",
    )
    assert answer.status_code == 200
    assert await desk.kept("bob") == []
    [payload] = await desk.kept("alice")
    assert (
        not {"x-upstream", "x-upstream-authorization", "x-innkeeper-tenant", "x-tenant-id"}
        & dict(payload.headers).keys()
    )
    assert dict(payload.headers)["authorization"] == ticket, "to the agent it is a sender's own, and means nothing"


async def test_a_credential_of_ours_is_not_kept(desk: Desk) -> None:
    assert (await desk.send(Authorization=f"Bearer {KEY}")).status_code == 200
    [payload] = await desk.kept()
    assert "authorization" not in dict(payload.headers)


async def test_only_the_gate_has_tickets(desk: Desk) -> None:
    status, answer = await raw(
        desk.edge.run / "inbox.sock", b"POST /hooks HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    )
    assert (status, b"invalid_request" in answer) == (400, True)
    assert (desk.edge.run / "inbox.sock").stat().st_mode & 0o777 == 0o600


async def test_nothing_of_it_is_readable_in_the_store(desk: Desk) -> None:
    await desk.send("/hooks?canary", {"canary": 1}, X_Canary="canary", Authorization="Bearer canary")
    async with desk.store.look() as tx:
        [message] = await tx.messages.page("alice")
        assert b"canary" not in (await tx.messages.sealed(message.id) or b"canary")
    assert "canary" not in repr(message)
