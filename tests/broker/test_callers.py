"""A token works from its own tenant's address and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from innkeeper.broker.callers import Caller
from tests.broker.house import ALICE, BOB, CHAT, KEY, MESSAGES, NOBODY, TOKENS, House, chat, message
from tests.support.fake_provider import FakeProvider

ALICES, BOBS = TOKENS["id-alice"], TOKENS["id-bob"]


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {ALICES}"},
        {"authorization": f"bearer  {ALICES}"},
        {"x-api-key": ALICES},
        {"authorization": "Bearer something-else", "x-api-key": ALICES},
    ],
)
async def test_own_token_from_own_address(demo_house: House, headers: dict[str, str]) -> None:
    answer = await demo_house.client(ALICE, headers).post(CHAT, json=chat())
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        (ALICE, {}),
        (ALICE, {"authorization": "Bearer"}),
        (ALICE, {"authorization": "Bearer wrong"}),
        (ALICE, {b"authorization": b"Bearer t\xf6ken"}),
        (ALICE, {"authorization": f"Basic {ALICES}"}),
        (ALICE, {"authorization": ALICES}),
        (ALICE, {"authorization": f"Bearer {BOBS}"}),
        (BOB, {"authorization": f"Bearer {ALICES}"}),
        (NOBODY, {"authorization": f"Bearer {ALICES}"}),
        (ALICE, {"cookie": f"token={ALICES}"}),
        (BOB, {"authorization": f"Bearer {ALICES}", "x-forwarded-for": ALICE, "x-real-ip": ALICE}),
        (BOB, {"authorization": f"Bearer {ALICES}", "forwarded": f"for={ALICE}", "x-client-ip": ALICE}),
    ],
)
async def test_everything_else_is_refused_alike(
    openai_house: House, fake: FakeProvider, address: str, headers: Mapping[str, str] | Mapping[bytes, bytes]
) -> None:
    client = openai_house.client(address, headers)
    answer = await client.post(CHAT, json=chat())
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"
    assert answer.content == (await openai_house.client(NOBODY, {}).post(CHAT, json=chat())).content
    assert (await client.get("/v1/models")).status_code == 401
    assert fake.asked == []


async def test_refusal_speaks_anthropic_where_anthropic_is_spoken(demo_house: House) -> None:
    client = demo_house.client(BOB, {"x-api-key": ALICES, "anthropic-version": "2023-06-01"})
    for answer in (await client.post(MESSAGES, json=message()), await client.get("/v1/models")):
        assert answer.status_code == 401
        assert answer.json()["type"] == "error"
        assert answer.json()["error"]["type"] == "authentication_error"


async def test_token_in_the_url_is_no_token(demo_house: House) -> None:
    answer = await demo_house.client(ALICE, {}).post(f"{CHAT}?key={ALICES}&api_key={ALICES}", json=chat())
    assert answer.status_code == 401


async def test_older_epoch_is_refused_at_once(demo_house: House) -> None:
    client = demo_house.client(ALICE)
    assert (await client.post(CHAT, json=chat())).status_code == 200
    demo_house.guests.at[ALICE] = Caller(tenant="alice", tenant_id="id-alice", epoch=2)
    assert (await client.post(CHAT, json=chat())).status_code == 401


async def test_a_tenant_that_was_deleted_is_nobody(openai_house: House, fake: FakeProvider) -> None:
    client = openai_house.client(ALICE)
    assert (await client.post(CHAT, json=chat())).status_code == 200
    del openai_house.guests.at[ALICE]  # over the same connection
    for answer in (await client.post(CHAT, json=chat()), await client.get("/v1/models")):
        assert answer.status_code == 401
    assert len(fake.asked) == 1


@pytest.mark.parametrize("parameter", ["token", "api_key", "key", "access_token", "authorization"])
async def test_a_token_in_the_url_is_no_token(openai_house: House, fake: FakeProvider, parameter: str) -> None:
    client = openai_house.client(ALICE, {})
    for path in (f"{CHAT}?{parameter}={ALICES}", f"/{ALICES}{CHAT}"):
        assert (await client.post(path, json=chat(), headers={})).status_code == 401
    assert fake.asked == []


async def test_forged_headers_stay_here(openai_house: House, fake: FakeProvider) -> None:
    forged = {
        "x-forwarded-for": "10.0.0.1",
        "cookie": "session=1",
        "openai-organization": "org-of-another",
        "x-api-key": ALICES,
        "host": "evil.example",
    }
    client = openai_house.client()
    answer = await client.post(f"{CHAT}?api_key={ALICES}", json=chat(), headers=forged)
    assert answer.status_code == 200
    (asked,) = fake.asked
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert set(asked.headers) == {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    }
    assert asked.query == b""
    assert ALICES not in str(asked)


async def test_health_is_open_and_says_nothing_else(demo_house: House) -> None:
    answer = await demo_house.client(NOBODY, {}).get("/health")
    assert (answer.status_code, answer.json()) == (200, {"ok": True})
