"""Everything that isn't about one tenant: keys, images, operations, audit, status, doctor."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from innkeeper.core.errors import ImageBuildFailed
from innkeeper.core.instance import State
from innkeeper.host.doctor.finding import Finding, Status
from tests.api.bench import Bench
from tests.cli.conftest import Run


async def test_a_keys_secret_is_printed_once(inn: Run, bench: Bench) -> None:
    await bench.tenant()
    made = await inn("key", "create", "alice", "--name", "phone")
    assert made.out.startswith("ik_k_")
    assert made.out.count("\n") == 1
    as_json = (await inn("key", "create", "alice", "--json")).document
    assert as_json["key"].startswith("ik_k_")
    listed = await inn("key", "list", "alice")
    assert made.out.strip() not in listed.out
    assert [key["name"] for key in (await inn("key", "list", "alice", "--json")).document] == ["phone", "default"]
    assert (await inn("key", "revoke", "alice", as_json["id"], "--yes")).code == 0
    assert (await inn("key", "revoke", "alice", as_json["id"], "--yes")).code == 3


async def test_an_image_is_built_with_its_progress_shown(inn: Run, bench: Bench) -> None:
    built = await inn("image", "build", "plain", "--version", "3.0")
    assert (built.code, built.out) == (0, "plain 3.0 is sha256:built (7 MB)\n")
    assert built.err.splitlines() == ["looking", "building"]
    assert (await inn("image", "build", "plain", "--json")).document["image"] == "sha256:built"
    assert [line.split()[1] for line in (await inn("image", "list")).out.splitlines()[1:]] == ["3.0", "2.0", "1.0"]
    agents = await inn("agent", "list")
    assert agents.out.splitlines()[1].split() == ["plain", "Plain", "128", "MB", "64", "MB", "3.0,", "2.0,", "1.0"]
    bench.builds.problem = ImageBuildFailed("npm says no.", hint="Ask npm.")
    failed = await inn("image", "build", "plain")
    assert (failed.code, failed.err.splitlines()[-2:]) == (1, ["error: npm says no.", "hint: Ask npm."])
    assert (await inn("image", "build", "skynet")).code == 2


async def test_operations_can_be_looked_at_and_waited_for(inn: Run, bench: Bench) -> None:
    await bench.tenant("alice")
    await bench.tenant("bob")
    listed = (await inn("operation", "list", "--json")).document
    assert [each["tenant"] for each in listed] == ["alice", "bob"]
    latest = (await inn("operation", "list", "--last", "1")).out.splitlines()
    assert latest[1].split()[:4] == [listed[1]["id"], "provision", "bob", "done"]
    shown = await inn("operation", "show", listed[0]["id"], "--wait")
    assert (shown.code, "done" in shown.out) == (0, True)
    assert (await inn("operation", "show", "op_nothing")).code == 3


async def test_the_latest_of_the_trail_is_listed(inn: Run, bench: Bench) -> None:
    await bench.tenant()
    entries = (await inn("audit", "list", "--tenant", "alice", "--json")).document
    assert [entry["action"] for entry in entries] == ["tenant.create"]
    assert "tenant.create" in (await inn("audit", "list", "--last", "1")).out


async def test_status_fits_on_one_screen(inn: Run, bench: Bench) -> None:
    for number in range(12):
        await bench.tenant(f"t{number:02}")
    async with bench.house.store.look() as tx:
        tenants = await tx.tenants()
    for tenant in tenants:
        lease = await bench.house.store.claim(tenant.name, holder="test", for_s=60)
        assert lease is not None
        await bench.house.store.record(lease, replace(tenant.seen, state=State.FAILED, error="x" * 500))
    bench.parts[0] = replace(bench.parts[0], version="v" * 200)
    said = await inn("status")
    lines = said.out.splitlines()
    assert said.code == 0
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 79
    assert "12: 12 failed" in said.out
    assert "and 4 more" in said.out
    assert "DOWN (not started)" in said.out
    assert (await inn("status", "--json")).document["tenants"]["total"] == 12


async def test_the_doctor_fails_when_something_fails(inn: Run, bench: Bench) -> None:
    assert (await inn("doctor")).code == 0
    bench.findings.append(Finding(name="disk", status=Status.FAIL, says="full", fix="Buy one."))
    sick = await inn("doctor")
    assert sick.code == 1
    assert "FAIL  disk    full\n" in sick.out
    assert "-> Buy one." in sick.out
    as_json = await inn("doctor", "--json")
    assert (as_json.code, as_json.document["ok"]) == (1, False)


async def test_the_doctor_looks_for_itself_where_nobody_answers(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNKEEPER_DOCKER_SOCKET", str(tmp_path / "no.sock"))
    said = await run("doctor", "--json")
    assert said.code == 1
    assert "doesn't answer at 127.0.0.1:1" in said.err
    assert {finding["name"]: finding["status"] for finding in said.document["findings"]}["docker"] == "fail"


async def test_the_version_needs_nobody(run: Run) -> None:
    said = await run("version")
    assert (said.code, said.out.split()[0]) == (0, "innkeeper")
    assert (await run("version", "--json")).document["version"] == said.out.split()[1]


async def test_a_control_plane_that_restarts_meanwhile_is_waited_for(
    inn: Run, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.tenant()
    bench.inn.stopping.set()
    bench.house.prober.answer = None
    waiting = asyncio.create_task(inn("tenant", "restart", "alice"))
    with bench.house.bus.subscribe() as events:
        while (await bench.house.tenant()).revision == 1:
            await events.get()
    bench.inn.stopping.clear()
    bench.house.prober.answer = (200, b"{}")
    said = await waiting
    assert (said.code, said.out) == (0, "alice is running at http://alice.localhost:8080/\n")
