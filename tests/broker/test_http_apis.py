"""Plain HTTP APIs: the key is put on, the agent's own credentials stay here, and the answer comes back truthfully."""

from __future__ import annotations

import asyncio
import gzip
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from innkeeper.broker.exchange import BODY_LIMIT
from innkeeper.broker.metering import Tokens, Total
from innkeeper.core.redaction import redact
from innkeeper.core.uses_reading import provider_of
from tests.broker.house import ALICE, BOB, HERE, TOKENS, House, caller, house_with, providers_with, until
from tests.support.fake_provider import FakeProvider, Hanging, Reply, fake_provider, redirects, refuses, says
from tests.support.secrets import NamedSecrets
from tests.support.serving import free_port, listening

SECRET, SPARE = "weather-key-0123456789", "weather-spare-0123456789"
ALICES = TOKENS["id-alice"]


@asynccontextmanager
async def api_house(url: str, *, secret: str = SECRET, spare: str = SPARE, **spec: Any) -> AsyncIterator[House]:
    """The platform has the API `weather`."""
    secrets = NamedSecrets()
    secrets.put("WEATHER", secret)
    secrets.put("SPARE", spare)
    said = {"kind": "http", "base_url": f"{url}/api", "keys": ["${secret:WEATHER}"], **spec}
    async with (
        providers_with(secrets) as providers,
        house_with(providers=providers, apis={"weather": provider_of(said, "p")}) as house,
    ):
        yield house


@pytest.mark.parametrize(
    ("inject", "secret", "headers", "query"),
    [
        ("bearer", SECRET, {"authorization": f"Bearer {SECRET}"}, b"q=Oslo"),
        ("basic", f"me:{SECRET}", {"authorization": "Basic " + b64encode(f"me:{SECRET}".encode()).decode()}, b"q=Oslo"),
        ("header:X-Weather-Key", SECRET, {"x-weather-key": SECRET}, b"q=Oslo"),
        ("header:x-api-key", SECRET, {"x-api-key": SECRET}, b"q=Oslo"),
        ("query:appid", "a key&more=1", {}, b"q=Oslo&appid=a%20key%26more%3D1"),
    ],
)
async def test_the_key_goes_where_the_api_wants_it(
    provider: tuple[FakeProvider, str], inject: str, secret: str, headers: Mapping[str, str], query: bytes
) -> None:
    fake, url = provider
    fake.script = says(b'{"ok":true}', content_type="application/json")
    async with api_house(url, secret=secret, inject=inject) as house:
        answer = await house.client().get("/http/weather/v1/now?q=Oslo", headers={"accept": "text/x", "x-own": "1"})
        assert (answer.status_code, answer.json()) == (200, {"ok": True})
        assert house.meter.total("alice") == Total(calls=1, tokens=Tokens())
    (asked,) = fake.asked
    assert (asked.method, asked.path, asked.query) == ("GET", "/api/v1/now", query)
    assert asked.headers["host"] == url.removeprefix("http://")
    assert asked.headers["accept"] == "text/x"
    assert asked.headers["x-own"] == "1"
    for name in ("authorization", "x-api-key", "x-weather-key"):
        assert asked.headers.get(name) == headers.get(name)
    assert ALICES not in str(asked.headers)


async def test_a_password_is_hidden_though_the_vault_knows_it_as_a_part_of_something_longer(
    provider: tuple[FakeProvider, str],
) -> None:
    fake, url = provider
    fake.script = says(b"{}", content_type="application/json")
    async with api_house(url, secret="someone-there:a-password-alone", inject="basic") as house:
        await house.client().get("/http/weather/v1/now")
    assert redact("someone-there said a-password-alone") == "someone-there said …"


async def test_an_owners_password_blots_no_ordinary_word_out_of_logs(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    fake.script = says(b"{}", content_type="application/json")
    secrets = NamedSecrets()
    secrets.put("MINE", "someone-there:refreshed", tenant="alice")
    own = {"kind": "http", "base_url": f"{url}/api", "keys": ["${secret:MINE}"], "inject": "basic"}
    async with providers_with(secrets) as providers, house_with(providers=providers) as house:
        house.guests.at[ALICE] = caller("alice", providers={"mine": own})
        assert (await house.client().get("/http/mine/v1/now")).status_code == 200
    assert redact("a token was refreshed") == "a token was refreshed"


async def test_nothing_of_the_agents_own_goes_along(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    fake.script = says(b"{}", content_type="application/json")
    headers = {
        "authorization": f"Bearer {ALICES}",
        "x-api-key": ALICES,
        "x-copy": f"it is {ALICES}",
        "cookie": "a=b",
        "connection": "x-hop",
        "x-hop": "1",
        "x-forwarded-for": "10.0.0.1",
        "forwarded": "for=10.0.0.1",
        "te": "trailers",
        "X_Weather-Key": "mine",
        "accept-encoding": "gzip",
    }
    async with api_house(url, inject="header:X-Weather-Key") as house:
        client = house.client(headers={})
        await client.get("/http/weather/now", headers=headers)
        await client.get("/http/weather/now?appid=1&X-Weather-Key=2", headers=headers)
    for asked in fake.asked:
        assert asked.headers["x-weather-key"] == SECRET
        assert asked.headers["accept-encoding"] == "identity"
        left = {"host", "accept", "user-agent", "accept-encoding", "x-weather-key", "connection"}
        assert set(asked.headers) <= left
        assert asked.headers.get("connection", "keep-alive") == "keep-alive"


async def test_the_agent_cant_set_the_parameter_of_the_key(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    fake.script = says(b"{}", content_type="application/json")
    async with api_house(url, inject="query:appid") as house:
        await house.client().get("/http/weather/now?appid=mine&a=1&%61ppid=mine&APPID&b=%20+&c")
    assert fake.asked[0].query == b"a=1&b=%20+&c&appid=" + SECRET.encode()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_bodies_pass(provider: tuple[FakeProvider, str], method: str) -> None:
    fake, url = provider
    fake.script = refuses(201, b"made", content_type="text/plain", etag='"1"')
    async with api_house(url) as house:
        answer = await house.client().request(method, "/http/weather/places", json={"name": "Oslo"})
        assert (answer.status_code, answer.text, answer.headers["etag"]) == (201, "made", '"1"')
        large = await house.client().post("/http/weather/places", content=b" " * (BODY_LIMIT + 1))
        assert large.status_code == 413
    (asked,) = fake.asked
    assert (asked.method, asked.body, asked.headers["content-type"]) == (method, {"name": "Oslo"}, "application/json")


# --- paths and methods ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../admin",
        "/v1/./now",
        "/v1/%2e%2e/admin",
        "/v1/%2E./admin",
        "/v1/..",
        "/v1/..;/admin",
        "/v1/..;x=1/admin",
        "/v1/%2fadmin",
        "/v1/..%2fadmin",
        "/v1/..%5cadmin",
        "/v1/a\\b",
        "/v1/%5c",
        "/v1/%252e%252e/admin",
        "/v1/%25%32%65",
        "/v1/%00",
        "/v1/%0d%0aX:1",
        "/v1/%ff",
        "/v2/now",
        "/V1/now",
        "/v1",
        "",
        "//v1/now",
        "/admin?x=/v1/",
    ],
)
async def test_paths_out_of_bounds(provider: tuple[FakeProvider, str], path: str) -> None:
    fake, url = provider
    async with api_house(url, paths=["/v1/*", "exactly"]) as house:
        # By hand: a client would tidy the path up.
        host, port = house.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), local_addr=(ALICE, 0))
        head = f"GET /http/weather{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICES}\r\n\r\n"
        writer.write(head.encode())
        status = await reader.readline()
        writer.close()
    assert b" 403 " in status
    assert fake.asked == []


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/v1/now", "/api/v1/now"),
        ("/exactly", "/api/exactly"),
        ("/v1/a%20b%3Fc%23d", "/api/v1/a b?c#d"),
        ("/v1/ż", "/api/v1/ż"),
        ("/v1/a:b@c;d=1,2", "/api/v1/a:b@c;d=1,2"),
        ("/v1/...", "/api/v1/..."),
        ("/v1/100%25", "/api/v1/100%"),
        ("/v1//now/", "/api/v1//now/"),
    ],
)
async def test_paths_within_bounds_arrive_as_they_were(
    provider: tuple[FakeProvider, str], path: str, sent: str
) -> None:
    fake, url = provider
    fake.script = says(b"{}", content_type="application/json")
    async with api_house(url, paths=["/v1/*", "exactly"]) as house:
        assert (await house.client().get(f"/http/weather{path}")).status_code == 200
    assert (fake.asked[0].path, fake.asked[0].query) == (sent, b"")


async def test_methods(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    fake.script = says(content_type="application/json")
    async with api_house(url, methods=["get", "HEAD"]) as house:
        client = house.client()
        statuses = [
            (await client.request(method, "/http/weather/x")).status_code for method in ("GET", "HEAD", "POST", "TRACE")
        ]
    assert statuses == [200, 200, 403, 403]
    assert [asked.method for asked in fake.asked] == ["GET", "HEAD"]


@pytest.mark.parametrize("path", ["/http/nobody/x", "/http/", "/http//x", "/http/we%61ther/x", "/http/weather%2f/x"])
async def test_unknown_apis(provider: tuple[FakeProvider, str], path: str) -> None:
    async with api_house(provider[1]) as house:
        answer = await house.client().get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_provider")
        assert (await house.client(headers={}).get(path)).status_code == 401


async def test_the_agents_token_never_leaves_in_a_url(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    async with api_house(url) as house:
        client = house.client()
        for target in (f"?key={ALICES}", f"/{ALICES}", f"?key={ALICES[:-1]}%65"):
            assert (await client.get(f"/http/weather/x{target}")).status_code == 400
        for target in (f"?token={ALICES}", f"?api_key={ALICES}", f"?access_token={ALICES}"):
            assert (await house.client(headers={}).get(f"/http/weather/x{target}")).status_code == 401
            assert (await house.client(headers={}).get(f"/v1/models{target}")).status_code == 401
    assert fake.asked == []


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_answers_pass_as_they_are_but_for_cookies_and_keys(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    fake.script = refuses(
        418,
        f"<html>You sent {SECRET}".encode(),
        content_type="text/html",
        set_cookie="a=b",
        x_echo=f"key={SECRET}",
        x_ratelimit="9",
        connection="x-private",
        x_private="1",
    )
    async with api_house(url) as house:
        answer = await house.client().get("/http/weather/x")
        assert house.meter.total("alice").calls == 0
    assert (answer.status_code, answer.text) == (418, f"<html>You sent {'*' * len(SECRET)}")
    assert answer.headers["x-echo"] == f"key={'*' * len(SECRET)}"
    assert (answer.headers["x-ratelimit"], answer.headers["content-type"]) == ("9", "text/html")
    assert not {"set-cookie", "x-private"} & set(answer.headers)


@pytest.mark.parametrize("inject", ["basic", "query:key"])
async def test_no_form_of_the_key_comes_back(provider: tuple[FakeProvider, str], inject: str) -> None:
    fake, url = provider
    secret = "user-of-it:pass word-of-it"

    async def echoes(reply: Reply) -> None:
        await reply.start(content_type="text/plain")
        said = reply.asked.headers.get("authorization", "") + reply.asked.query.decode() + secret + "pass word-of-it"
        await reply.end(said.encode())

    fake.script = echoes
    async with api_house(url, inject=inject, secret=secret) as house:
        text = (await house.client().get("/http/weather/x")).text
    for form in (secret, b64encode(secret.encode()).decode(), "user-of-it%3Apass%20word-of-it"):
        assert form not in text
    assert inject != "basic" or "word-of-it" not in text


async def test_compressed_answers_arrive_readable(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    packed = gzip.compress(b"plain " + SECRET.encode())
    length = str(len(packed))
    fake.script = says(packed, content_type="text/plain", content_encoding="gzip", content_length=length)
    async with api_house(url) as house:
        answer = await house.client().get("/http/weather/x")
    assert answer.text == "plain " + "*" * len(SECRET)
    assert "content-encoding" not in answer.headers


async def test_a_large_answer_streams_through(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    fake.script = says(*[b"x" * 2**20] * 100, content_type="application/octet-stream")
    async with api_house(url) as house:
        length = 0
        async with house.client().stream("GET", "/http/weather/x") as answer:
            async for chunk in answer.aiter_raw():
                length += len(chunk)
    assert length == 100 * 2**20


@pytest.mark.parametrize(
    ("location", "seen"),
    [
        ("/api/v2/now?a=1", "/http/weather/v2/now?a=1"),
        ("now", "/http/weather/v1/now"),
        ("{url}/api/x", "/http/weather/x"),
        ("/elsewhere", None),
        ("/apix", None),
        ("http://169.254.169.254/latest/meta-data", None),
        ("http://10.0.0.7/", None),
        ("https://other.example/api/x", None),
        ("//other.example/api/x", None),
        ("/api/Trømsø 中?q=中", "/http/weather/Tr%C3%B8ms%C3%B8%20%E4%B8%AD?q=%E4%B8%AD"),
        ("/api/%e4%20?q=%2F", "/http/weather/%e4%20?q=%2F"),
        ("http://{host}:1/api/x", None),
        ("http://[::1/", None),
        ("http://a:b/", None),
    ],
)
async def test_redirects_are_not_followed_and_lead_nowhere_else(
    provider: tuple[FakeProvider, str], location: str, seen: str | None
) -> None:
    fake, url = provider
    fake.script = redirects(location.format(url=url, host=HERE))
    async with api_house(url) as house:
        answer = await house.client().get("/http/weather/v1/then")
    assert (answer.status_code, answer.headers.get("location")) == (307, seen)
    assert len(fake.asked) == 1


async def test_an_answer_that_breaks_is_broken_for_the_agent(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    fake.script = says(b"half", content_type="text/plain", breaks=True)
    async with api_house(url) as house:
        with pytest.raises(httpx2.RemoteProtocolError):
            await house.client().get("/http/weather/x")
        await until(lambda: not house.broker.in_flight("alice"))


@pytest.mark.parametrize("status", [101, 199, 600, 999])
async def test_a_status_that_is_none_is_a_fault(status: int) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d Well\r\ncontent-length: 0\r\n\r\n" % status)

    async with listening(answers) as port, api_house(f"http://{HERE}:{port}") as house:
        answer = await house.client().get("/http/weather/x")
    assert answer.status_code == 502


async def test_an_api_that_is_down() -> None:
    async with api_house(f"http://127.0.0.1:{free_port()}") as house:
        answer = await house.client().get("/http/weather/x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_unreachable")


async def test_an_agent_that_leaves_ends_the_call(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    fake.script = hanging = Hanging()
    async with api_house(url) as house:
        call = asyncio.create_task(house.client().get("/http/weather/x"))
        await hanging.began.wait()
        assert house.broker.in_flight("alice") == 1
        call.cancel()
        await hanging.abandoned.wait()
        await until(lambda: not house.broker.in_flight("alice"))


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 429])
async def test_another_key_is_tried_with_the_same_body(provider: tuple[FakeProvider, str], status: int) -> None:
    fake, url = provider

    async def picky(reply: Reply) -> None:
        first = reply.asked.headers["authorization"] == f"Bearer {SECRET}"
        await refuses(status if first else 200, f"{SECRET} {SPARE}".encode(), content_type="text/plain")(reply)

    fake.script = picky
    async with api_house(url, keys=["${secret:WEATHER}", "${secret:SPARE}"]) as house:
        answer = await house.client().post("/http/weather/x", json={"a": 1})
    assert (answer.status_code, set(answer.text)) == (200, {"*", " "})
    assert [asked.body for asked in fake.asked] == [{"a": 1}] * 2


@pytest.mark.parametrize(("status", "tries"), [(429, 2), (500, 1), (503, 1), (400, 1)])
async def test_what_may_have_been_done_is_not_done_again(
    provider: tuple[FakeProvider, str], status: int, tries: int
) -> None:
    fake, url = provider
    fake.script = refuses(status, b"no", content_type="text/plain", retry_after="9")
    async with api_house(url, keys=["${secret:WEATHER}", "${secret:SPARE}"]) as house:
        answer = await house.client().post("/http/weather/x", json={})
    assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (status, "no", "9")
    assert len(fake.asked) == tries


async def test_a_key_that_cant_be_had() -> None:
    async with api_house("http://127.0.0.1:1", keys=["${secret:LOST}"]) as house:
        answer = await house.client().get("/http/weather/x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "key_unavailable")


@pytest.mark.parametrize("secret", ["with\nnewline", "schlüssel", "nul\x00", "", " "])
async def test_a_key_that_cant_be_sent(provider: tuple[FakeProvider, str], secret: str) -> None:
    async with api_house(provider[1], secret=secret) as house:
        answer = await house.client().get("/http/weather/x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "key_unavailable")
    assert provider[0].asked == []


# --- tenants' own -----------------------------------------------------------------------------------------------------


async def test_a_tenants_own_api_comes_before_the_platforms_and_is_nobody_elses() -> None:
    secrets = NamedSecrets()
    secrets.put("KEY", "alices-own-0123456789", tenant="alice")
    async with fake_provider() as (theirs, their_url), fake_provider() as (platforms, platform_url):
        theirs.script = platforms.script = says(b"{}", content_type="application/json")
        own = {"kind": "http", "base_url": their_url, "keys": ["${secret:KEY}"]}
        said = {"kind": "http", "base_url": platform_url}
        async with (
            providers_with(secrets) as providers,
            house_with(providers=providers, apis={"weather": provider_of(said, "p")}) as house,
        ):
            house.guests.at[ALICE] = caller("alice", providers={"weather": own, "mine": own})
            for path in ("/http/weather/x", "/http/mine/x"):
                assert (await house.client().get(path)).status_code == 200
            assert (await house.client(BOB).get("/http/weather/x")).status_code == 200
            assert (await house.client(BOB).get("/http/mine/x")).status_code == 404
    assert [asked.headers["authorization"] for asked in theirs.asked] == ["Bearer alices-own-0123456789"] * 2
    assert ["authorization" in asked.headers for asked in platforms.asked] == [False]


async def test_a_tenants_own_api_is_no_way_inside(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    async with (
        providers_with(NamedSecrets(), "elsewhere") as providers,
        house_with(providers=providers) as house,
    ):
        house.guests.at[ALICE] = caller("alice", providers={"inside": {"kind": "http", "base_url": url}})
        answer = await house.client().get("/http/inside/x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "destination_refused")
    assert HERE not in answer.text
    assert fake.asked == []
