"""What providers answer: passed on truthfully, never with the operator's key or what is the operator's business."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from ipaddress import ip_address

import httpx2
import pytest

from innkeeper.broker.http_upstream import HttpUpstream
from innkeeper.broker.keys import FixedKey
from innkeeper.broker.metering import Tokens
from innkeeper.broker.openai import OpenAI
from innkeeper.broker.outbound import outbound_client
from tests.broker.house import CHAT, KEY, MESSAGES, TOKENS, House, chat, house_with, message, upstream_to
from tests.support.fake_provider import FakeProvider, Hanging, redirects, refuses, says
from tests.support.serving import free_port, listening

COUNT = f"{MESSAGES}/count_tokens"


async def test_openai_call(openai_house: House, fake: FakeProvider) -> None:
    answer = await openai_house.client().post(CHAT, json=chat(tools=[{"type": "function"}]))
    assert answer.json()["choices"][0]["message"]["content"] == "Hello there."
    (asked,) = fake.asked
    assert (asked.path, asked.body["model"]) == (CHAT, "real-1")
    assert asked.body["tools"] == [{"type": "function"}]
    assert openai_house.meter.total("alice").tokens == Tokens(input=11, output=3)


async def test_other_model_names_pass_as_they_are(openai_house: House, fake: FakeProvider) -> None:
    await openai_house.client().post(CHAT, json=chat(model="other-2"))
    assert fake.asked[0].body["model"] == "other-2"


async def test_anthropic_call(anthropic_house: House, fake: FakeProvider) -> None:
    headers = {"anthropic-version": "2024-01-01", "anthropic-beta": "one,two", "x-other": "no"}
    answer = await anthropic_house.client().post(f"{MESSAGES}?beta=true", json=message(), headers=headers)
    assert answer.json()["content"][0]["text"] == "Hello there."
    (asked,) = fake.asked
    assert (asked.path, asked.query, asked.body["model"]) == (MESSAGES, b"", "claude-1")
    assert asked.headers["x-api-key"] == KEY
    assert asked.headers["anthropic-version"] == "2024-01-01"
    assert asked.headers["anthropic-beta"] == "one,two"
    assert not {"authorization", "x-other"} & set(asked.headers)
    assert anthropic_house.meter.total("alice").tokens == Tokens(input=7, output=3)


async def test_openais_protocol_at_anthropic(anthropic_house: House, fake: FakeProvider) -> None:
    assert (await anthropic_house.client().post(CHAT, json=chat())).status_code == 200
    (asked,) = fake.asked
    assert (asked.path, asked.body["model"]) == (CHAT, "claude-1")
    assert asked.headers["authorization"] == f"Bearer {KEY}"


async def test_count_tokens_passes_and_costs_nothing(anthropic_house: House, fake: FakeProvider) -> None:
    answer = await anthropic_house.client().post(COUNT, json=message())
    assert answer.json() == {"input_tokens": 7}
    assert fake.asked[0].headers["anthropic-version"] == "2023-06-01"
    assert anthropic_house.meter.total("alice").calls == 0


async def test_models_in_both_shapes(anthropic_house: House, fake: FakeProvider) -> None:
    client = anthropic_house.client()
    openai = (await client.get("/v1/models")).json()
    assert [entry["id"] for entry in openai["data"]] == ["default", "claude-1"]
    assert openai["object"] == "list"
    anthropic = (await client.get("/v1/models", headers={"anthropic-version": "2023-06-01"})).json()
    assert [entry["id"] for entry in anthropic["data"]] == ["default", "claude-1"]
    assert anthropic["has_more"] is False
    assert fake.asked == []


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 529])
async def test_errors_pass_with_their_status_and_words(
    anthropic_house: House, fake: FakeProvider, status: int, streams: bool
) -> None:
    error = {"type": "error", "error": {"type": "some_error", "message": "Slow down."}}
    fake.script = refuses(
        status,
        json.dumps(error).encode(),
        retry_after="7",
        request_id="req_1",
        set_cookie="a=b",
        anthropic_organization_id="org-1",
        anthropic_ratelimit_tokens_remaining="12",
    )
    answer = await anthropic_house.client().post(MESSAGES, json=message(stream=streams))
    assert (answer.status_code, answer.json()) == (status, error)
    assert set(answer.headers) == {"retry-after", "request-id", "content-type", "content-length"}
    assert len(fake.asked) == 1
    assert anthropic_house.meter.total("alice").calls == 0


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_html_error_keeps_its_status_and_gets_the_protocols_shape(
    anthropic_house: House, fake: FakeProvider, path: str
) -> None:
    fake.script = refuses(503, b"<html>Down</html>", content_type="text/html")
    answer = await anthropic_house.client().post(path, json=message())
    assert answer.status_code == 503
    assert "503" in answer.json()["error"]["message"]
    assert b"<html>" not in answer.content


@pytest.mark.parametrize(
    "script",
    [
        redirects("http://169.254.169.254/latest/meta-data"),
        says(b"<html>Hello</html>", content_type="text/html"),
        says(b"{}", content_type="text/plain"),
        says(b"x" * 1000, content_type="application/json", breaks=True),
    ],
    ids=["redirect", "html", "text", "broken"],
)
async def test_what_is_no_answer_becomes_an_error(anthropic_house: House, fake: FakeProvider, script: object) -> None:
    fake.script = script  # type: ignore[assignment]
    for path in (CHAT, MESSAGES):
        answer = await anthropic_house.client().post(path, json=message())
        assert answer.status_code == 502
        assert answer.json()["error"]["message"].startswith("The ")
        assert "location" not in answer.headers
        assert b"169.254" not in answer.content
    assert len(fake.asked) == 2


@pytest.mark.parametrize("status", [101, 600, 999])
async def test_a_status_that_is_none_is_a_fault(status: int) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d Well\r\ncontent-length: 0\r\n\r\n" % status)

    async with (
        listening(answers) as port,
        upstream_to(OpenAI(base_url=f"http://127.0.0.1:{port}/v1"), "k1", "k2") as upstream,
        house_with(upstream) as house,
    ):
        answer = await house.client().post(CHAT, json=chat())
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_fault")


async def test_endless_answer_is_cut(openai_house: House, fake: FakeProvider) -> None:
    fake.script = says(*[b" " * 2**20] * 40, content_type="application/json")
    answer = await openai_house.client().post(CHAT, json=chat())
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "provider_answer_too_large"


async def test_compressed_answer_arrives_readable(openai_house: House, fake: FakeProvider) -> None:
    body = json.dumps({"usage": {"prompt_tokens": 2, "completion_tokens": 1}}).encode()
    fake.script = says(gzip.compress(body), content_type="application/json", content_encoding="gzip")
    answer = await openai_house.client().post(CHAT, json=chat())
    assert answer.content == body
    assert "content-encoding" not in answer.headers
    assert fake.asked[0].headers["accept-encoding"] == "identity"


async def test_provider_that_is_down() -> None:
    down = OpenAI(base_url=f"http://127.0.0.1:{free_port()}/v1")
    async with upstream_to(down) as upstream, house_with(upstream) as house:
        answer = await house.client().post(CHAT, json=chat())
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "provider_unreachable"
    assert answer.json()["error"]["type"] == "server_error"


async def test_silent_provider_times_out(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    fake.script = hanging = Hanging()
    openai, impatient = OpenAI(base_url=f"{url}/v1"), httpx2.Timeout(60, read=0.05)
    async with upstream_to(openai, "k-one", "k-two", timeout=impatient) as upstream, house_with(upstream) as house:
        answer = await house.client().post(CHAT, json=chat())
    assert answer.status_code == 504
    await hanging.abandoned.wait()
    assert len(fake.asked) == 1


async def test_cookies_of_one_call_dont_ride_along_with_the_next(openai_house: House, fake: FakeProvider) -> None:
    fake.script = says(b"{}", content_type="application/json", set_cookie="session=alice; Path=/")
    first = await openai_house.client().post(CHAT, json=chat())
    assert "set-cookie" not in first.headers
    await openai_house.client("127.0.0.3").post(CHAT, json=chat())
    assert "cookie" not in fake.asked[1].headers


async def test_the_key_is_in_no_answer_and_no_log(
    anthropic_house: House, fake: FakeProvider, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    masked = "sk-real-01234567****ghij"
    quoted = json.dumps({"error": {"message": f"Incorrect API key provided: {masked}. You sent {KEY}."}}).encode()
    split = f"data: {KEY}\n\n".encode()
    scripts = [
        refuses(401, quoted),
        refuses(500, KEY.encode(), content_type="text/plain"),
        refuses(429, b"{}", request_id=KEY),
        says(json.dumps({"echo": KEY}).encode(), content_type="application/json"),
        says(split[:15], split[15:], breaks=True),
        redirects(f"http://127.0.0.1/?key={KEY}"),
    ]
    for script in scripts:
        fake.script = script
        for path in (CHAT, MESSAGES):
            answer = await anthropic_house.client().post(path, json=message(stream=True))
            seen = answer.text + str(answer.headers)
            assert KEY not in seen
            assert masked not in seen
    assert len(fake.asked) == 2 * len(scripts)
    out, err = capfd.readouterr()
    logged = out + err + caplog.text
    assert KEY not in logged
    assert TOKENS["id-alice"] not in logged


async def test_one_refused_connection_is_tried_again(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    names = ["127.0.0.9", "127.0.0.1"]  # nobody listens on the first
    port = url.rpartition(":")[2]
    async with outbound_client(["api.example"], resolve=lambda *_: [ip_address(names.pop(0))]) as client:
        openai = OpenAI(base_url=f"http://api.example:{port}/v1")
        async with house_with(HttpUpstream(openai, client=client, keys=FixedKey(KEY), default="m")) as house:
            assert (await house.client().post(CHAT, json=chat())).status_code == 200
    assert (names, len(fake.asked)) == ([], 1)
