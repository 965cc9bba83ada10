"""Host headers, brought to one form."""

from __future__ import annotations

import pytest

from innkeeper.edge.hosts import plain_host


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (b"alice.localhost", "alice.localhost"),
        (b"Alice.LOCALHOST.:8080", "alice.localhost"),
        (b"alice.localhost:", "alice.localhost"),
        (b"agent.example.com:443", "agent.example.com"),
        (b"demo.localhost.evil.com", "demo.localhost.evil.com"),
        (b"", ""),
        (b".", ""),
        (b"..", ""),
        (b"alice..localhost", ""),
        (b".localhost", ""),
        (b"alice.localhost..", ""),
        (b"alice.localhost:80:80", ""),
        (b"alice.localhost:http", ""),
        (b"[::1]", ""),
        (b"[::1]:8080", ""),
        (b"::1", ""),
        (b"alice localhost", ""),
        (b"alice/../bob.localhost", ""),
        (b"alice\x00.localhost", ""),
        ("älice.localhost".encode(), ""),
        (b"a" * 254, ""),
    ],
)
def test_plain_host(raw: bytes, plain: str) -> None:
    assert plain_host(raw) == plain
