"""Integrations by the API and the console's pages: an owner connects and disconnects, nobody else's browser does."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from innkeeper.core.access import TenantRole
from innkeeper.core.events import ConnectionBroken
from tests.api.bench import Bench, opened
from tests.api.people import PASSWORD, person, token_of
from tests.support.serving import serving

ORIGIN = "https://inn"
CONNECT = "/v1/tenants/alice/integrations/google/connect"
PAGE = "/integrations/connect?tenant=alice&integration=google"
FORM = {"tenant": "alice", "integration": "google"}
OWN = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Ann owns alice, Mel is a member, Bob owns bob."""
    async with opened(tmp_path) as bench:
        for name in ("alice", "bob"):
            await bench.tenant(name)
        await person(bench, "ann", tenants={"alice": TenantRole.OWNER})
        await person(bench, "mel", tenants={"alice": TenantRole.MEMBER})
        await person(bench, "bob", tenants={"bob": TenantRole.OWNER})
        yield bench


@asynccontextmanager
async def browser(bench: Bench, who: str | None = "ann") -> AsyncIterator[httpx2.AsyncClient]:
    """Something that keeps cookies and follows no redirects, behind the edge; signed in."""
    transport = httpx2.ASGITransport(bench.app, client=("", 0))
    headers = {"X-Innkeeper-Client": "192.0.2.7"}
    async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN, headers=headers) as client:
        if who is not None:
            form = {"mail": f"{who}@example.com", "password": PASSWORD}
            assert (await client.post("/sign-in", data=form, headers={"Origin": ORIGIN})).status_code == 200
        yield client


async def away(client: httpx2.AsyncClient) -> str:
    """The service's page, by the console's form."""
    answer = await client.post("/integrations/connect", data=FORM, headers=OWN)
    assert answer.status_code == 200, answer.text
    found = re.search(r'content="0;url=([^"]*)"', answer.text)
    assert found is not None
    return html.unescape(found[1])


async def back(bench: Bench, client: httpx2.AsyncClient, page: str, **more: str) -> httpx2.Response:
    """What the console says to who comes back from there."""
    answer = {**bench.house.token_service.approve(page), **more}
    headers = {"Sec-Fetch-Site": "cross-site"}
    return await client.get("/integrations/callback/google", params=answer, headers=headers)


async def standing(bench: Bench) -> str:
    async with bench.client() as api:
        (one,) = (await api.get("/v1/tenants/alice/integrations")).json()["items"]
        return str(one["standing"])


async def test_an_owner_connects_by_the_consoles_pages_and_disconnects_by_the_api(bench: Bench) -> None:
    async with browser(bench) as client:
        page = await client.get(PAGE)
        assert page.status_code == 200
        assert "<strong>alice</strong>" in page.text
        assert "form-action 'self'" in page.headers["content-security-policy"]
        done = await back(bench, client, await away(client))
        assert (done.status_code, "alice is connected to Google" in done.text) == (200, True)
        assert done.headers["referrer-policy"] == "same-origin"

        (one,) = (await client.get("/v1/tenants/alice/integrations")).json()["items"]
        assert (one["name"], one["title"], one["standing"]) == ("google", "Google", "connected")
        assert (one["connected_as"], one["scopes"]) == ("ann@example.com", ["files", "mail"])
        assert "access-" not in str(one)
        tenant = await bench.house.tenant("alice")
        assert await bench.inn.integrations.token("google", tenant) == "access-2"

        gone = await client.delete("/v1/tenants/alice/integrations/google", headers=OWN)
        assert gone.json() == {"name": "google", "revoked": True}
        again = await client.delete("/v1/tenants/alice/integrations/google", headers=OWN)
        assert (again.status_code, again.json()["code"]) == (409, "integration_not_connected")
    assert await standing(bench) == "disconnected"
    async with bench.house.store.look() as tx:
        lines = {line.action: line for _, line in await tx.trail(limit=1000)}
    assert lines["integration.connect"].address == "192.0.2.7"
    assert {"integration.connect", "integration.disconnect"} <= set(lines)


async def test_a_session_that_asks_the_api_goes_to_the_service_at_once(bench: Bench) -> None:
    async with browser(bench) as client:
        url = (await client.post(CONNECT, headers=OWN)).json()["url"]
        assert url.startswith("https://google.test/authorize?")
        assert (await back(bench, client, url)).status_code == 200
    assert await standing(bench) == "connected"


async def test_a_token_leads_to_the_console_and_changes_nothing(bench: Bench) -> None:
    async with bench.client() as api:
        url = (await api.post(CONNECT)).json()["url"]
        assert (await api.post(CONNECT.replace("google", "no-such"))).json()["code"] == "unknown_integration"
        assert (await api.post(CONNECT.replace("alice", "nobody"))).status_code == 404
    assert url == f"http://console.localhost:8080{PAGE}"
    async with browser(bench, None) as client:
        sent = await client.get(PAGE)
        assert parse_qs(urlsplit(sent.headers["location"]).query)["then"] == [PAGE]
        assert (await client.post("/integrations/connect", data=FORM, headers=OWN)).status_code == 401
    assert await standing(bench) == "disconnected"


@pytest.mark.parametrize("who", ["mel", "bob"])
async def test_who_doesnt_own_it_connects_nothing_to_it(bench: Bench, who: str) -> None:
    async with browser(bench, who) as client:
        assert (await client.get(PAGE)).status_code == 403
        assert (await client.post("/integrations/connect", data=FORM, headers=OWN)).status_code == 403
        assert (await client.post(CONNECT, headers=OWN)).status_code == 403
    assert await standing(bench) == "disconnected"


async def test_another_sites_page_begins_nothing(bench: Bench) -> None:
    async with browser(bench) as client:
        for headers in ({"Origin": "https://alice.inn"}, {"Origin": "null"}, {}):
            assert (await client.post("/integrations/connect", data=FORM, headers=headers)).status_code == 403
            assert (await client.post(CONNECT, headers=headers)).status_code == 403


async def test_a_way_back_is_good_once(bench: Bench) -> None:
    async with browser(bench) as client:
        page = await away(client)
        assert (await back(bench, client, page)).status_code == 200
        replayed = await back(bench, client, page)
        assert (replayed.status_code, "used before" in replayed.text) == (403, True)
    assert len(bench.house.token_service.asked) == 1


async def test_somebody_elses_browser_ends_nothing_that_ann_began(bench: Bench) -> None:
    """Neither Mallory's account with Ann's tenant, nor Ann's account with Mallory's."""
    async with browser(bench) as anns, browser(bench, "bob") as bobs, browser(bench) as anns_other:
        for client in (bobs, anns_other):
            page = await away(anns)
            refused = await back(bench, client, page)
            assert (refused.status_code, "another browser" in refused.text) == (403, True)
            assert (await back(bench, anns, page)).status_code == 403, "it is spent all the same"
        async with browser(bench, None) as nobodys:
            assert (await back(bench, nobodys, await away(anns))).status_code == 401
    assert await standing(bench) == "disconnected"
    assert bench.house.token_service.asked == []


async def test_who_signs_out_meanwhile_begins_again(bench: Bench) -> None:
    async with browser(bench) as client:
        page = await away(client)
        cookies = dict(client.cookies)
        await client.post("/sign-out", headers=OWN)
        client.cookies.update(cookies)
        assert (await back(bench, client, page)).status_code == 401
    async with browser(bench) as client:
        assert (await back(bench, client, page)).status_code == 403


async def test_what_a_service_says_is_shown_and_does_nothing(bench: Bench) -> None:
    evil = "<script>alert(1)</script>"
    async with browser(bench) as client:
        page = await away(client)
        said = await back(bench, client, page, error="access_denied", error_description=evil)
        assert said.status_code == 409
        assert "access_denied" in said.text
        assert evil not in said.text
        assert "&lt;script&gt;" in said.text
        bench.house.token_service.answer = 200, b"<html>not json"
        page = await away(client)
        unwell = await back(bench, client, page)
        assert (unwell.status_code, "no JSON object" in unwell.text) == (503, True)
    assert await standing(bench) == "disconnected"


async def test_names_from_a_link_are_shown_and_do_nothing(bench: Bench) -> None:
    async with browser(bench) as client:
        answer = await client.get("/integrations/connect", params={"tenant": "<b>", "integration": "'\"><i>"})
        assert answer.status_code == 403
        assert "<b>" not in answer.text
        answer = await client.get("/integrations/connect", params={"tenant": "alice", "integration": "'\"><i>"})
        assert (answer.status_code, "<i>" in answer.text) == (404, False)
        answer = await client.get("/integrations/callback/%3Ci%3E", params={"state": "x", "code": "y"})
        assert (answer.status_code, "<i>" in answer.text) == (403, False)


async def test_the_owner_is_told_of_what_broke(bench: Bench) -> None:
    async with browser(bench) as client:
        await back(bench, client, await away(client))
        bench.house.clock.turn(3500)  # the session lasts an hour
        bench.house.token_service.refuse = "invalid_grant"
        tenant = await bench.house.tenant("alice")
        with bench.house.bus.subscribe() as events:
            bench.house.clock.turn(60)
            with pytest.raises(Exception, match="broken"):
                await bench.inn.integrations.token("google", tenant)
            told = await events.get()
        assert isinstance(told, ConnectionBroken)
        (one,) = (await client.get("/v1/tenants/alice/integrations")).json()["items"]
        assert (one["standing"], one["error"]) == ("broken", "Google refused: invalid_grant.")
        bench.house.token_service.refuse = None
        await back(bench, client, await away(client))
    assert await standing(bench) == "connected"


async def test_listeners_hear_of_what_broke(bench: Bench) -> None:
    ann = await token_of(bench, (await bench.inn.people.users.find("ann@example.com")).id)
    async with (
        serving(bench.app) as url,
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {ann}"}) as client,
        client.stream("GET", f"{url}/v1/tenants/alice/events") as stream,
    ):
        lines = stream.aiter_lines()
        while "listening" not in await anext(lines):
            pass
        for tenant in ("bob", "alice"):
            bench.house.bus.publish(ConnectionBroken(tenant=tenant, integration="google", why="invalid_grant."))
        while (await anext(lines)) != "event: integration.broken":
            pass
        told = json.loads((await anext(lines)).removeprefix("data: "))
    assert (told["tenant"], told["integration"], told["why"]) == ("alice", "google", "invalid_grant.")


async def test_a_token_without_the_scope_sees_nothing(bench: Bench) -> None:
    ann = await person(bench, "other", tenants={"alice": TenantRole.VIEWER})
    async with bench.client(await token_of(bench, ann)) as api:
        assert (await api.get("/v1/tenants/alice/integrations")).status_code == 403


async def test_a_form_that_no_page_of_ours_sends_begins_nothing(bench: Bench) -> None:
    async with browser(bench) as ann:
        for body in (
            "&".join(f"x{number}=1" for number in range(50)),
            "tenant=alice&integration=google&" + "x" * 100_000,
        ):
            form = {**OWN, "Content-Type": "application/x-www-form-urlencoded"}
            answer = await ann.post("/integrations/connect", content=body, headers=form)
            assert 400 <= answer.status_code < 500, answer.text
    assert await standing(bench) == "disconnected"
