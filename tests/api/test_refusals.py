"""What can't be as things are, what is too large, and our own bugs."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import select
import socket
from collections.abc import Iterable
from itertools import repeat
from typing import Any

import httpx2

from tests.api.bench import BODY_LIMIT, Bench
from tests.api.judge import judged
from tests.support.serving import serving


async def test_a_release_below_the_security_floor(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.house.record_release("0.9")
    body = {"name": "alice", "agent": "plain", "release": "0.9"}
    judged(await api.post("/v1/tenants", json=body), 400, "release_too_old")


async def test_an_image_that_is_gone(api: httpx2.AsyncClient, bench: Bench) -> None:
    bench.house.runtime.missing_images.add("sha256:1.0")
    judged(await api.post("/v1/tenants", json={"name": "alice", "agent": "plain"}), 503, "image_missing")


async def test_a_second_create_leaves_the_first_unharmed(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant()
    before = (await api.get("/v1/tenants/alice")).json()
    body = {"name": "alice", "agent": "plain", "limits": {"memory_mb": 512}}
    judged(await api.post("/v1/tenants", json=body), 409, "tenant_exists")
    assert (await api.get("/v1/tenants/alice")).json() == before


async def test_a_tier_that_there_isnt(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant()
    answer = await api.post("/v1/tenants/alice/sleep", json={"tier": "hibernate"})
    assert judged(answer, 400, "invalid_request")["field"] == "tier"


async def said_back(url: str, head: str, pieces: Iterable[bytes]) -> tuple[int, dict[str, Any], int]:
    """Status, document and how many bytes were sent, for a request that is written until it is answered."""
    loop = asyncio.get_running_loop()
    with socket.socket() as raw:
        raw.setblocking(False)
        await loop.sock_connect(raw, ("127.0.0.1", int(url.rpartition(":")[2])))
        await loop.sock_sendall(raw, head.replace("\n", "\r\n").encode() + b"\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                if select.select([raw], [], [], 0)[0]:
                    break
                await loop.sock_sendall(raw, piece)
                sent += len(piece)
        said = b""
        async with asyncio.timeout(10):
            while not said.endswith(b"}"):
                said += await loop.sock_recv(raw, 65536)
    first, _, body = said.partition(b"\r\n\r\n")
    return int(first.split()[1]), json.loads(body), sent


async def test_fifty_megabytes_are_refused_before_they_are_read(bench: Bench) -> None:
    async with serving(bench.app) as url:
        head = f"""POST /v1/tenants HTTP/1.1
Host: inn
Authorization: Bearer {bench.admin_token}
Content-Type: application/json
Content-Length: {50 * 1024 * 1024}
"""
        status, problem, _ = await said_back(url, head, ())
    assert (status, problem["code"]) == (413, "too_large")


async def test_an_endless_chunked_body_is_cut_off(bench: Bench) -> None:
    async with serving(bench.app) as url:
        head = f"""POST /v1/tenants HTTP/1.1
Host: inn
Authorization: Bearer {bench.admin_token}
Content-Type: application/json
Transfer-Encoding: chunked
"""
        status, problem, sent = await said_back(url, head, repeat(b"4000\r\n" + b" " * 0x4000 + b"\r\n", 2000))
    assert (status, problem["code"]) == (413, "too_large")
    assert sent < 50 * BODY_LIMIT


async def test_a_bug_is_told_without_its_insides_and_logged_with_the_requests_id(
    bench: Bench, logged: io.StringIO
) -> None:
    async def broken() -> Any:
        raise RuntimeError("secret sauce")

    object.__setattr__(bench.inn, "doctor", broken)
    async with bench.client() as api:
        answer = await api.get("/v1/doctor")
    problem = judged(answer, 500, "internal")
    assert "sauce" not in answer.text
    assert problem["request_id"] == answer.headers["x-request-id"]
    line = json.loads(logged.getvalue())
    assert line["request"] == problem["request_id"]
    assert "RuntimeError: secret sauce" in line["exception"]
