"""Inboxes by the API: what waits and what is dead, replayed and discarded, and never a word of what was sent."""

from __future__ import annotations

import httpx2
import pytest

from innkeeper.core.messages import Lane, Payload
from innkeeper.core.openings import InboxPath
from tests.api.bench import Bench
from tests.api.judge import judged

HOOKS = InboxPath(path="/hooks")


async def filled(bench: Bench, *statuses: int | None) -> None:
    """Alice's inbox with a message for each: delivered and so answered, or still waiting."""
    await bench.tenant()
    tenant = await bench.house.tenant()
    for number, status in enumerate(statuses):
        headers = (("webhook-id", f"id-{number}"), ("x-canary", "canary"))
        payload = Payload(method="POST", query="canary", headers=headers, body=b"canary")
        await bench.house.inbox.accept("alice", tenant.id, HOOKS, payload)
        if status is not None:
            head = await bench.house.deliveries.head(Lane("alice", "/hooks"))
            assert head is not None
            begun = await bench.house.deliveries.begin(head, f"here.{number}")
            assert begun is not None
            await bench.house.deliveries.end(begun[0], status)


async def test_an_inbox_is_listed_in_its_order_without_what_was_sent(bench: Bench, api: httpx2.AsyncClient) -> None:
    await filled(bench, 200, 401, 500)
    answer = await api.get("/v1/tenants/alice/inbox")
    assert answer.status_code == 200
    assert "canary" not in answer.text
    delivered, dead, waiting = answer.json()["items"]
    assert [each["state"] for each in (delivered, dead, waiting)] == ["delivered", "dead", "waiting"]
    assert [each["sender_id"] for each in (delivered, dead, waiting)] == ["id-0", "id-1", "id-2"]
    assert (
        waiting.items()
        >= {
            "tenant": "alice",
            "path": "/hooks",
            "attempts": 1,
            "next_attempt_at": "2026-11-20T12:00:01Z",
            "ended_at": None,
            "last_error": "It was answered with 500.",
        }.items()
    )
    assert (dead["next_attempt_at"], dead["ended_at"] is None, dead["size"] > 0) == (None, False, True)
    assert (delivered["size"], delivered["last_error"]) == (0, None)


async def test_it_is_paged_and_filtered(bench: Bench, api: httpx2.AsyncClient) -> None:
    await filled(bench, 400, 200, 400, 400, None)
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await api.get(f"/v1/tenants/alice/inbox?limit=2&state=dead&state=waiting{cursor}")).json()
        assert len(page["items"]) <= 2
        seen += [each["sender_id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ["id-0", "id-2", "id-3", "id-4"]
    assert (await api.get("/v1/tenants/alice/inbox", params={"state": "delivering"})).json()["items"] == []
    judged(await api.get("/v1/tenants/alice/inbox", params={"state": "lost"}), 400, "invalid_request")
    judged(await api.get("/v1/tenants/alice/inbox", params={"cursor": "YQ"}), 400, "invalid_request")


async def test_dead_letters_are_replayed_and_messages_discarded(bench: Bench, api: httpx2.AsyncClient) -> None:
    await filled(bench, 400, 400, 200, None)
    first, second, delivered, waiting = [
        each["id"] for each in (await api.get("/v1/tenants/alice/inbox")).json()["items"]
    ]
    inbox = "/v1/tenants/alice/inbox"
    replayed = await api.post(f"{inbox}/{first}/replay")
    assert (replayed.status_code, replayed.json()["state"], replayed.json()["attempts"]) == (200, "waiting", 0)
    for other in (first, delivered, waiting):
        judged(await api.post(f"{inbox}/{other}/replay"), 409, "message_not_dead")
    assert (await api.post(f"{inbox}/replay")).json() == {"replayed": 1}
    assert (await api.post(f"{inbox}/replay")).json() == {"replayed": 0}
    assert (await api.delete(f"{inbox}/{second}")).status_code == 204
    judged(await api.delete(f"{inbox}/{second}"), 404, "unknown_message")
    head = await bench.house.deliveries.head(Lane("alice", "/hooks"))
    assert head is not None
    await bench.house.deliveries.begin(head, "here.x")
    judged(await api.delete(f"{inbox}/{head.id}"), 409, "message_under_way")
    actions = [each["action"] for each in (await api.get("/v1/audit")).json()["items"]]
    assert actions[-3:] == ["inbox.replay", "inbox.replay", "inbox.discard"]


@pytest.mark.parametrize("message_id", ["msg_nothing", "msg_%00", "%2e%2e", "é"])
async def test_what_isnt_there(bench: Bench, api: httpx2.AsyncClient, message_id: str) -> None:
    await filled(bench)
    judged(await api.post(f"/v1/tenants/alice/inbox/{message_id}/replay"), 404, "unknown_message")
    judged(await api.delete(f"/v1/tenants/alice/inbox/{message_id}"), 404, "unknown_message")
    for method, path in (("GET", ""), ("POST", "/replay"), ("POST", "/msg_x/replay"), ("DELETE", "/msg_x")):
        judged(await api.request(method, f"/v1/tenants/nobody/inbox{path}"), 404, "unknown_tenant")
