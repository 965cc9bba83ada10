"""The console's pages: signing in and out, and the way to a tenant's door."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from innkeeper.core.access import ADMIN, Role, TenantRole, digest
from innkeeper.core.people_errors import TicketRefused
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import Access
from tests.api.bench import Bench, opened
from tests.api.people import PASSWORD, person

ORIGIN = "https://inn"
COOKIE = "__Host-innkeeper-console"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as bench:
        await bench.tenant("alice")
        await bench.tenant("bob")
        await person(bench, "ann", tenants={"alice": TenantRole.MEMBER})
        yield bench


@asynccontextmanager
async def browser(bench: Bench) -> AsyncIterator[httpx2.AsyncClient]:
    """Something that keeps cookies and follows no redirects, behind the edge."""
    transport = httpx2.ASGITransport(bench.app, client=("", 0))
    headers = {"X-Innkeeper-Client": "192.0.2.7", "User-Agent": "Firefox/200"}
    async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN, headers=headers) as client:
        yield client


async def signed_in(client: httpx2.AsyncClient, mail: str = "ann@example.com", **more: str) -> httpx2.Response:
    form = {"mail": mail, "password": PASSWORD, **more}
    return await client.post("/sign-in", data=form, headers={"Origin": ORIGIN})


async def test_signing_in_gives_a_session_and_signing_out_ends_it(bench: Bench) -> None:
    async with browser(bench) as client:
        assert (await client.get("/")).headers["location"] == "/sign-in"
        page = await client.get("/sign-in")
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        answer = await signed_in(client, then="/enter?host=alice.localhost")
        assert answer.status_code == 200
        assert "0;url=/enter?host=alice.localhost" in answer.text
        (cookie,) = answer.headers.get_list("set-cookie")
        assert cookie.startswith(f"{COOKIE}=ik_s_")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
        home = await client.get("/")
        assert "alice" in home.text
        assert "bob" not in home.text
        secret = client.cookies[COOKIE]
        assert (await client.get("/v1/me")).json()["name"] == "ann@example.com"
        (session,) = (await client.get("/v1/sessions")).json()["items"]
        assert (session["address"], session["browser"]) == ("192.0.2.7", "Firefox/200")

        out = await client.post("/sign-out", headers={"Origin": ORIGIN})
        assert out.headers["location"] == "/sign-in"
        client.cookies.set(COOKIE, secret)
        assert (await client.get("/v1/me")).status_code == 401


async def test_another_customers_open_tenant_is_nobodys_business(bench: Bench) -> None:
    await bench.house.control.update("bob", SpecPatch(access=Access.OPEN), actor=ADMIN)
    async with browser(bench) as client:
        await signed_in(client)
        assert "bob" not in (await client.get("/")).text


@pytest.mark.parametrize(
    ("mail", "password"),
    [("ann@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("", ""), ("not a mail", "x" * 5000)],
)
async def test_whatever_is_wrong_the_answer_is_the_same_and_so_is_the_work(
    bench: Bench, mail: str, password: str
) -> None:
    async with browser(bench) as client:
        reference = await signed_in(client, "nobody-else@example.com")
        verified = bench.house.passwords.verified
        answer = await client.post("/sign-in", data={"mail": mail, "password": password}, headers={"Origin": ORIGIN})
        assert (answer.status_code, answer.text) == (reference.status_code, reference.text) == (401, reference.text)
        assert "set-cookie" not in answer.headers
        assert bench.house.passwords.verified == verified + 1


async def test_a_thousand_failed_sign_ins_cost_little_and_lock_out_nobody_else(bench: Bench) -> None:
    async with browser(bench) as client:
        statuses = [(await signed_in(client, f"guess{n % 50}@example.com")).status_code for n in range(1000)]
        assert statuses.count(401) == 30, "what an address may fail at in a row"
        assert statuses.count(429) == 970
        assert bench.house.passwords.verified == 30
        async with bench.house.store.look() as tx:
            rows = [entry for _, entry in await tx.trail(limit=100_000) if entry.action == "session.refused"]
        assert len(rows) == 30
        client.headers["X-Innkeeper-Client"] = "192.0.2.8"
        assert (await signed_in(client)).status_code == 200


async def test_guessing_at_one_account_is_held_up_from_wherever_it_comes(bench: Bench) -> None:
    async with browser(bench) as client:
        for number in range(10):
            client.headers["X-Innkeeper-Client"] = f"192.0.2.{number}"
            wrong = {"mail": "ann@example.com", "password": "wrong"}
            assert (await client.post("/sign-in", data=wrong, headers={"Origin": ORIGIN})).status_code == 401
        client.headers["X-Innkeeper-Client"] = "192.0.2.99"
        answer = await signed_in(client)
        assert answer.status_code == 429
        assert "tried too often" in answer.text


async def test_another_sites_page_signs_nobody_in_and_uses_no_session(bench: Bench) -> None:
    async with browser(bench) as client:
        form = {"mail": "ann@example.com", "password": PASSWORD}
        for headers in ({"Origin": "https://alice.inn"}, {"Origin": "null"}, {}):
            answer = await client.post("/sign-in", data=form, headers=headers)
            assert (answer.status_code, COOKIE in client.cookies) == (403, False)
        await signed_in(client)
        for headers in ({"Origin": "https://alice.inn"}, {"Sec-Fetch-Site": "same-site"}, {}):
            answer = await client.post("/v1/tenants/alice/wake", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
        assert (await client.get("/v1/me", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 403
        own = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
        assert (await client.post("/v1/tenants/alice/wake", headers=own)).status_code == 202


# --- to a tenant's door -----------------------------------------------------------------------------------------------


async def test_the_way_to_a_door_and_back(bench: Bench) -> None:
    tickets, alice = bench.inn.people.tickets, bench.inn.directory.tenant("alice")
    assert alice is not None
    asked = f"/enter?host=alice.localhost:8080&to=/chat?x=1&knock={digest('k')}".replace("?x=1", "%3Fx%3D1")
    async with browser(bench) as client:
        away = await client.get(asked)
        assert away.headers["location"].startswith("/sign-in?then=%2Fenter%3F")
        then = parse_qs(urlsplit(away.headers["location"]).query)["then"][0]
        page = await client.get(away.headers["location"])
        assert re.search(r'name=then value="([^"]*)"', page.text)
        answer = await signed_in(client, then=then)
        assert "/enter?host=alice.localhost%3A8080" in answer.text
        back = (await client.get(asked)).headers["location"]
        secret = client.cookies[COOKIE]
    door, _, query = back.partition("?ticket=")
    assert door == "http://alice.localhost:8080/.innkeeper/enter"
    assert secret not in back, "the console's session stays at the console"

    cookie, session, path = await tickets.redeem(query, alice, host="alice.localhost", known_by="k")
    assert path == "/chat?x=1"
    held = tickets.holder(cookie, alice)
    assert held is not None
    assert (held[0].id, held[1].name) == (session.id, "ann@example.com")
    bob = bench.inn.directory.tenant("bob")
    assert bob is not None
    assert tickets.holder(cookie, bob) is None, "another door's"
    for forged in (session.id, f"{session.id}.", f"{session.id}.x", cookie[:-1], cookie.upper(), f"ses_x.{cookie}"):
        assert tickets.holder(forged, alice) is None
    with pytest.raises(TicketRefused):
        await tickets.redeem(query, alice, host="alice.localhost", known_by="k")
    await bench.inn.people.signing_in.end(session.id, actor=ADMIN, own=False)
    assert tickets.holder(cookie, alice) is None


@pytest.mark.parametrize("wrong", ["tenant", "host", "browser", "late", "signed out"])
async def test_a_ticket_is_for_one_door_one_browser_and_one_minute(bench: Bench, wrong: str) -> None:
    signing_in, tickets = bench.inn.people.signing_in, bench.inn.people.tickets
    async with browser(bench) as client:
        await signed_in(client)
        (session,) = await signing_in.sessions()
    alice, bob = bench.inn.directory.tenant("alice"), bench.inn.directory.tenant("bob")
    assert alice is not None
    assert bob is not None
    secret = await tickets.issue(session, alice, host="alice.localhost", path="/", binding=digest("k"))
    if wrong == "late":
        bench.house.clock.turn(61)
    if wrong == "signed out":
        await signing_in.end(session.id, actor=ADMIN, own=False)
    with pytest.raises(TicketRefused):
        await tickets.redeem(
            secret,
            bob if wrong == "tenant" else alice,
            host="chat.example.com" if wrong == "host" else "alice.localhost",
            known_by="another" if wrong == "browser" else "k",
        )
    with pytest.raises(TicketRefused):  # however it ended, it is spent
        await tickets.redeem(secret, alice, host="alice.localhost", known_by="k")


async def test_a_strangers_made_up_ticket_makes_no_writer_wait(bench: Bench) -> None:
    alice = bench.inn.directory.tenant("alice")
    assert alice is not None
    async with bench.house.store.begin():  # somebody writes, for as long as this takes
        async with asyncio.timeout(5):
            with pytest.raises(TicketRefused):
                await bench.inn.people.tickets.redeem("ik_e_made-up", alice, host="alice.localhost", known_by="k")


@pytest.mark.parametrize(
    "to", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/\r\nX: y"]
)
async def test_nobody_is_sent_to_another_place(bench: Bench, to: str) -> None:
    async with browser(bench) as client:
        answer = await signed_in(client, then=to)
        assert 'content="0;url=/"' in answer.text
        (session,) = await bench.inn.people.signing_in.sessions()
    alice = bench.inn.directory.tenant("alice")
    assert alice is not None
    secret = await bench.inn.people.tickets.issue(session, alice, host="alice.localhost", path=to, binding=digest("k"))
    assert (await bench.inn.people.tickets.redeem(secret, alice, host="alice.localhost", known_by="k"))[2] == "/"


@pytest.mark.parametrize("host", ["bob.localhost:8080", "nobody.localhost", "evil.example", ""])
async def test_who_may_not_enter_gets_no_ticket(bench: Bench, host: str) -> None:
    async with browser(bench) as client:
        await signed_in(client)
        answer = await client.get("/enter", params={"host": host, "to": "/", "knock": "x"})
        assert answer.status_code == 403
        assert "location" not in answer.headers


async def test_a_new_password_and_being_disabled_end_every_session(bench: Bench) -> None:
    users = bench.inn.people.users
    for patch in ({"password": "another long password"}, {"disabled": True}):
        async with browser(bench) as client:
            await users.change("ann@example.com", {"disabled": False, "password": PASSWORD}, actor=ADMIN)
            await signed_in(client)
            assert (await client.get("/v1/me")).status_code == 200
            await users.change("ann@example.com", patch, actor=ADMIN)
            assert (await client.get("/v1/me")).status_code == 401
            assert (await signed_in(client)).status_code == 401


async def test_ones_own_password_is_changed_with_the_old_one(bench: Bench) -> None:
    async with browser(bench) as client:
        await signed_in(client)
        own = {"Origin": ORIGIN}
        wrong = {"old": "not it", "new": "another long password"}
        assert (await client.post("/v1/me/password", json=wrong, headers=own)).status_code == 401
        right = {"old": PASSWORD, "new": "another long password"}
        assert (await client.post("/v1/me/password", json=right, headers=own)).status_code == 204
        assert (await client.get("/v1/me")).status_code == 401


async def test_the_last_admin_stays_one(bench: Bench) -> None:
    users = bench.inn.people.users
    root = await users.create("root@example.com", role=Role.ADMIN, password=PASSWORD, actor=ADMIN)
    async with bench.client() as admin:
        for answer in (
            await admin.delete(f"/v1/users/{root.id}"),
            await admin.patch(f"/v1/users/{root.id}", json={"role": "operator"}),
            await admin.patch("/v1/users/root@example.com", json={"role": None}),
            await admin.patch(f"/v1/users/{root.id}", json={"disabled": True}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (409, "last_admin")
        await users.create("other@example.com", role=Role.ADMIN, actor=ADMIN)
        assert (await admin.patch(f"/v1/users/{root.id}", json={"role": None})).json()["role"] is None
        assert (await admin.delete("/v1/users/other@example.com")).status_code == 409
