"""Browsers at the gate: sent away to sign in, back with a ticket, known by a cookie, and of no use to other sites."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from innkeeper.core.access import Actor, ActorKind, TenantRole, digest, new_secret
from innkeeper.core.callers import Callers, Pass
from innkeeper.core.lookout import Lookout
from innkeeper.core.people import Session, SignInMethod
from innkeeper.core.tenant import Access
from innkeeper.edge.browsers import is_foreign, is_own_origin, parted
from innkeeper.edge.gate import Ask, Gate, Outcome
from tests.edge.house import AGENT_TOKEN, KEY, OTHER_KEY, ToldDoor, tenant
from tests.support.house import House

HOST = b"alice.localhost:8080"
CONSOLE = "http://console.localhost:8080"
DOOR, KNOCK = b"__Host-innkeeper-door", b"__Host-innkeeper-knock"
ANN = Actor(kind=ActorKind.USER, id="usr_ann", name="ann@example.com", tenants={"alice": TenantRole.MEMBER})
SESSION = Session(
    id="ses_1",
    user="usr_ann",
    digest="",
    method=SignInMethod.PASSWORD,
    address=None,
    browser="",
    created_at=datetime.now(UTC),
    expires_at=datetime.now(UTC) + timedelta(hours=1),
)
PAGE = Ask(host=HOST, accept=b"text/html", uri=b"/chat?x=1&y=2", destination=b"document", site=b"none")
HELD = DOOR + b"=good"


class Post:
    """A gate, its door, and who it noted."""

    def __init__(self) -> None:
        self.door, self.callers, self.outcomes = ToldDoor(), Callers(), list[Outcome]()
        self.door.lead("alice", "10.0.0.1:80")
        self.door.held["good"] = SESSION, ANN
        self.gate = Gate(self.door, inbox=Path("/i"), console=CONSOLE, callers=self.callers, count=self.outcomes.append)

    async def ask(self, ask: Ask) -> tuple[int, dict[str, list[str]], str]:
        """Status, headers and body."""
        answer = self.gate.ask(ask)
        raw = answer if isinstance(answer, bytes) else await answer
        head, _, body = raw.decode().partition("\r\n\r\n")
        status, *lines = head.split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers.setdefault(name.lower(), []).append(value)
        return int(status.split()[1]), headers, body


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    with tempfile.TemporaryDirectory():
        yield Post()


# --- away to sign in, and back ----------------------------------------------------------------------------------------


async def test_a_person_without_a_session_is_sent_to_the_console_to_come_back_where_they_were(post: Post) -> None:
    status, headers, _ = await post.ask(PAGE)

    assert status == 303
    there = urlsplit(headers["location"][0])
    assert f"{there.scheme}://{there.netloc}{there.path}" == f"{CONSOLE}/enter"
    asked = parse_qs(there.query)
    assert (asked["host"], asked["to"]) == ([HOST.decode()], ["/chat?x=1&y=2"])
    (cookie,) = headers["set-cookie"]
    name, _, rest = cookie.partition("=")
    secret, *flags = rest.split("; ")
    assert name == KNOCK.decode()
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} < set(flags)
    assert asked["knock"] == [digest(secret)]
    assert secret not in headers["location"][0], "only this browser knows it"
    assert post.outcomes == [Outcome.SENT_TO_SIGN_IN]


async def test_tabs_that_are_sent_away_at_once_share_what_they_are_known_by(post: Post) -> None:
    knock = new_secret("n")
    _, headers, _ = await post.ask(PAGE._replace(cookies=KNOCK + b"=" + knock.encode()))
    assert digest(knock) in headers["location"][0]
    assert "set-cookie" not in headers
    _, headers, _ = await post.ask(PAGE._replace(cookies=KNOCK + b"=of-somebody's-making"))
    assert len(headers["set-cookie"]) == 1


@pytest.mark.parametrize(
    "ask",
    [
        PAGE._replace(method=b"POST"),
        PAGE._replace(accept=b"application/json"),
        PAGE._replace(destination=b"image"),
        PAGE._replace(destination=b"websocket"),
    ],
)
async def test_whatever_isnt_a_person_opening_a_page_is_told_what_it_needs(post: Post, ask: Ask) -> None:
    status, headers, _ = await post.ask(ask)
    assert status == 401
    assert "location" not in headers


async def test_with_keys_only_nobody_is_sent_anywhere_and_no_session_counts(post: Post) -> None:
    post.door.hosts["alice.localhost"] = tenant("alice", access=Access.KEY)
    assert (await post.ask(PAGE))[0] == 401
    assert (await post.ask(PAGE._replace(cookies=HELD)))[0] == 401
    assert (await post.ask(PAGE._replace(uri=b"/.innkeeper/enter?ticket=x")))[0] == 401


async def test_a_ticket_becomes_a_cookie_of_this_door(post: Post) -> None:
    back = PAGE._replace(uri=b"/.innkeeper/enter?ticket=ticket-alice.localhost-k", cookies=KNOCK + b"=k")
    status, headers, _ = await post.ask(back)
    assert (status, headers["location"]) == (303, ["/where?they=went"])
    door, knock = headers["set-cookie"]
    assert door == f"{DOOR.decode()}=the-cookie; Path=/; Secure; HttpOnly; SameSite=Lax"
    assert knock.startswith(f"{KNOCK.decode()}=; Max-Age=0;")
    assert post.outcomes == [Outcome.SIGNED_IN]


@pytest.mark.parametrize("uri", [b"/.innkeeper/enter", b"/.innkeeper/enter?ticket=", b"/.innkeeper/enter?ticket=x"])
async def test_anything_else_is_no_ticket(post: Post, uri: bytes) -> None:
    status, headers, _ = await post.ask(PAGE._replace(uri=uri, cookies=KNOCK + b"=k"))
    assert status == 403
    assert "set-cookie" not in headers


# --- the cookie -------------------------------------------------------------------------------------------------------


async def test_whoever_shows_the_cookie_is_let_in_and_named_to_the_agent(post: Post) -> None:
    status, headers, _ = await post.ask(
        PAGE._replace(cookies=b"theirs=1; " + HELD + b"; also=2", client=b"192.0.2.7:4711 HTTP/1.1")
    )
    assert status == 204
    assert headers["x-upstream-x-forwarded-user"] == ["ann@example.com"]
    assert headers["x-upstream-authorization"] == [f"Bearer {AGENT_TOKEN}"]
    assert headers["x-upstream-cookie"] == ["theirs=1; also=2"], "the tenant never sees ours"
    assert post.callers.passes() == {Pass("session:ses_1", "alice")}


async def test_another_doors_cookie_is_nobodys(post: Post) -> None:
    status, headers, _ = await post.ask(PAGE._replace(host=b"bob.localhost", cookies=DOOR + b"=alices"))
    assert (status, headers["location"][0][: len(CONSOLE)]) == (303, CONSOLE)


async def test_a_credential_goes_before_the_cookie_and_an_agents_own_leaves_it_be(post: Post) -> None:
    post.door.hosts["alice.localhost"] = tenant("alice", access=Access.GUARDED)
    with_cookie = PAGE._replace(cookies=HELD)

    status, _, _ = await post.ask(with_cookie._replace(authorization=f"Bearer {OTHER_KEY}".encode()))
    assert status == 403, "somebody, but nobody here"
    status, headers, _ = await post.ask(with_cookie._replace(authorization=b"Bearer an-agents-own"))
    assert (status, headers["x-upstream-x-forwarded-user"]) == (204, ["ann@example.com"])
    assert headers["x-upstream-authorization"] == [f"Bearer {AGENT_TOKEN}"]


async def test_who_is_no_member_any_more_is_refused_and_not_sent_round_in_circles(post: Post) -> None:
    post.door.held["good"] = SESSION, replace(ANN, tenants={})
    status, headers, body = await post.ask(PAGE._replace(cookies=HELD))
    assert status == 403
    assert "location" not in headers
    assert "member" in body


async def test_who_is_signed_out_while_waiting_for_a_sleeper_isnt_let_in(post: Post) -> None:
    post.door.hosts["bob.localhost"] = tenant("bob")
    post.door.held["bobs"] = SESSION, replace(ANN, tenants={"bob": TenantRole.MEMBER})
    post.door.lead("bob", "10.0.0.2:80")
    upstream = post.door.upstreams.pop("bob")
    asking = post.gate.ask(Ask(host=b"bob.localhost", cookies=DOOR + b"=bobs"))
    assert not isinstance(asking, bytes)
    post.door.revoked = True
    post.door.upstreams["bob"] = upstream
    post.door.opened.set()
    assert b" 401 " in (await asking)


@pytest.mark.parametrize(
    ("cookies", "theirs", "door"),
    [
        (b"a=1", b"a=1", b""),
        (b"a=1; " + HELD, b"a=1", b"good"),
        (HELD + b";b=2", b"b=2", b"good"),
        (HELD + b"; " + HELD, b"", b""),  # twice: one of them is somebody else's
        (b"__HOST-INNKEEPER-DOOR=x; a=1", b"a=1", b""),
        (b"a=1,__Host-innkeeper-door=good", b"", b""),  # two Cookie headers joined into one value
        (b"__Host-innkeeper-console=secret; a=1", b"a=1", b""),
        (b"", b"", b""),
    ],
)
def test_cookies_are_parted(cookies: bytes, theirs: bytes, door: bytes) -> None:
    assert parted(cookies)[:2] == (theirs, door)


# --- other sites' pages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [b"http://bob.localhost:8080", b"http://alice.localhost", b"null", b"https://evil"])
async def test_a_websocket_is_for_pages_of_the_same_origin(post: Post, origin: bytes) -> None:
    upgrade = Ask(host=HOST, cookies=HELD, destination=b"websocket", origin=origin)
    assert (await post.ask(upgrade))[0] == 403
    assert (await post.ask(upgrade._replace(cookies=b"", authorization=f"Bearer {KEY}".encode())))[0] == 403
    assert (await post.ask(upgrade._replace(origin=b"http://alice.localhost:8080")))[0] == 204
    assert (await post.ask(Ask(host=HOST, authorization=f"Bearer {KEY}".encode(), destination=b"websocket")))[0] == 204


@pytest.mark.parametrize("site", [b"same-site", b"cross-site"])
async def test_a_neighbours_page_cant_use_somebodys_session(post: Post, site: bytes) -> None:
    fetched = Ask(host=HOST, cookies=HELD, site=site, destination=b"empty")
    assert (await post.ask(fetched))[0] == 403
    assert (await post.ask(fetched._replace(destination=b"iframe")))[0] == 403
    posted = Ask(host=HOST, cookies=HELD, method=b"POST", origin=b"http://bob.localhost:8080", site=site)
    assert (await post.ask(posted))[0] == 403
    followed_a_link = PAGE._replace(cookies=HELD, site=site)
    assert (await post.ask(followed_a_link))[0] == 204


def test_what_an_older_browser_sends_is_judged_by_its_origin() -> None:
    def foreign(method: bytes, origin: bytes) -> bool:
        return is_foreign(method=method, origin=origin, site=b"", host=HOST, navigates=False)

    assert foreign(b"POST", b"http://bob.localhost:8080")
    assert not foreign(b"POST", b"http://alice.localhost:8080")
    assert not foreign(b"GET", b"")
    assert is_own_origin(b"https://ALICE.localhost:8080", HOST)
    assert not is_own_origin(b"alice.localhost:8080", HOST)


# --- what the trail is told -------------------------------------------------------------------------------------------


async def test_the_trail_is_told_of_who_was_denied_and_of_operators_who_come_in() -> None:
    house = House()
    await house.create("alice")
    lookout = Lookout(denials=house.denials, clock=house.clock)
    door = ToldDoor()
    door.lead("alice", "10.0.0.1:80")
    gate = Gate(door, inbox=Path("/i"), lookout=lookout)

    def asks(bearer: str) -> None:
        gate.ask(Ask(host=HOST, authorization=f"Bearer {bearer}".encode(), client=b"192.0.2.7:4711 HTTP/1.1"))

    for bearer in ("ik_a_admin", "ik_a_admin", KEY, OTHER_KEY, "ik_k_nobodys"):
        asks(bearer)
    gate.ask(Ask(host=HOST))
    await house.denials.write()
    async with house.store.look() as tx:
        lines = [line for _, line in await tx.trail() if line.action in ("tenant.entered", "access.denied")]
    assert [(line.action, line.actor, line.tenant, line.address) for line in lines] == [
        ("tenant.entered", "admin", "alice", "192.0.2.7"),
        ("access.denied", "k2", "alice", "192.0.2.7"),
        ("access.denied", "unknown", "alice", "192.0.2.7"),
    ]
    house.clock.turn(3601)
    asks("ik_a_admin")
    await house.denials.write()
    async with house.store.look() as tx:
        assert (await tx.trail())[-1][1].action == "tenant.entered"
