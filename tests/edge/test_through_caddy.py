"""What passes the edge and what doesn't: real Caddy, real sockets, a real server as the tenant."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from itertools import repeat

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from innkeeper.core.tenant import Access
from innkeeper.edge.answers import passage
from innkeeper.edge.caddy_config import FORGED, STAND_IN_CLIENT
from innkeeper.edge.gate import Outcome
from tests.edge.house import AGENT_TOKEN, BEARER, KEY, OTHER_KEY, Stage, headers_seen, raw, tenant
from tests.edge.sockets import echoing

ALICE = {"Host": "alice.localhost", **BEARER}


async def test_a_request_reaches_its_tenant(edge: Stage) -> None:
    answer = await edge.client.post("/v1/chat?x=1", headers=ALICE, content=b"hello")

    assert answer.status_code == 200
    assert answer.json()["path"] == "/v1/chat"
    assert answer.json()["length"] == 5
    assert edge.door.touches == ["alice"]
    assert edge.outcomes == [Outcome.PASSED]


async def test_the_key_is_swapped_for_the_agents_own_token(edge: Stage) -> None:
    answer = await edge.client.get("/", headers=ALICE)

    assert headers_seen(answer)["authorization"] == f"Bearer {AGENT_TOKEN}"
    assert KEY not in answer.text


async def test_an_agent_without_a_token_gets_no_authorization_at_all(edge: Stage) -> None:
    edge.door.lead("alice", edge.agent_url, authorization=None)

    assert "authorization" not in headers_seen(await edge.client.get("/", headers=ALICE))


async def test_the_agent_is_told_of_the_user_by_the_gate_and_by_nobody_else(edge: Stage) -> None:
    forged = {"X-Forwarded-User": "mallory", "X-Upstream-X-Forwarded-User": "mallory"}
    assert "mallory" not in (await edge.client.get("/", headers={**ALICE, **forged})).text

    edge.door.lead("alice", edge.agent_url, user="innkeeper")
    answer = await edge.client.get("/", headers={**ALICE, **forged})
    assert headers_seen(answer)["x-forwarded-user"] == "k1", "whose key it is, in place of the agent's usual user"
    assert "mallory" not in answer.text


async def test_a_stranger_on_a_public_path_is_no_user(edge: Stage) -> None:
    edge.door.hosts["alice.localhost"] = tenant("alice", public_paths=("/hooks/verify",))
    edge.door.lead("alice", edge.agent_url, user="innkeeper")
    stranger = {"Host": "alice.localhost", "X-Forwarded-User": "mallory"}

    answer = await edge.client.get("/hooks/verify", headers=stranger)

    assert answer.status_code == 200
    assert {"authorization", "x-forwarded-user"}.isdisjoint(headers_seen(answer))


async def test_an_open_tenant_gets_the_clients_own_login_but_never_a_credential_of_ours(edge: Stage) -> None:
    edge.door.hosts["alice.localhost"] = tenant("alice", access=Access.OPEN)
    edge.door.lead("alice", edge.agent_url, authorization=None)
    host = {"Host": "alice.localhost"}

    assert "authorization" not in headers_seen(await edge.client.get("/", headers=host))
    own = headers_seen(await edge.client.get("/", headers={**host, "Authorization": "Bearer mine"}))
    assert own["authorization"] == "Bearer mine"
    for ours in (KEY, OTHER_KEY, "ik_a_admin"):
        seen = headers_seen(await edge.client.get("/", headers={**host, "Authorization": f"Bearer {ours}"}))
        assert "authorization" not in seen


async def test_forged_headers_are_dropped(edge: Stage) -> None:
    forged = {name.replace("*_*", "X_Forwarded_User").replace("*", "Id"): "forged" for name in FORGED}
    forged |= {f"X-Forwarded-{what}": "forged" for what in ("For", "Host", "Proto", "User", "Email", "Method", "Uri")}
    forged |= dict.fromkeys(("x-tenant-id", "X-INNKEEPER-ROLE", "X-Upstream", "X-User", "X-Real-IP"), "forged")
    forged |= dict.fromkeys(("X_Forwarded_User", "x_tenant_id", "Tailscale-User-Login", "Forwarded"), "forged")
    forged |= {"X-OpenClaw-Scopes": "forged"}

    answer = await edge.client.get("/", headers={**ALICE, **forged, "X-Request-Id": "kept", "User-Agent": "kept"})

    assert "forged" not in answer.text
    seen = headers_seen(answer)
    assert seen["x-request-id"] == seen["user-agent"] == "kept"
    assert {name for name in seen if name.startswith("x-forwarded-")} == {
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-user",
    }
    assert seen["x-forwarded-user"] == "k1"


async def test_a_client_on_this_host_goes_by_the_stand_in_address(edge: Stage) -> None:
    seen = headers_seen(await edge.client.get("/", headers=ALICE))

    assert seen["x-forwarded-for"] == STAND_IN_CLIENT
    assert seen["x-forwarded-host"] == seen["host"] == "alice.localhost"
    assert "via" not in seen


async def test_a_client_from_elsewhere_goes_by_its_own_address(edge: Stage) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.200", 9))  # sends nothing: the kernel only chooses our address
        except OSError:
            pytest.skip("this machine has no address but loopback")
        elsewhere = probe.getsockname()[0]
    transport = httpx2.AsyncHTTPTransport(local_address=elsewhere)
    async with httpx2.AsyncClient(transport=transport, base_url=edge.client.base_url, trust_env=False) as client:
        seen = headers_seen(await client.get("/", headers=ALICE))

    assert seen["x-forwarded-for"] == elsewhere


async def test_answers_are_tidied(edge: Stage) -> None:
    answer = await edge.client.get("/", headers=ALICE)

    assert {"server", "via", "x-powered-by"}.isdisjoint(answer.headers)
    assert not [name for name in answer.headers if name.startswith("x-upstream")]
    assert answer.headers.get_list("set-cookie") == ["a=1; Path=/; HttpOnly", "b=2"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"alice.localhost", 200),
        (b"alice.localhost:8080", 200),
        (b"alice.localhost.", 200),
        (b"alice.localhost.:8080", 200),
        (b"ALICE.LocalHost", 200),
        (b"nobody.localhost", 404),
        (b"localhost", 404),
        (b"alice", 404),
        (b"x.alice.localhost", 404),
        (b"alice.localhost.evil.com", 404),
        (b"alice.localhost..", 404),
        (b"127.0.0.1", 404),
        (b"[::1]:8080", 404),
        (b"[::1]", 404),
        (b"alice.localhost:", 200),
        (b"alice.localhost:x", 404),
        (b"", 400),
        (b"alice.localhost@evil.com", 400),
    ],
)
async def test_odd_hosts(edge: Stage, host: bytes, status: int) -> None:
    request = b"GET / HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\n\r\n" % (host, KEY.encode())

    found, answer = await raw(("127.0.0.1", edge.port), request)

    assert found == status
    assert edge.agent.requests == (status == 200)
    if status == 404:
        assert b'"unknown_tenant"' in answer
        assert b"application/problem+json" in answer


async def test_no_host_at_all(edge: Stage) -> None:
    status, answer = await raw(("127.0.0.1", edge.port), b"GET / HTTP/1.1\r\nHost:\r\n\r\n")
    assert status == 400
    assert b'"invalid_request"' in answer
    assert (await raw(("127.0.0.1", edge.port), b"GET / HTTP/1.0\r\n\r\n"))[0] == 404
    assert (await raw(("127.0.0.1", edge.port), b"GET / HTTP/1.1\r\n\r\n"))[0] == 400


async def test_the_url_of_an_absolute_request_is_its_host(edge: Stage) -> None:
    request = b"GET http://nobody.localhost/ HTTP/1.1\r\nHost: alice.localhost\r\nAuthorization: Bearer %b\r\n\r\n"

    assert (await raw(("127.0.0.1", edge.port), request % KEY.encode()))[0] == 404


async def test_without_a_valid_key_the_tenant_hears_nothing(edge: Stage) -> None:
    host = {"Host": "alice.localhost"}
    for headers in (host, {**host, "Authorization": "Bearer wrong"}, {**host, "Authorization": f"Basic {KEY}"}):
        answer = await edge.client.post("/", headers=headers, content=b"x" * 100_000)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "unauthenticated"
        assert "innkeeper key create alice" in answer.json()["hint"]
    assert edge.agent.requests == 0
    assert edge.door.touches == []


async def test_the_key_of_another_tenant_is_forbidden(edge: Stage) -> None:
    answer = await edge.client.get("/", headers={"Host": "alice.localhost", "Authorization": f"Bearer {OTHER_KEY}"})

    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"
    assert "bob" not in answer.text
    assert edge.agent.requests == 0


async def test_a_browser_gets_a_page(edge: Stage) -> None:
    answer = await edge.client.get("/", headers={"Host": "alice.localhost", "Accept": "text/html,*/*;q=0.8"})

    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1>" in answer.text


async def test_events_come_as_they_are_sent(edge: Stage) -> None:
    async with edge.client.stream("GET", "/events", headers=ALICE) as answer:
        pieces = answer.aiter_text()
        assert await anext(pieces) == "data: one\n\n"  # the agent hasn't sent the second yet: it waits for us
        edge.agent.go_on.set()
        assert await anext(pieces) == "data: two\n\n"


async def test_the_agent_notices_a_client_that_leaves(edge: Stage) -> None:
    asking = asyncio.create_task(edge.client.post("/forever", headers=ALICE))
    await edge.agent.arrived.wait()
    asking.cancel()

    await edge.agent.left.wait()


async def test_websockets(edge: Stage) -> None:
    async with echoing() as (url, handshakes):
        edge.door.lead("alice", url)
        where = f"ws://alice.localhost:{edge.port}/socket"
        async with connect(where, host="127.0.0.1", additional_headers=BEARER, proxy=None) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
            await ws.send(b"\0" * 200_000)
            assert await ws.recv() == b"\0" * 200_000
        assert handshakes[0]["authorization"] == f"Bearer {AGENT_TOKEN}"

        with pytest.raises(InvalidStatus) as refused:
            await connect(where, host="127.0.0.1", proxy=None)
        assert refused.value.response.status_code == 401
        assert len(handshakes) == 1


async def test_a_large_upload_passes_whole_and_the_gate_sees_none_of_it(edge: Stage) -> None:
    asked = bytearray()

    taken: list[asyncio.StreamWriter] = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)
        while piece := await reader.read(65536):
            asked.extend(piece)
            writer.write(passage(edge.door.upstreams["alice"]))

    await edge.gate.close()
    (edge.run / "gate.sock").unlink()
    block, blocks = bytes(range(256)) * 4096, 100

    async def body() -> AsyncIterator[bytes]:
        for piece in repeat(block, blocks):
            yield piece

    async with await asyncio.start_unix_server(record, edge.run / "gate.sock"):
        answer = await edge.client.post("/a%20b?c=d", headers={**ALICE, "Cookie": "a=1"}, content=body())
    for writer in taken:  # else Caddy asks the next test's gate on them
        writer.close()

    expected = hashlib.sha256()
    for piece in repeat(block, blocks):
        expected.update(piece)
    assert answer.json()["length"] == 100 * 1024 * 1024
    assert answer.json()["sha256"] == expected.hexdigest()
    assert asked.count(b"GET /gate?c=d HTTP/1.1\r\n") == 1
    told = dict(line.split(b": ", 1) for line in bytes(asked).split(b"\r\n")[1:] if line)
    request = {b"X-Forwarded-Host", b"X-Forwarded-Method", b"X-Forwarded-Uri", b"X-Forwarded-Destination"}
    request |= {b"X-Forwarded-Client", b"X-Forwarded-Site"}
    assert told.keys() == {b"Host", b"User-Agent", b"Authorization", b"Accept", b"Cookie", b"Origin", *request}
    assert (told[b"X-Forwarded-Method"], told[b"X-Forwarded-Uri"]) == (b"POST", b"/a%20b?c=d")


async def test_a_request_is_held_until_the_tenant_is_ready(edge: Stage) -> None:
    upstream = edge.door.upstreams.pop("alice")
    held = [asyncio.create_task(edge.client.post("/", headers=ALICE, content=b"hello")) for _ in range(3)]
    while edge.door.waiting < 3:
        await asyncio.wait(held, timeout=0.01, return_when=asyncio.FIRST_COMPLETED)
        assert not any(task.done() for task in held)

    edge.door.upstreams["alice"] = upstream
    edge.door.opened.set()

    for answer in await asyncio.gather(*held):
        assert answer.status_code == 200
        assert answer.json()["length"] == 5
    assert edge.outcomes == [Outcome.HELD] * 3


async def test_at_the_deadline_the_client_is_told_when_to_come_back(edge: Stage) -> None:
    edge.door.upstreams.clear()
    edge.door.deadline = 0.05

    answer = await edge.client.get("/", headers=ALICE)
    page = await edge.client.post("/", headers={**ALICE, "Accept": "text/html"})

    assert answer.status_code == page.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "tenant_not_ready"
    assert 'http-equiv="refresh"' in page.text


async def test_who_opens_a_sleepers_page_is_shown_another_meanwhile(edge: Stage) -> None:
    upstream = edge.door.upstreams.pop("alice")
    opening = {**ALICE, "Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Dest": "document", "X-Forwarded-Destination": "x"}

    page = await edge.client.get("/deep?x=1", headers=opening)
    assert page.status_code == 503
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert int(page.headers["retry-after"]) > 0
    assert "server" not in page.headers
    assert 'http-equiv="refresh"' in page.text
    assert (edge.door.woken, edge.door.touches) == (["alice"], ["alice"])

    for method in ("GET", "POST", "HEAD"):
        told = await edge.client.request(method, "/.innkeeper/waking", headers=ALICE)
        assert (told.status_code, told.headers["content-type"]) == (200, "application/json")
    assert (await edge.client.get("/.innkeeper/waking", headers={"Host": "alice.localhost"})).status_code == 401
    assert edge.door.touches == ["alice"]

    edge.door.upstreams["alice"] = upstream
    assert (await edge.client.get("/.innkeeper/waking", headers=ALICE)).json()["state"] == "starting"
    assert edge.agent.requests == 0
    assert (await edge.client.get("/deep?x=1", headers=opening)).json()["path"] == "/deep"


@pytest.mark.parametrize("header", [{"Sec-Fetch-Dest": "empty"}, {"Connection": "Upgrade", "Upgrade": "websocket"}])
async def test_a_script_and_a_socket_are_held_whatever_they_accept(edge: Stage, header: dict[str, str]) -> None:
    edge.door.upstreams.clear()
    edge.door.deadline = 0.05

    answer = await edge.client.get("/", headers={**ALICE, "Accept": "text/html", **header})

    assert answer.status_code == 503
    assert edge.door.most_waiting == 1
    assert edge.door.woken == []


async def test_a_tenant_that_has_just_gone_away(edge: Stage) -> None:
    edge.door.lead("alice", "127.0.0.1:1")

    answer = await edge.client.post("/", headers=ALICE, content=b"hello")

    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["code"] == "tenant_unreachable"
    assert {"server", "via"}.isdisjoint(answer.headers)


async def test_endless_headers_are_refused(edge: Stage) -> None:
    request = b"GET / HTTP/1.1\r\nHost: alice.localhost\r\nX-Long: %b\r\n\r\n" % (b"x" * 100_000)

    assert (await raw(("127.0.0.1", edge.port), request))[0] == 431
    assert edge.agent.requests == 0


async def test_caddys_log_holds_no_secret(edge: Stage) -> None:
    async def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nX-Answer: canary\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(break_off, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        edge.door.lead("alice", f"127.0.0.1:{port}")
        with pytest.raises(httpx2.RemoteProtocolError):
            await edge.client.get("/?token=canary", headers={**ALICE, "X-Secret": "canary", "Cookie": "canary"})

    lines = (edge.run / "caddy.log").read_text()
    assert "aborting with incomplete response" in lines
    for secret in ("canary", KEY, AGENT_TOKEN):
        assert secret not in lines


@pytest.mark.parametrize("asked", ["h2c", "h2c, websocket", "something"])
async def test_nobody_leaves_http_but_for_a_websocket(edge: Stage, asked: str) -> None:
    """Whoever came by a public path would otherwise talk to the agent behind the gate's back from then on."""
    heads: list[bytes] = []

    async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).lower())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    edge.door.hosts["alice.localhost"] = tenant("alice", public_paths=("/open",))
    async with await asyncio.start_server(switch, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        edge.door.lead("alice", f"{host}:{port}")
        lines = f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {asked}\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"
        request = f"GET /open HTTP/1.1\r\nHost: alice.localhost\r\n{lines}\r\n\r\n"
        assert (await raw(("127.0.0.1", edge.port), request.encode()))[0] == 200
    assert len(heads) == 1
    assert b"upgrade" not in heads[0]


async def test_a_client_cant_have_the_gates_own_headers_dropped(edge: Stage) -> None:
    """A proxy drops what `Connection` names (RFC 9110, 7.6.1)."""
    edge.door.lead("alice", edge.agent_url, user="innkeeper")
    named = {"Connection": "keep-alive, X-Forwarded-User, Authorization, X-Forwarded-For, Cookie"}

    seen = headers_seen(await edge.client.get("/", headers={**ALICE, **named, "Cookie": "a=1"}))

    assert seen["x-forwarded-user"] == "k1"
    assert seen["authorization"] == f"Bearer {AGENT_TOKEN}"
    assert (seen["cookie"], "x-forwarded-for" in seen) == ("a=1", True)


async def test_a_tenant_sets_no_cookie_for_its_neighbours_however_it_writes_that(edge: Stage) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        cookies = b"Set-Cookie: a=1; Domain =localhost; Path=/\r\nSet-Cookie: b=1;\tdOmain\t= .localhost\r\n"
        clear = b'Clear-Site-Data: "cookies"\r\n'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n" + cookies + clear + b"\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        edge.door.lead("alice", f"{host}:{port}")
        got = await edge.client.get("/", headers=ALICE)
    assert [each.lower().find("domain") for each in got.headers.get_list("set-cookie")] == [-1, -1]
    assert "clear-site-data" not in got.headers, "the browser would sign them out of the console and of all others'"
