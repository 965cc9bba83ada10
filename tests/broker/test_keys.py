"""Keys come from the vault, for each call anew; one that is refused makes way for the next, and rests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest

from innkeeper.broker.http_upstream import retry_after_s
from innkeeper.broker.keys import REST_MAX_S, TRIES_MAX, Keychain, Lookup, Rests
from innkeeper.broker.openai import OpenAI
from innkeeper.broker.problems import KeyUnavailable
from innkeeper.core.tenant import Tenant
from tests.broker.house import ALICE, BOB, CHAT, HERE, House, caller, chat, house_with, providers_with, upstream_to
from tests.support.fake_provider import FakeProvider, Gated, Reply, answers, refuses, says
from tests.support.secrets import NamedSecrets

ONE, TWO = "sk-one-0123456789", "sk-two-0123456789"


class Picky:
    """Answers each key as it is told to, and those it wasn't told about as it should."""

    def __init__(self, **told: Any) -> None:
        self.told = told
        self.keys: list[str] = []

    async def __call__(self, reply: Reply) -> None:
        """The script."""
        key = reply.asked.headers.get("authorization", "").removeprefix("Bearer ")
        self.keys.append(key)
        await self.told.get(key.split("-")[1] if "-" in key else "", answers)(reply)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 529])
@pytest.mark.parametrize("streams", [True, False])
async def test_the_next_key_is_tried(provider: tuple[FakeProvider, str], status: int, streams: bool) -> None:
    fake, url = provider
    fake.script = picky = Picky(one=refuses(status, b'{"error":{}}'))
    async with upstream_to(OpenAI(base_url=url), ONE, TWO) as upstream, house_with(upstream) as house:
        answer = await house.client().post(CHAT, json=chat(stream=streams))
        assert answer.status_code == 200
        assert picky.keys == [ONE, TWO]
        assert house.meter.total("alice").calls == 1


@pytest.mark.parametrize(("status", "rests"), [(401, True), (429, True), (403, False), (500, False)])
async def test_a_key_that_was_refused_rests(provider: tuple[FakeProvider, str], status: int, rests: bool) -> None:
    fake, url = provider
    fake.script = picky = Picky(one=refuses(status, b"{}", retry_after="30"))
    async with upstream_to(OpenAI(base_url=url), ONE, TWO) as upstream, house_with(upstream) as house:
        for _ in range(2):
            await house.client().post(CHAT, json=chat())
    assert picky.keys == ([ONE, TWO, TWO] if rests else [ONE, TWO] * 2)


async def test_the_last_refusal_is_passed_on_and_nobody_is_hammered(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    fake.script = picky = Picky(
        one=refuses(429, b'{"error":{"message":"one"}}', retry_after="50"),
        two=refuses(429, b'{"error":{"message":"two"}}', retry_after="40"),
    )
    async with upstream_to(OpenAI(base_url=url), ONE, TWO) as upstream, house_with(upstream) as house:
        for _ in range(2):
            answer = await house.client().post(CHAT, json=chat())
            assert (answer.status_code, answer.json()) == (429, {"error": {"message": "two"}})
            assert answer.headers["retry-after"] == "40"
    assert picky.keys == [ONE, TWO, TWO]  # all rest: the one that is free first is asked for the truth


async def test_a_call_tries_no_more_than_a_few(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    fake.script = refuses(500, b"{}")
    keys = [f"sk-{number}-0123456789" for number in range(TRIES_MAX + 3)]
    async with upstream_to(OpenAI(base_url=url), *keys) as upstream, house_with(upstream) as house:
        assert (await house.client().post(CHAT, json=chat())).status_code == 500
    assert len(fake.asked) == TRIES_MAX


@pytest.mark.parametrize(
    "script", [says(b"data: {}\n\n", breaks=True), says(b"{", content_type="application/json", breaks=True)]
)
async def test_nothing_is_tried_again_once_it_has_begun(provider: tuple[FakeProvider, str], script: Any) -> None:
    fake, url = provider
    fake.script = script
    async with upstream_to(OpenAI(base_url=url), ONE, TWO) as upstream, house_with(upstream) as house:
        await house.client().post(CHAT, json=chat(stream=True))
    assert len(fake.asked) == 1


async def test_every_key_that_was_used_is_blotted_out(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    fake.script = Picky(
        one=refuses(429, b"{}"), two=says(json.dumps({"echo": [ONE, TWO]}).encode(), content_type="application/json")
    )
    async with upstream_to(OpenAI(base_url=url), ONE, TWO) as upstream, house_with(upstream) as house:
        answer = await house.client().post(CHAT, json=chat())
    assert answer.json() == {"echo": ["*" * len(ONE)] * 2}


async def test_a_stream_isnt_held_back_by_the_keys(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    gated = Gated()
    fake.script = Picky(one=refuses(429, b"{}"), two=gated)
    async with (
        upstream_to(OpenAI(base_url=url), ONE, TWO) as upstream,
        house_with(upstream) as house,
        house.client().stream("POST", CHAT, json=chat(stream=True)) as answer,
    ):
        chunks = answer.aiter_raw()
        assert b"Hello" in await anext(chunks)
        gated.go.set()
        assert [chunk async for chunk in chunks]


# --- where they come from ---------------------------------------------------------------------------------------------


def chain(secrets: NamedSecrets, *references: str, tenant: Tenant | None = None) -> Keychain:
    """Those keys of a provider."""
    return Keychain(references, lookup=Lookup(secrets), rests=Rests(), provider="p", tenant=tenant)


async def values(keychain: Keychain) -> Sequence[str]:
    """All of it."""
    return [key.value async for key in keychain.in_turn()]


async def test_the_platforms_and_the_tenants_vaults_are_apart() -> None:
    secrets, alice = NamedSecrets(), caller("alice").record
    secrets.put("KEY", "platforms")
    secrets.put("KEY", "alices\n", tenant="alice")
    assert await values(chain(secrets, "${secret:KEY}")) == ["platforms"]
    assert await values(chain(secrets, "${secret:KEY}", tenant=alice)) == ["alices"]
    with pytest.raises(KeyUnavailable):
        await values(chain(secrets, "${secret:KEY}", tenant=caller("bob").record))


async def test_the_environment_is_the_operators_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "from-outside")
    assert await values(chain(NamedSecrets(), "${env:SOME_KEY}")) == ["from-outside"]
    with pytest.raises(KeyUnavailable):
        await values(chain(NamedSecrets(), "${env:SOME_KEY}", tenant=caller("alice").record))
    with pytest.raises(KeyUnavailable):
        await values(chain(NamedSecrets(), "${env:NOT_THERE}"))


async def test_a_key_that_isnt_there_makes_way_for_the_next() -> None:
    secrets = NamedSecrets()
    secrets.put("TWO", "two")
    assert await values(chain(secrets, "${secret:ONE}", "${secret:TWO}")) == ["two"]


async def test_a_provider_without_keys_gets_none() -> None:
    assert await values(chain(NamedSecrets())) == [""]


async def test_integrations_lend_their_tokens_to_tenants_alone() -> None:
    async def token(name: str, tenant: Tenant) -> str:
        return f"{name} of {tenant.name}"

    lookup, alice = Lookup(NamedSecrets(), token), caller("alice").record
    assert await lookup.value("${integration:drive}", alice) == "drive of alice"
    with pytest.raises(KeyUnavailable):
        await lookup.value("${integration:drive}", None)
    with pytest.raises(KeyUnavailable):
        await Lookup(NamedSecrets()).value("${integration:drive}", alice)


async def test_a_call_without_a_key_is_refused_without_the_secrets_name(provider: tuple[FakeProvider, str]) -> None:
    own = {"mine": {"kind": "openai", "base_url": provider[1], "keys": ["${secret:LOST}"], "models": ["m"]}}
    async with house_of_own(own) as house:
        answer = await house.client().post(CHAT, json=chat(model="mine/m"))
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "key_unavailable"
    assert "LOST" not in answer.text


@asynccontextmanager
async def house_of_own(
    own: dict[str, Any], secrets: NamedSecrets | None = None, private_host: str = HERE
) -> AsyncIterator[House]:
    """Alice has these of her own, and the platform has none."""
    async with (
        providers_with(secrets or NamedSecrets(), private_host) as providers,
        house_with(providers=providers) as house,
    ):
        house.guests.at[ALICE] = caller("alice", providers=own)
        yield house


async def test_a_tenants_own_provider_with_its_own_key(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    secrets = NamedSecrets()
    secrets.put("KEY", ONE, tenant="alice")
    own = {"mine": {"kind": "openai", "base_url": f"{url}/v1", "keys": ["${secret:KEY}"], "models": ["m"]}}
    async with house_of_own(own, secrets) as house:
        assert (await house.client().post(CHAT, json=chat())).status_code == 200
        assert (await house.client(BOB).post(CHAT, json=chat(model="mine/m"))).status_code == 404
        assert [each["id"] for each in (await house.client().get("/v1/models")).json()["data"]] == ["default", "m"]
        secrets.put("KEY", TWO, tenant="alice")  # rotated: the very next call has it
        assert (await house.client().post(CHAT, json=chat())).status_code == 200
    assert [asked.headers["authorization"] for asked in fake.asked] == [f"Bearer {ONE}", f"Bearer {TWO}"]
    assert {asked.body["model"] for asked in fake.asked} == {"m"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_a_tenants_own_provider_is_no_way_inside(provider: tuple[FakeProvider, str], host: str) -> None:
    fake, url = provider
    own = {"mine": {"kind": "openai", "base_url": url.replace(HERE, host), "models": ["m"]}}
    async with house_of_own(own, private_host="elsewhere") as house:
        answer = await house.client().post(CHAT, json=chat())
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "destination_refused"
    assert fake.asked == []


# --- how long they rest -----------------------------------------------------------------------------------------------


def test_rests_are_bounded() -> None:
    now = [100.0]
    rests = Rests(lambda: now[0])
    rests.begin(("a",), 1e9)
    rests.begin(("b",), -5)
    assert rests.left_s(("a",)) == REST_MAX_S
    assert rests.left_s(("b",)) == 0
    now[0] += REST_MAX_S
    assert rests.left_s(("a",)) == 0
    rests.begin(("a",), None)
    rests.end(("a",))
    assert rests.left_s(("a",)) == 0


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("7", 7, 7),
        ("0.5", 0.5, 0.5),
        (None, 3000, 3600),
    ],
)
def test_retry_after_in_all_its_forms(said: str | None, least: float, most: float) -> None:
    said = said or format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    seconds = retry_after_s(httpx2.Response(429, headers={"retry-after": said}))
    assert seconds is not None
    assert least <= seconds <= most


@pytest.mark.parametrize("said", [None, "", "soon", "Mon, 99 Foo 2026 00:00:00 GMT", "nan", "inf", "-inf"])
def test_retry_after_that_says_nothing(said: str | None) -> None:
    seconds = retry_after_s(httpx2.Response(429, headers={"retry-after": said} if said is not None else {}))
    rests = Rests(lambda: 0.0)
    rests.begin(("a",), seconds)
    assert 0 <= rests.left_s(("a",)) <= REST_MAX_S
