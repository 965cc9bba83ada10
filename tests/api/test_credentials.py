"""Credentials as they shouldn't be, over a real socket: each is nobody's, whatever else the request says of itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from innkeeper.api.console_session import COOKIE
from innkeeper.core.access import ALL_SCOPES, Role, TenantRole, new_secret
from innkeeper.core.signing_in import Visitor
from tests.api.bench import Bench, opened
from tests.api.judge import CODES
from tests.api.people import PASSWORD, person, token_of
from tests.support.serving import serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

Answer = tuple[int, str]


@dataclass(frozen=True, kw_only=True)
class Counter:
    """The API on its port, and what opens it."""

    bench: Bench
    port: int
    token: str
    """Of an admin's."""
    cookie: str
    """Of ann's, who is nothing but alice's owner."""

    async def ask(self, *lines: bytes, path: str = "/v1/me", method: str = "GET") -> tuple[int, dict[str, Any]]:
        """Exactly these header lines; the status, and the document that says more."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            head = [f"{method} {path} HTTP/1.1".encode(), b"Host: inn", b"Connection: close", *lines, b"", b""]
            writer.write(b"\r\n".join(head))
            raw = await reader.read()
        finally:
            writer.close()
        top, _, body = raw.partition(b"\r\n\r\n")
        return int(top.split()[1]), json.loads(body) if b"json" in top else {}

    async def code(self, *lines: bytes, path: str = "/v1/me") -> Answer:
        """The same of a refusal: its documented code, or nothing where the request never got as far as to us."""
        status, document = await self.ask(*lines, path=path)
        code = document.get("code", "")
        assert not code or code in CODES
        return status, code

    @property
    def bearer(self) -> bytes:
        """The header that is right."""
        return f"Authorization: Bearer {self.token}".encode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def counter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Counter]:
    """One for all of this: nothing here may change it."""
    async with _counter(tmp_path_factory.mktemp("data")) as made:
        yield made


@asynccontextmanager
async def _counter(data: Path) -> AsyncIterator[Counter]:
    async with opened(data) as bench, serving(bench.app) as url:
        await bench.tenant()
        root = await person(bench, "root", role=Role.ADMIN)
        await person(bench, "ann", tenants={"alice": TenantRole.OWNER})
        visitor = Visitor(address=None, browser="")
        _, cookie = await bench.inn.people.signing_in.with_password("ann@example.com", PASSWORD, visitor=visitor)
        port = int(url.rpartition(":")[2])
        yield Counter(bench=bench, port=port, token=await token_of(bench, root, scopes=ALL_SCOPES), cookie=cookie)


NOBODYS: Answer = (401, "unauthenticated")
MALFORMED: Answer = (400, "")
"""The server under the API reads no such header, and answers itself."""


async def test_the_right_one_is_somebodys(counter: Counter) -> None:
    status, me = await counter.ask(counter.bearer)
    assert (status, me["role"]) == (200, "admin")
    assert (await counter.ask(b"authorization: bearer " + counter.token.encode()))[0] == 200


@pytest.mark.parametrize(
    ("spoilt", "answer"),
    [
        ("Bearer {token:.20}", NOBODYS),
        ("Bearer {token}=", NOBODYS),
        ("Bearer {token}\0", MALFORMED),
        ("Bearer {token}\x7f", NOBODYS),
        ("Bearer {token}\n", None),  # some servers end a line so, and others refuse to
        ("Bearer {token}\nAuthorization: Bearer x", NOBODYS),
        ("Bearer {upper}", NOBODYS),
        ("Bearer '{token}'", NOBODYS),
        ("Bearer Bearer {token}", NOBODYS),
        ("Bearer {token}, Bearer {token}", NOBODYS),
        ("Bearer {token} {token}", NOBODYS),
        ("Bearer\t{token}", NOBODYS),
        ("Bearer {token}%00", NOBODYS),
        ("Basic {token}", NOBODYS),
        ("{token}", NOBODYS),
        ("Bearer", NOBODYS),
        ("Bearer " + "x" * 50_000, NOBODYS),
        ("Bearer ik_t_", NOBODYS),
        ("Bearer a.b.c", NOBODYS),
        ("Bearer \xe9", NOBODYS),
    ],
)
async def test_a_spoilt_one_is_nobodys(counter: Counter, spoilt: str, answer: Answer | None) -> None:
    line = spoilt.format(token=counter.token, upper=counter.token.upper())
    found = await counter.code(b"Authorization: " + line.encode("latin-1"))
    assert found == answer or (answer is None and found[0] in (200, 400)), line[:80]


@pytest.mark.parametrize("kind", ["a", "t", "k", "s"])
async def test_one_of_another_installation_is_nobodys(counter: Counter, kind: str) -> None:
    assert await counter.code(f"Authorization: Bearer {new_secret(kind)}".encode()) == NOBODYS


@pytest.mark.parametrize("name", ["access_token", "token", "api_key", "key", "authorization", "x-auth-token"])
async def test_one_in_the_query_is_none(counter: Counter, name: str) -> None:
    assert await counter.code(path=f"/v1/me?{name}={counter.token}") == NOBODYS
    assert await counter.code(path=f"/v1/me?{name}=Bearer%20{counter.token}") == NOBODYS


@pytest.mark.parametrize("header", ["X-Auth-Token", "X-Api-Key", "Proxy-Authorization", "X-Authorization", "Cookie"])
async def test_one_in_another_header_is_none(counter: Counter, header: str) -> None:
    for value in (counter.token, f"Bearer {counter.token}", f"{COOKIE}={counter.token}"):
        assert await counter.code(f"{header}: {value}".encode()) == NOBODYS


async def test_two_are_none(counter: Counter) -> None:
    other = f"Authorization: Bearer {new_secret('t')}".encode()
    for pair in ((counter.bearer, other), (other, counter.bearer), (counter.bearer, counter.bearer)):
        assert await counter.code(*pair) == NOBODYS


async def test_a_bearer_goes_before_a_cookie_and_never_falls_back_to_it(counter: Counter) -> None:
    cookie = f"Cookie: {COOKIE}={counter.cookie}".encode()
    assert (await counter.ask(cookie))[1]["name"] == "ann@example.com"
    assert (await counter.ask(cookie, counter.bearer))[1]["role"] == "admin"
    assert await counter.code(cookie, b"Authorization: Bearer wrong") == NOBODYS
    basic = b"Authorization: Basic YTpi"  # is for a proxy in front, which may ask for a password of its own
    assert (await counter.ask(cookie, basic))[1]["name"] == "ann@example.com"


@pytest.mark.parametrize("spoilt", ["{cookie:.20}", "{cookie}x", '"{cookie}', "{upper}", "", "x", "x" * 50_000])
async def test_a_spoilt_cookie_is_nobodys(counter: Counter, spoilt: str) -> None:
    value = spoilt.format(cookie=counter.cookie, upper=counter.cookie.upper())
    assert await counter.code(f"Cookie: {COOKIE}={value}".encode()) == NOBODYS


async def test_two_cookies_of_that_name_are_none(counter: Counter) -> None:
    mine = f"{COOKIE}={counter.cookie}"
    for line in (f"Cookie: {mine}; {COOKIE}=x", f"Cookie: {COOKIE}=x; {mine}", f"Cookie: {mine}\r\nCookie: {COOKIE}=x"):
        assert await counter.code(line.encode()) == NOBODYS


FORGED = {
    "X-Tenant-ID": "bob",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Host": "console.localhost",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-User": "root@example.com",
    "X-Real-IP": "203.0.113.9",
    "Forwarded": "for=203.0.113.9",
    "X-Upstream": "127.0.0.1:1",
    "X-Upstream-Authorization": "Bearer x",
    "X-Innkeeper-Client": "203.0.113.9",
    "X-Innkeeper-Role": "admin",
    "X-HTTP-Method-Override": "DELETE",
    "X-Original-URL": "/v1/users",
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_header_makes_nobody_somebody(counter: Counter, name: str) -> None:
    forged = f"{name}: {FORGED[name]}".encode()
    assert await counter.code(forged) == NOBODYS
    assert await counter.code(forged, b"Authorization: Bearer x") == NOBODYS
    assert (await counter.ask(forged, counter.bearer))[1]["id"] == (await counter.ask(counter.bearer))[1]["id"]


async def test_the_trail_names_the_peer_whatever_it_says_of_itself(counter: Counter) -> None:
    forged = [f"{name}: {value}".encode() for name, value in FORGED.items()]
    status, _ = await counter.ask(counter.bearer, *forged, path="/v1/tenants/alice/keys", method="POST")
    assert status == 201
    _, trail = await counter.ask(counter.bearer, path="/v1/audit?limit=500")
    last = trail["items"][-1]
    assert (last["action"], last["tenant"], last["address"]) == ("key.create", "alice", "127.0.0.1")
    assert "203.0.113.9" not in str(trail)
