"""Credentials as they shouldn't be, sent to a tenant through a real Caddy: the tenant never hears of the request."""

from __future__ import annotations

import json

import pytest

from tests.edge.house import KEY, Stage, raw


@pytest.mark.parametrize(
    "line",
    [
        f"Authorization: Bearer {KEY[:-1]}",
        f"Authorization: Bearer {KEY}=",
        f"Authorization: Bearer {KEY.upper()}",
        f"Authorization: Bearer Bearer {KEY}",
        f"Authorization: Basic {KEY}",
        f"Authorization: {KEY}",
        "Authorization: Bearer " + "x" * 20_000,
        f"Authorization: Bearer {KEY}\r\nAuthorization: Bearer {KEY}",
        f"Authorization: Bearer {KEY}\r\nAuthorization: Bearer x",
        f"Authorization: Bearer x\r\nAuthorization: Bearer {KEY}",
        f"X-Auth-Token: {KEY}",
        f"X-Upstream-Authorization: Bearer {KEY}",
        "X-Tenant-ID: alice\r\nX-Innkeeper-Role: admin\r\nX-Forwarded-User: admin",
        f"Cookie: token={KEY}; __Host-innkeeper-door={KEY}",
    ],
)
async def test_a_spoilt_credential_is_nobodys(edge: Stage, line: str) -> None:
    request = f"GET /?access_token={KEY}&token={KEY} HTTP/1.1\r\nHost: alice.localhost\r\n{line}\r\n\r\n"

    status, answer = await raw(("127.0.0.1", edge.port), request.encode())

    assert (status, json.loads(answer.partition(b"\r\n\r\n")[2])["code"]) == (401, "unauthenticated")
    assert edge.agent.requests == 0
    assert KEY.encode() not in answer


@pytest.mark.parametrize("spoilt", ["\0", "\n", "\r", "\x7f"])
async def test_a_credential_with_a_control_character_never_gets_in(edge: Stage, spoilt: str) -> None:
    request = f"GET / HTTP/1.1\r\nHost: alice.localhost\r\nAuthorization: Bearer {KEY}{spoilt}x\r\n\r\n"

    status, _ = await raw(("127.0.0.1", edge.port), request.encode())

    assert status == 400
    assert edge.agent.requests == 0
    assert edge.outcomes == []
