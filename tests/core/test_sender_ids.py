"""Where a message's own id is found."""

from __future__ import annotations

import json
from typing import Any

import pytest

from innkeeper.core.sender_ids import sender_id


@pytest.mark.parametrize(
    ("headers", "body", "found"),
    [
        ({"webhook-id": "msg_1", "idempotency-key": "k"}, None, "msg_1"),
        ({"idempotency-key": "k"}, {"update_id": 5}, "k"),
        ({"x-github-delivery": "72d3162e"}, {"id": 1}, "72d3162e"),
        ({"webhook-id": ""}, {"update_id": 10000}, "10000"),
        ({}, {"update_id": 0}, "0"),
        ({}, {"event_id": "Ev08", "id": "x"}, "Ev08"),
        ({}, {"object": "event", "id": "evt_1"}, "evt_1"),
        ({}, {"specversion": "1.0", "id": "A234"}, "A234"),
        ({}, {"id": "front-door", "rings": True}, None),
        ({}, {"update_id": True}, None),
        ({}, {"update_id": 1.5}, None),
        ({}, {"update_id": {"a": 1}}, None),
        ({}, [1], None),
        ({}, None, None),
    ],
)
def test_auto(headers: dict[str, str], body: Any, found: str | None) -> None:
    assert sender_id("auto", headers, b"" if body is None else json.dumps(body).encode()) == found


def test_as_told() -> None:
    body = json.dumps({"data": {"event": {"id": 7}}, "update_id": 1}).encode()
    assert sender_id("json:data.event.id", {}, body) == "7"
    assert sender_id("json:data.event.id.x", {}, body) is None
    assert sender_id("json:nothing", {"webhook-id": "x"}, body) is None
    assert sender_id("header:X-Own", {"x-own": "o"}, body) == "o"
    assert sender_id("header:X-Own", {}, body) is None
    assert sender_id("none", {"webhook-id": "x"}, body) is None


@pytest.mark.parametrize("body", [b"\xff\xfe", b"{", b"[" * 100_000, b'{"update_id": NaN}', b'"update_id"', b"0"])
def test_what_cant_be_read_has_none(body: bytes) -> None:
    assert sender_id("auto", {}, body) is None


@pytest.mark.parametrize("odd", ["x" * 201, "a\0b", "\ud800", "a\nb"])
def test_what_cant_be_shown_is_known_by_its_hash(odd: str) -> None:
    found = sender_id("json:id", {}, json.dumps({"id": odd}).encode())
    assert found is not None
    assert found.startswith("sha256:")
    assert found != sender_id("json:id", {}, json.dumps({"id": odd + "x"}).encode())
