"""Caddy as a program: one of it, found again, started again, and never in anybody's way."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from innkeeper.core.errors import EdgeFault, PortTaken
from innkeeper.edge.caddy import Caddy
from innkeeper.edge.caddy_admin import CaddyAdmin, listener_pid
from innkeeper.edge.caddy_config import EdgePlan, render
from innkeeper.edge.caddy_launch import find_binary
from innkeeper.edge.processes import Process
from tests.edge.house import raw


async def gone(pid: int) -> None:
    """Return when the process has ended."""
    with Process(pid) as process:
        await process.ended()


async def test_it_starts_says_what_it_is_and_stops(caddy: Caddy, plan: EdgePlan) -> None:
    assert not (await caddy.status()).running

    pid = await caddy.start()
    status = await caddy.status()
    assert status.running
    assert status.pid == pid
    assert status.version is not None
    assert status.version.startswith("v2.")
    assert await CaddyAdmin(plan.admin_socket).carries(render(plan))

    await caddy.stop()
    assert not (await caddy.status()).running
    await gone(pid)
    await caddy.stop()  # once more: nothing happens


async def test_another_control_plane_finds_the_same_caddy(caddy: Caddy, plan: EdgePlan) -> None:
    pid = await caddy.start()
    config = plan.run / "Caddyfile"
    config.unlink()

    assert await Caddy(plan).start() == pid
    assert not config.exists()  # nothing was started or loaded


async def test_two_starts_at_once_make_one_caddy(caddy: Caddy, plan: EdgePlan) -> None:
    assert len(set(await asyncio.gather(caddy.start(), Caddy(plan).start(), Caddy(plan).start()))) == 1


async def test_it_is_detached_and_knows_no_secret_of_ours(
    caddy: Caddy, plan: EdgePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary")
    monkeypatch.setenv("HTTP_PROXY", "http://canary")

    pid = await caddy.start()

    assert b"canary" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
    for output in (1, 2):
        assert Path(f"/proc/{pid}/fd/{output}").readlink() == plan.run / "caddy-start.log"


async def test_its_sockets_and_files_are_ours_alone(caddy: Caddy, plan: EdgePlan) -> None:
    await caddy.start()

    assert plan.admin_socket.stat().st_mode & 0o777 == 0o600
    assert plan.log.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in plan.run.iterdir()} <= {
        "Caddyfile", "caddy", "caddy-admin.sock", "caddy-start.log", "caddy.lock", "caddy.log", "courier.sock",
        "deliveries.log",
    }  # fmt: skip


async def test_killed_it_is_started_again(caddy: Caddy, plan: EdgePlan) -> None:
    first = await caddy.start()
    watching = asyncio.create_task(caddy.watch())
    try:
        os.kill(first, signal.SIGKILL)
        await gone(first)
        while (second := listener_pid(plan.admin_socket)) is None:
            await asyncio.wait([watching], timeout=0.02)
        assert second != first
        await CaddyAdmin(plan.admin_socket).settled()
        status, _ = await raw(("127.0.0.1", plan.port), b"GET / HTTP/1.1\r\nHost:\r\n\r\n")
        assert status == 400
    finally:
        watching.cancel()


async def test_watching_ends_without_ending_caddy(caddy: Caddy, plan: EdgePlan) -> None:
    pid = await caddy.start()
    watching = asyncio.create_task(caddy.watch())
    await asyncio.wait([watching], timeout=0.05)
    watching.cancel()
    await asyncio.wait([watching])

    assert listener_pid(plan.admin_socket) == pid


async def test_a_taken_port_is_named_with_who_has_it(caddy: Caddy, plan: EdgePlan) -> None:
    with socket.create_server(("127.0.0.1", plan.port)):
        with pytest.raises(PortTaken) as refused:
            await caddy.start()
        own = Path("/proc/self/comm").read_text().strip()
        assert str(plan.port) in refused.value.message
        assert f"{own} (process {os.getpid()})" in refused.value.message
    await caddy.start()


async def test_another_caddy_on_the_port_is_a_stranger(caddy: Caddy, plan: EdgePlan, run_for_all: Path) -> None:
    await caddy.start()
    elsewhere = EdgePlan(host="0.0.0.0", port=plan.port, run=run_for_all / "x", wake_deadline_s=20)

    with pytest.raises(PortTaken, match="caddy"):
        await Caddy(elsewhere).start()


async def test_why_it_does_not_start_is_told_and_it_is_tried_again(plan: EdgePlan, tmp_path: Path) -> None:
    broken = tmp_path / "caddy"
    broken.write_text("#!/bin/sh\necho 'no caddy today' >&2\nexit 1\n")
    broken.chmod(0o700)
    caddy = Caddy(plan, binary=broken)

    with pytest.raises(EdgeFault, match="no caddy today"):
        await caddy.start()

    watching = asyncio.create_task(caddy.watch())
    try:
        while (await caddy.status()).problem is None:
            await asyncio.wait([watching], timeout=0.02)
        broken.unlink()
        broken.symlink_to(find_binary())
        while not (await caddy.status()).running:
            await asyncio.wait([watching], timeout=0.05)
        while (await caddy.status()).problem is not None:
            await asyncio.wait([watching], timeout=0.02)
    finally:
        watching.cancel()
        await caddy.stop()


async def test_a_dead_caddys_socket_is_in_nobodys_way(caddy: Caddy, plan: EdgePlan) -> None:
    pid = await caddy.start()
    os.kill(pid, signal.SIGKILL)
    await gone(pid)

    assert plan.admin_socket.exists()
    assert await caddy.start() != pid


async def test_a_path_too_long_for_a_socket_is_said_so(tmp_path: Path) -> None:
    plan = EdgePlan(host="127.0.0.1", port=1, run=tmp_path / ("x" * 100), wake_deadline_s=1)

    with pytest.raises(EdgeFault, match="bytes long"):
        await Caddy(plan).start()
