"""An HTTP answer as the bytes that go over the gate's socket."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus


def answer(status: HTTPStatus, headers: Sequence[str], body: str) -> bytes:
    """Head and body; nothing that the gate says is to be stored by anybody."""
    content = body.encode()
    head = [
        f"HTTP/1.1 {status} {status.phrase}",
        "Cache-Control: no-store",
        *headers,
        f"Content-Length: {len(content)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + content
