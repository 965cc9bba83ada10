"""A tenant's life by the command line, against a real API."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from pathlib import Path

import pytest

from innkeeper.core.instance import State
from innkeeper.core.ladder import timing
from innkeeper.core.openings import InboxPath
from tests.api.bench import Bench
from tests.api.talker import Talker
from tests.cli.conftest import Run
from tests.support.serving import serving


async def test_a_tenant_lives_and_goes(inn: Run, bench: Bench) -> None:
    made = await inn("tenant", "create", "alice", "--agent", "plain", "--memory-mb", "256", "--stop-after", "never")
    assert (made.code, made.out) == (0, "alice is running at http://alice.localhost:8080/\n")
    assert "alice" in made.err

    listed = await inn("tenant", "list")
    assert listed.out.splitlines()[0].split() == ["NAME", "AGENT", "RELEASE", "STATE", "LAST", "USED", "URL"]
    assert listed.out.splitlines()[1].split()[:4] == ["alice", "plain", "1.0", "running"]

    shown = await inn("tenant", "show", "alice")
    assert "256 MB, 1.0 CPUs, 512 processes" in shown.out
    assert "pause after 300 s, page after 600 s" in shown.out
    assert "stop after" not in shown.out

    assert (await inn("tenant", "url", "alice")).out == "http://alice.localhost:8080/\n"
    assert (await inn("tenant", "stats", "alice")).out.splitlines()[0].split() == ["state", "running"]
    assert (await inn("tenant", "sleep", "alice")).out.startswith("alice is paused")
    assert (await inn("tenant", "wake", "alice")).out.startswith("alice is running")
    assert (await inn("tenant", "restart", "alice")).out.startswith("alice is running")
    assert (await inn("tenant", "update", "alice", "--cpus", "0.5", "--env", "TZ=UTC")).code == 0
    assert (await bench.house.tenant()).spec.env == {"TZ": "UTC"}

    gone = await inn("tenant", "delete", "alice", "--purge", "--yes")
    assert (gone.code, gone.out) == (0, f"alice is gone\nreceipt: {gone.out.split()[-1]}\n")
    none = await inn("tenant", "list")
    assert (none.code, none.out) == (0, "")
    assert "no tenants yet" in none.err


async def test_json_is_one_document_that_keeps_its_shape(inn: Run) -> None:
    made = await inn("tenant", "create", "alice", "--agent", "plain", "--json")
    assert made.document["operation"]["status"] == "done"
    assert made.document["state"] == "running"
    asked = await inn("tenant", "restart", "alice", "--no-wait", "--json")
    assert asked.document["operation"]["kind"] == "restart"
    assert asked.document["name"] == "alice"
    assert [tenant["name"] for tenant in (await inn("tenant", "list", "--json")).document] == ["alice"]
    assert (await inn("tenant", "show", "alice", "--json")).document["agent"] == "plain"
    assert (await inn("tenant", "url", "alice", "--json")).document["url"] == "http://alice.localhost:8080/"
    assert (await inn("tenant", "stats", "alice", "--json")).document["limit_mb"] == 128
    gone = await inn("tenant", "delete", "alice", "--yes", "--json")
    assert (gone.document["operation"]["status"], gone.document["state"]) == ("done", "absent")


async def test_all_of_a_spec_can_be_said(inn: Run, bench: Bench, tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("# comment\nA=1\n\nB=two=2\n")
    made = await inn(
        *("tenant", "create", "alice", "--agent", "plain", "--release", "1.0", "--wanted", "awake"),
        *("--pids", "100", "--env-file", str(env_file), "--env", "A=3", "--access", "open"),
        *("--hostname", "chat.example.com", "--hostname", "talk.example.com"),
        *("--pause-after", "60", "--page-after", "never", "--save-after", "never", "--stop-after", "7200"),
        *("--schedule", "awake 08:00-18:00 Mon-Fri Europe/Berlin", "--missed-runs", "skip"),
        *("--despite-channels", "--wake-deadline", "45"),
    )
    assert made.code == 0, made.err
    spec = (await bench.house.tenant()).spec
    assert spec.env == {"A": "3", "B": "two=2"}
    assert spec.hostnames == ("chat.example.com", "talk.example.com")
    assert (spec.limits.pids, spec.access) == (100, "open")
    assert timing(spec.sleep) == {
        "pause_after_s": 60,
        "page_after_s": None,
        "save_after_s": None,
        "stop_after_s": 7200,
        "check_every_s": None,
    }
    assert (spec.sleep.preset, spec.sleep.schedule) == ("balanced", ("awake 08:00-18:00 Mon-Fri Europe/Berlin",))
    assert (spec.sleep.missed_runs, spec.sleep.despite_channels, spec.sleep.wake_deadline_s) == ("skip", True, 45.0)


async def test_paths_are_opened_and_shut(inn: Run, bench: Bench) -> None:
    made = await inn(
        *("tenant", "create", "alice", "--agent", "plain", "--public-path", "/verify", "--public-path", "/static/*"),
        *("--inbox", "/telegram-webhook,id=json:update_id,port=8787", "--inbox", "/hooks"),
    )
    assert made.code == 0, made.err
    tenant = await bench.house.tenant()
    assert tenant.spec.public_paths == ("/verify", "/static/*")
    assert tenant.spec.inbox == (
        InboxPath(path="/telegram-webhook", id="json:update_id", port=8787),
        InboxPath(path="/hooks"),
    )
    shown = (await inn("tenant", "show", "alice")).out
    assert "public path          /static/*" in shown
    assert "inbox path           /telegram-webhook (id json:update_id, port 8787, said by the spec)" in shown
    document = (await inn("tenant", "show", "alice", "--json")).document
    assert document["inbox"][1] == {"path": "/hooks", "id": "auto", "port": None, "by": "spec"}

    assert (await inn("tenant", "update", "alice", "--public-path", "none", "--inbox", "none")).code == 0
    shut = await bench.house.tenant()
    assert (shut.spec.public_paths, shut.spec.inbox, shut.openings) == ((), (), None)
    assert (shut.revision, shut.remade_at) == (2, 1), "the instance stays as it is"


@pytest.mark.parametrize("inbox", ["/a,port=x", "/a,port", "/a,id=auto,id=none", "/a,ids=auto", "/a,", "/a,port=-1"])
async def test_an_inbox_that_cant_be_read(inbox: str, inn: Run) -> None:
    said = await inn("tenant", "create", "alice", "--agent", "plain", "--inbox", inbox)
    assert said.code == 2
    assert "PATH[,id=RULE][,port=PORT]" in said.err


async def test_an_operation_that_fails_is_a_failure(inn: Run, bench: Bench) -> None:
    await bench.tenant()
    bench.house.prober.answer = None
    restarting = asyncio.create_task(inn("tenant", "restart", "alice"))
    with bench.house.bus.subscribe() as events:
        while (await bench.house.tenant()).revision == 1 or (
            await bench.house.runtime.get("alice")
        ).state is not State.RUNNING:
            await events.get()
    bench.house.runtime.crash("alice", exit_code=78)
    said = await restarting
    assert (said.code, said.out) == (1, "")
    assert "error: " in said.err
    failed = await inn("status")
    assert "innkeeper tenant show alice" in failed.out


# --- what destroys asks -----------------------------------------------------------------------------------------------


class Person(io.StringIO):
    """Somebody at a terminal who types this."""

    def isatty(self) -> bool:
        return True


async def test_without_a_terminal_nothing_is_destroyed_unless_it_is_meant(inn: Run, bench: Bench) -> None:
    await bench.tenant()
    key_id, _ = await bench.key()
    for command in (("tenant", "delete", "alice"), ("key", "revoke", "alice", key_id)):
        said = await inn(*command)
        assert said.code == 2
        assert "--yes" in said.err
        assert (await inn(*command, "--json")).document["code"] == "wrong_usage"
    assert (await inn("tenant", "show", "alice")).code == 0


@pytest.mark.parametrize(("typed", "code"), [("n\n", 2), ("\n", 2), ("", 2), ("y\n", 0), ("Yes\n", 0)])
async def test_a_person_is_asked(
    typed: str, code: int, inn: Run, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.tenant()
    monkeypatch.setattr(sys, "stdin", Person(typed))
    said = await inn("tenant", "delete", "alice", "--purge")
    assert (said.code, "all its data, snapshots and keys? [y/N]" in said.err) == (code, True)


# --- chat and logs ----------------------------------------------------------------------------------------------------


async def test_a_chat_is_printed_and_can_come_from_standard_input(
    inn: Run, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.tenant()
    talker = Talker()
    place = await bench.house.runtime.place((await bench.house.tenant()).slot)
    async with serving(talker, host=place.address) as address:
        bench.agent.port = int(address.rpartition(":")[2])
        said = await inn("tenant", "chat", "alice", "Hi")
        assert (said.code, said.out) == (0, "Hello wörld\n")
        monkeypatch.setattr(sys, "stdin", io.StringIO("From a pipe"))
        piped = await inn("tenant", "chat", "alice", "--json")
        assert piped.document == {"tenant": "alice", "answer": "Hello wörld", "finish_reason": "stop"}
        assert talker.asked["messages"] == [{"role": "user", "content": "From a pipe"}]
        talker.answer, talker.kind = b"no", b"text/html"
        broken = await inn("tenant", "chat", "alice", "Hi", "--json")
        assert (broken.code, broken.document["code"]) == (1, "agent_fault")
    monkeypatch.setattr(sys, "stdin", io.StringIO(" \n"))
    assert (await inn("tenant", "chat", "alice")).code == 2
    monkeypatch.setattr(sys, "stdin", Person(""))
    assert (await inn("tenant", "chat", "alice")).code == 2


async def test_logs_cant_steer_the_terminal(inn: Run, bench: Bench) -> None:
    await bench.tenant()
    bench.house.runtime.say("alice", "red \x1b[31malert\x07 \x9b2J\r")
    said = await inn("tenant", "logs", "alice")
    assert said.out == "red [31malert 2J\n"
    bench.house.clock.turn(60)
    bench.house.runtime.say("alice", "later")
    lines = (await inn("tenant", "logs", "alice", "--tail", "1", "--json")).out.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["later"]
    since = json.loads(lines[0])["at"]
    assert (await inn("tenant", "logs", "alice", "--since", since)).out == "later\n"
    assert (await inn("tenant", "logs", "alice", "--since", "10m")).code == 0
    assert (await inn("tenant", "logs", "alice", "--since", "yesterday")).code == 2
