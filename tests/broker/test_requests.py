"""Requests that can't be: each gets its protocol's own error, and the provider hears of none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from innkeeper.broker.admission import CALLS_LIMIT
from innkeeper.broker.exchange import BODY_LIMIT
from innkeeper.broker.marks import COMMAS_LIMIT
from tests.broker.house import BOB, CHAT, MESSAGES, TOKENS, House, chat, message, until
from tests.support.fake_provider import FakeProvider, Hanging

BAD_BODIES = [
    b"",
    b"{",
    b"nonsense",
    b"[]",
    b"null",
    b"{}",
    b'{"model":7}',
    b'{"model":""}',
    b'{"model":"' + b"m" * 301 + b'"}',
    b'{"model":"default","x":NaN}',
    b'{"model":"default","x":1e999}',
    b'{"model":"default","x":' + b"9" * 5000 + b"}",
    b'{"model":"default","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    b'\xff\xfe{"model":"default"}',
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body[:24]))
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_bad_body(anthropic_house: House, fake: FakeProvider, path: str, body: bytes) -> None:
    answer = await anthropic_house.client().post(path, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["error"]["message"]
    assert fake.asked == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", CHAT),
        ("POST", "/v1/models"),
        ("POST", "/v1/images/generations"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/v1/%2e%2e/v1/chat/completions"),
        ("GET", "/"),
        ("GET", "/metrics"),
        ("DELETE", "/v1/messages/batches/1"),
        ("POST", "//v1/messages"),
    ],
)
async def test_unknown_endpoint(openai_house: House, fake: FakeProvider, method: str, path: str) -> None:
    client = openai_house.client()
    answer = await client.request(method, path, json=chat() if method == "POST" else None)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"]
    assert fake.asked == []


async def test_unknown_endpoint_in_anthropics_words(demo_house: House) -> None:
    answer = await demo_house.client().post("/v1/messages/batches", json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"


async def test_body_over_the_limit_is_refused_with_and_without_a_length(
    openai_house: House, fake: FakeProvider
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(BODY_LIMIT // 2**20 + 1):
            yield b" " * 2**20

    client = openai_house.client()
    for answer in (await client.post(CHAT, content=b" " * (BODY_LIMIT + 1)), await client.post(CHAT, content=parts())):
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "too_large"
    assert (await client.post(MESSAGES, content=b" " * (BODY_LIMIT + 1))).json()["error"]["type"] == "request_too_large"
    assert fake.asked == []
    assert (await client.post(CHAT, json=chat())).status_code == 200


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/v1/responses", "background", True),
        (CHAT, "models", ["dear-1"]),
        (CHAT, "fallbacks", [{"model": "dear-1"}]),
        ("/v1/responses", "models", ["dear-1"]),
    ],
)
async def test_what_would_pass_by_the_allowed_models_or_the_budget_is_refused(
    openai_house: House, fake: FakeProvider, path: str, field: str, value: object
) -> None:
    answer = await openai_house.client().post(path, json={**chat(), field: value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    assert fake.asked == []
    assert (await openai_house.client().post(path, json={**chat(), field: None})).status_code == 200


@pytest.mark.parametrize("unit", [b"[],", b"{},", b"0,"])
async def test_a_body_of_too_many_values_isnt_read(openai_house: House, fake: FakeProvider, unit: bytes) -> None:
    body = b'{"model":"default","messages":[' + unit * COMMAS_LIMIT + b"0]}"
    answer = await openai_house.client().post(CHAT, content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert fake.asked == []


async def test_large_body_passes_whole(openai_house: House, fake: FakeProvider) -> None:
    text = "x" * (BODY_LIMIT - 1000)
    assert (await openai_house.client().post(CHAT, json=chat(text))).status_code == 200
    assert fake.asked[0].body["messages"][0]["content"] == text


async def test_wrong_token_is_told_though_the_body_is_large(demo_house: House) -> None:
    client = demo_house.client(headers={"authorization": "Bearer wrong"})
    assert (await client.post(CHAT, content=b" " * (8 * 2**20))).status_code == 401


async def test_head_over_the_limit(demo_house: House) -> None:
    host, port = demo_house.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\nx-long: " + b"x" * 100_000)
    assert b" 400 " in await reader.readline()
    writer.transport.abort()
    assert (await demo_house.client().get("/health")).status_code == 200


async def test_client_that_leaves_in_the_middle_of_its_body(openai_house: House, fake: FakeProvider) -> None:
    host, port = openai_house.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), local_addr=("127.0.0.2", 0))
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKENS['id-alice']}\r\ncontent-length: 500\r\n\r\n"
    )
    writer.write(head.encode() + b'{"model":')
    await writer.drain()
    await until(lambda: openai_house.broker.in_flight("alice"))
    writer.transport.abort()
    await until(lambda: not (openai_house.broker.in_flight("alice")))
    assert fake.asked == []


async def test_odd_text_reaches_the_provider_as_it_was(openai_house: House, fake: FakeProvider) -> None:
    body: dict[str, Any] = chat(
        "żółć 🦊 \x00 \u2028", temperature=0.1, seed=2**63, stop=["\n"], nested={"a": [None, True]}
    )
    assert (await openai_house.client().post(CHAT, json=body)).status_code == 200
    assert fake.asked[0].body == {**body, "model": "real-1"}
    lone = b'{"model":"default","messages":[{"role":"user","content":"\\ud83e"}]}'
    assert (await openai_house.client().post(CHAT, content=lone)).status_code == 200
    assert fake.asked[1].body["messages"][0]["content"] == "\ud83e"


async def test_repeated_keys_mean_one_thing(openai_house: House, fake: FakeProvider) -> None:
    body = b'{"model":"expensive","model":"default","messages":[]}'
    assert (await openai_house.client().post(CHAT, content=body)).status_code == 200
    assert fake.asked[0].body["model"] == "real-1"


async def test_too_many_calls_of_one_tenant_leave_the_others_alone(openai_house: House, fake: FakeProvider) -> None:
    fake.script = Hanging()
    client = openai_house.client()
    waiting = [asyncio.create_task(client.post(CHAT, json=chat())) for _ in range(CALLS_LIMIT)]
    await until(lambda: not (len(fake.asked) < CALLS_LIMIT))
    assert openai_house.broker.in_flight("alice") == CALLS_LIMIT
    refused = await openai_house.client().post(CHAT, json=chat())
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    other = asyncio.create_task(openai_house.client(BOB).post(CHAT, json=chat()))
    await until(lambda: not (len(fake.asked) < CALLS_LIMIT + 1))
    for task in (*waiting, other):
        task.cancel()
    await asyncio.gather(*waiting, other, return_exceptions=True)
    await until(lambda: not (openai_house.broker.in_flight("alice") or openai_house.broker.in_flight("bob")))


async def test_bytes_of_one_tenant_are_bounded(openai_house: House, fake: FakeProvider) -> None:
    fake.script = Hanging()
    # What isn't announced counts as the largest body that is allowed.
    host, port = openai_house.url.removeprefix("http://").split(":")
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKENS['id-alice']}\r\n"
        "transfer-encoding: chunked\r\n\r\n"
    )
    writers = []
    for _ in range(8):
        _, writer = await asyncio.open_connection(host, int(port), local_addr=("127.0.0.2", 0))
        writer.write(head.encode())
        writers.append(writer)
    await until(lambda: not (openai_house.broker.in_flight("alice") < 8))
    assert (await openai_house.client().post(CHAT, json=chat())).status_code == 429
    for writer in writers:
        writer.transport.abort()
    await until(lambda: not (openai_house.broker.in_flight("alice")))


@pytest.mark.parametrize("path", [MESSAGES, f"{MESSAGES}/count_tokens"])
async def test_anthropics_protocol_is_refused_where_only_openais_is_spoken(
    openai_house: House, fake: FakeProvider, path: str
) -> None:
    answer = await openai_house.client().post(path, json=message())
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert "chat completions" in error["message"]
    assert fake.asked == []


async def test_odd_protocol_headers(anthropic_house: House, fake: FakeProvider) -> None:
    headers = {b"anthropic-beta": b"t\xf6"}
    answer = await anthropic_house.client().post(MESSAGES, json=message(), headers=headers)
    assert answer.status_code == 400
    assert fake.asked == []
