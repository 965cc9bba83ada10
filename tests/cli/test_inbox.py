"""Inboxes by the command line."""

from __future__ import annotations

from tests.api.bench import Bench
from tests.api.test_inbox import filled
from tests.cli.conftest import Run


async def test_an_inbox_is_looked_into_and_after(inn: Run, bench: Bench) -> None:
    await filled(bench, 200, 401, 400, None)
    listed = await inn("inbox", "list", "alice")
    assert listed.code == 0
    assert listed.out.splitlines()[0].split() == [
        "ID", "PATH", "SENDER'S", "ID", "STATE", "AGE", "ATTEMPTS", "LAST", "ERROR"
    ]  # fmt: skip
    assert "It was answered with 401." in listed.out
    assert "canary" not in listed.out

    dead = (await inn("inbox", "list", "alice", "--state", "dead", "--json")).document
    assert [each["sender_id"] for each in dead] == ["id-1", "id-2"]
    both = (await inn("inbox", "list", "alice", "--state", "dead", "--state", "waiting", "--json")).document
    assert len(both) == 3

    first, second = (each["id"] for each in dead)
    assert (await inn("inbox", "replay", "alice", first)).out == f"{first} waits to be delivered again\n"
    again = await inn("inbox", "replay", "alice", first, "--json")
    assert (again.code, again.document["code"]) == (4, "message_not_dead")
    assert (await inn("inbox", "replay", "alice", "--all-dead", "--json")).document == {"replayed": 1}
    assert (await inn("inbox", "discard", "alice", second)).code == 2, "it asks"
    gone = await inn("inbox", "discard", "alice", second, "--yes", "--json")
    assert gone.document == {"id": second, "tenant": "alice", "discarded": True}
    assert (await inn("inbox", "discard", "alice", second, "--yes")).code == 3


async def test_what_makes_no_sense(inn: Run, bench: Bench) -> None:
    await filled(bench)
    assert "nothing in the inbox" in (await inn("inbox", "list", "alice")).err
    assert (await inn("inbox", "replay", "alice")).code == 2
    assert (await inn("inbox", "replay", "alice", "msg_x", "--all-dead")).code == 2
    assert (await inn("inbox", "list", "alice", "--state", "lost")).code == 2
    assert (await inn("inbox", "list", "nobody")).code == 3
