"""The doctor's checks, each against a machine of paper: folders for /proc and /sys, an Engine of canned answers."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.certificates import Certificate, CertificateFailure, Certificates
from innkeeper.core.errors import DiskFull, RuntimeUnavailable
from innkeeper.core.ladder import Rung
from innkeeper.core.snapshot_errors import TargetUnreachable
from innkeeper.host import doctor
from innkeeper.host.doctor import (
    audit,
    backup_age,
    backups,
    bridge_netfilter,
    caddy,
    certificates,
    cgroups,
    clock,
    disk,
    docker,
    egress,
    images,
    inotify,
    isolation,
    ladder,
    leftovers,
    listening,
    memory,
    names,
    ports,
    revocation,
    swap,
)
from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import (
    BackupAges,
    BackupFacts,
    EgressFacts,
    Engine,
    Host,
    Isolation,
    LeftOver,
    Port,
    TenantFacts,
    Trail,
    engine_at,
)
from innkeeper.host.sever import Ways, ways

RECENT_S = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
EDGE = Port(number=8080, purpose="the edge", setting="INNKEEPER_EDGE_PORT")


def engine(answers: Mapping[str, Any]) -> Engine:
    async def get(path: str) -> Any:
        return answers.get(path)

    return get


async def engine_down(path: str) -> Any:
    raise RuntimeUnavailable("the Docker Engine doesn't answer")


def tenant(name: str = "alice", *, image: str = "sha256:1", memory_mb: int = 2048) -> TenantFacts:
    return TenantFacts(name=name, agent="openclaw", release="2026.9.6", image=image, memory_mb=memory_mb)


class Paper:
    """A machine of paper, to be written on before a check looks at it."""

    def __init__(self, root: Path) -> None:
        self.proc, self.sys, self.data = root / "proc", root / "sys", root / "data"
        for folder in (self.proc, self.sys, self.data / "run"):
            folder.mkdir(parents=True)

    def write(self, path: str, text: str) -> None:
        file = self.proc.parent / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def host(self, answers: Mapping[str, Any] | None = None, **facts: Any) -> Host:
        facts.setdefault("engine", engine(answers or {}))
        return Host(data=self.data, proc=self.proc, sys=self.sys, now_s=lambda: RECENT_S, **facts)


@pytest.fixture
def paper(tmp_path: Path) -> Paper:
    return Paper(tmp_path)


def engine_version(version: str, runc: str) -> dict[str, Any]:
    return {"/version": {"Version": version, "Components": [{"Name": "runc", "Version": runc}]}}


@pytest.mark.parametrize(
    ("version", "runc", "status"),
    [
        ("20.10.24+dfsg1", "1.1.5+ds1", Status.WARN),
        ("27.5.1", "1.2.7", Status.WARN),
        ("27.5.1", "1.2.8", Status.OK),
        ("28.1.1", "1.3.2", Status.WARN),
        ("28.1.1", "1.3.3", Status.OK),
        ("29.0.0", "1.4.0", Status.OK),
        ("30.0.0", "2.0.1", Status.OK),
        ("19.03.15", "1.3.3", Status.FAIL),
    ],
)
async def test_docker_must_be_new_enough(paper: Paper, version: str, runc: str, status: Status) -> None:
    found = await docker.check(paper.host(engine_version(version, runc)))
    assert found.status is status
    assert version in found.says


@pytest.mark.parametrize(
    ("controllers", "status", "words"),
    [
        ("cpuset cpu io memory hugetlb pids", Status.OK, "version 2"),
        ("cpuset cpu io", Status.FAIL, "memory, pids"),
    ],
)
async def test_cgroups_version_2(paper: Paper, controllers: str, status: Status, words: str) -> None:
    paper.write("sys/fs/cgroup/cgroup.controllers", controllers)
    found = await cgroups.check(paper.host())
    assert found.status is status
    assert words in found.says


@pytest.mark.parametrize(("missing", "status"), [((), Status.OK), (("freezer",), Status.FAIL)])
async def test_cgroups_version_1(paper: Paper, missing: tuple[str, ...], status: Status) -> None:
    for name in {"cpu", "freezer", "memory", "pids"} - set(missing):
        (paper.sys / "fs/cgroup" / name).mkdir(parents=True)
    found = await cgroups.check(paper.host())
    assert found.status is status
    assert all(name in found.says for name in ("version 1", *missing))


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "status"),
    [("1", "1", Status.OK), ("0", "1", Status.FAIL), ("1", "0", Status.FAIL), (None, None, Status.WARN)],
)
async def test_bridge_netfilter_must_be_on(paper: Paper, ipv4: str | None, ipv6: str | None, status: Status) -> None:
    for name, value in (("iptables", ipv4), ("ip6tables", ipv6)):
        if value is not None:
            paper.write(f"proc/sys/net/bridge/bridge-nf-call-{name}", value + "\n")
    found = await bridge_netfilter.check(paper.host())
    assert found.status is status
    assert bool(found.fix) is (status is not Status.OK)


def listener(port: int, inode: int, *, address: str = "0100007F", state: str = "0A") -> str:
    """A line of /proc/net/tcp."""
    queues = "00000000:00000000 00:00000000 00000000"
    return f"   0: {address}:{port:04X} 00000000:0000 {state} {queues}     0        0 {inode} 1\n"


async def test_a_free_port_is_fine(paper: Paper) -> None:
    paper.write("proc/net/tcp", "heading\n" + listener(8080, 7, state="01") + listener(22, 8))
    found = await ports.check(paper.host(ports=(EDGE,)))
    assert (found.status, found.says) == (Status.OK, "8080 free")


@pytest.mark.parametrize("table", ["tcp", "tcp6"])
async def test_a_port_of_another_program_is_told(paper: Paper, table: str) -> None:
    paper.write(f"proc/net/{table}", "heading\n" + listener(8080, 7))
    found = await ports.check(paper.host(ports=(EDGE,)))
    assert found.status is Status.FAIL
    assert "8080 (the edge)" in found.says
    assert "INNKEEPER_EDGE_PORT" in found.fix


@pytest.mark.parametrize("whose", ["the control plane", "caddy"])
async def test_a_port_of_ours_is_fine(paper: Paper, whose: str) -> None:
    paper.write("proc/net/tcp", "heading\n" + listener(8080, 7))
    if whose == "caddy":
        paper.write("proc/42/cmdline", f"caddy\0run\0--config\0{paper.data}/run/Caddyfile\0")
    else:
        paper.write("data/run/serve.lock", "42\n")
    (paper.proc / "42/fd").mkdir(parents=True)
    (paper.proc / "42/fd/3").symlink_to("socket:[7]")
    found = await ports.check(paper.host(ports=(EDGE,)))
    assert (found.status, found.says) == (Status.OK, "8080 ours")


def room(free_mb: int, inodes: int) -> os.statvfs_result:
    return os.statvfs_result((4096, 2**20, 10**6, free_mb, free_mb, 10**6, inodes, inodes, 0, 255))


@pytest.mark.parametrize(
    ("free_mb", "inodes", "status"),
    [
        (50_000, 10**6, Status.OK),
        (50_000, 0, Status.OK),  # a file system that doesn't count them
        (50_000, 500, Status.WARN),
        (3_000, 10**6, Status.WARN),
        (200, 10**6, Status.FAIL),
    ],
)
async def test_disk_needs_room(paper: Paper, free_mb: int, inodes: int, status: Status) -> None:
    found = await disk.check(paper.host(statvfs=lambda _: room(free_mb, inodes)))
    assert found.status is status
    assert str(free_mb) in found.says


async def test_disk_tells_of_the_fuller_of_two(paper: Paper, tmp_path: Path) -> None:
    engine_root = tmp_path / "engine"
    engine_root.mkdir()
    found = await disk.check(
        paper.host(
            {"/info": {"DockerRootDir": str(engine_root)}},
            statvfs=lambda folder: room(300 if folder == engine_root else 90_000, 10**6),
        )
    )
    assert found.status is Status.FAIL
    assert str(engine_root) in found.says


async def test_disk_is_told_without_an_engine(paper: Paper) -> None:
    found = await disk.check(paper.host(engine=engine_down, statvfs=lambda _: room(9_000, 10**6)))
    assert found.status is Status.OK


MEMINFO = (
    "MemTotal: {total} kB\nMemAvailable: {available} kB\nSwapTotal: {swap} kB\nSwapFree: 0 kB\nHugePages_Total: 0\n"
)


def meminfo(*, total_mb: int = 8192, available_mb: int = 6000, swap_mb: int = 0) -> str:
    return MEMINFO.format(total=total_mb * 1024, available=available_mb * 1024, swap=swap_mb * 1024)


@pytest.mark.parametrize(
    ("tenants", "text", "status"),
    [
        (4, meminfo(), Status.OK),
        (5, meminfo(), Status.WARN),
        (5, meminfo(swap_mb=4096), Status.OK),
        (0, meminfo(available_mb=300), Status.WARN),
        (1, "", Status.SKIP),
    ],
)
async def test_memory_against_limits(paper: Paper, tenants: int, text: str, status: Status) -> None:
    paper.write("proc/meminfo", text)
    facts = tuple(tenant(f"t{number}") for number in range(tenants))
    assert (await memory.check(paper.host(tenants=facts))).status is status


async def test_swap(paper: Paper) -> None:
    paper.write("proc/meminfo", meminfo())
    assert (await swap.check(paper.host())).status is Status.WARN

    paper.write("proc/meminfo", meminfo(swap_mb=2048))
    paper.write("proc/swaps", "Filename Type Size Used Priority\n/dev/zram0 partition 2097148 0 100\n")
    found = await swap.check(paper.host())
    assert found.status is Status.OK
    assert "2048 MB zram" in found.says


async def test_ladder(paper: Paper) -> None:
    assert (await ladder.check(paper.host())).status is Status.SKIP
    missing = {Rung.SAVED: "nothing here saves tenants"}
    found = await ladder.check(paper.host(missing_rungs=missing))
    assert (found.status, found.says) == (Status.OK, "idle tenants can be paused, paged, stopped")
    found = await ladder.check(paper.host(missing_rungs=missing | {Rung.PAGED: "the host has no swap"}))
    assert (found.status, found.says) == (Status.WARN, "idle tenants skip `paged`: the host has no swap")


@pytest.mark.parametrize(
    ("trail", "status", "says"),
    [
        (Trail(fault=None), Status.OK, "not checked whole since the start"),
        (Trail(fault=None, checked=datetime(2026, 11, 20, 12, 30, tzinfo=UTC)), Status.OK, "at 2026-11-20 12:30 UTC"),
        (Trail(fault="the last line is number 7, and number 9 was written"), Status.FAIL, "number 9 was written"),
    ],
)
async def test_audit(paper: Paper, trail: Trail, status: Status, says: str) -> None:
    async def told() -> Trail:
        return trail

    assert (await audit.check(paper.host())).status is Status.SKIP
    found = await audit.check(paper.host(trail=told))
    assert (found.status, says in found.says) == (status, True)


@pytest.mark.parametrize(("allowed", "status"), [("128", Status.OK), ("4", Status.WARN), (None, Status.SKIP)])
async def test_inotify(paper: Paper, monkeypatch: pytest.MonkeyPatch, allowed: str | None, status: Status) -> None:
    monkeypatch.setattr(inotify, "TENANTS_UID", os.getuid())
    if allowed is not None:
        paper.write("proc/sys/fs/inotify/max_user_instances", allowed)
    for pid in (7, 8):
        folder = paper.proc / str(pid) / "fd"
        folder.mkdir(parents=True)
        for number, target in enumerate(("/dev/null", "anon_inode:inotify", "anon_inode:inotify")):
            (folder / str(number)).symlink_to(target)
    found = await inotify.check(paper.host())
    assert found.status is status
    assert allowed is None or f"4 of {allowed} " in found.says
    monkeypatch.setattr(inotify, "TENANTS_UID", os.getuid() + 1)
    assert (await inotify.check(paper.host())).status is (Status.SKIP if allowed is None else Status.OK)


@pytest.mark.parametrize(("synchronised", "status"), [(True, Status.OK), (False, Status.WARN), (None, Status.OK)])
async def test_clock_synchronised(paper: Paper, synchronised: bool | None, status: Status) -> None:
    assert (await clock.check(paper.host(ntp_synchronised=lambda: synchronised))).status is status


async def test_clock_in_the_past(paper: Paper) -> None:
    host = Host(data=paper.data, engine=engine({}), now_s=lambda: 0.0, ntp_synchronised=lambda: True)
    found = await clock.check(host)
    assert found.status is Status.FAIL
    assert "1970-01-01" in found.says


def program(path: Path, output: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)
    return path


async def test_caddy(paper: Paper, tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    new = program(tmp_path / "new", "v2.11.7 h1:abc=")
    old = program(tmp_path / "old", "v2.6.2")
    assert (await caddy.check(paper.host())).status is Status.SKIP
    assert (await caddy.check(paper.host(caddy=tmp_path / "none", caddy_admin=admin))).status is Status.FAIL
    assert (await caddy.check(paper.host(caddy=old, caddy_admin=admin))).status is Status.FAIL
    assert (await caddy.check(paper.host(caddy=new, caddy_admin=admin))).status is Status.WARN

    server = await asyncio.start_unix_server(lambda _reader, writer: writer.close(), admin)
    async with server:
        found = await caddy.check(paper.host(caddy=new, caddy_admin=admin))
    assert (found.status, found.says) == (Status.OK, "2.11.7 is running")


async def test_images(paper: Paper) -> None:
    here = {"/images/sha256:1/json": {"Id": "sha256:1"}}
    both = (tenant("a"), tenant("b"), tenant("c", image="sha256:2"))
    assert (await images.check(paper.host(here, tenants=both[:2]))).status is Status.OK
    assert (await images.check(paper.host(here, tenants=None))).status is Status.SKIP
    found = await images.check(paper.host(here, tenants=both))
    assert found.status is Status.FAIL
    assert found.fix == "innkeeper image build openclaw"


def container(*, ports: list[dict[str, Any]], network: str = "innkeeper-0") -> dict[str, Any]:
    return {"Names": ["/innkeeper-alice"], "Ports": ports, "HostConfig": {"NetworkMode": network}}


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        (container(ports=[{"PrivatePort": 18789, "Type": "tcp"}]), Status.OK),
        (container(ports=[{"IP": "0.0.0.0", "PrivatePort": 18789, "PublicPort": 18789}]), Status.FAIL),
        (container(ports=[{"IP": "127.0.0.1", "PrivatePort": 18789, "PublicPort": 18789}]), Status.FAIL),
        (container(ports=[], network="host"), Status.FAIL),
    ],
)
async def test_listening(paper: Paper, seen: dict[str, Any], status: Status) -> None:
    found = await listening.check(paper.host({listening.OURS: [seen]}))
    assert found.status is status
    assert ("innkeeper-alice" in found.says) is (status is Status.FAIL)


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        (None, Status.SKIP),
        (Isolation(tenant="alice"), Status.OK),
        (Isolation(tenant="alice", leaks=("tenant bob",)), Status.FAIL),
        (Isolation(tenant="alice", missing=("the broker",)), Status.WARN),
    ],
)
async def test_isolation(paper: Paper, seen: Isolation | None, status: Status) -> None:
    async def probe() -> Isolation | None:
        return seen

    assert (await isolation.check(paper.host(isolation=probe))).status is status


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        (None, Status.SKIP),
        (EgressFacts(watched=0, past_us=True), Status.SKIP),
        (EgressFacts(watched=2), Status.OK),
        (EgressFacts(watched=2, past_us=True), Status.WARN),
        (EgressFacts(watched=2, behind=("alice",), past_us=True), Status.FAIL),
    ],
)
async def test_egress(paper: Paper, facts: EgressFacts | None, status: Status) -> None:
    look = None if facts is None else lambda: facts
    assert (await egress.check(paper.host(egress=look))).status is status


async def test_a_check_that_breaks_or_hangs_is_a_finding(paper: Paper) -> None:
    async def breaks(host: Host) -> Finding:
        raise KeyError("surprise")

    async def refuses(host: Host) -> Finding:
        raise DiskFull("the disk is full")

    async def hangs(host: Host) -> Finding:
        await asyncio.Event().wait()
        raise AssertionError("never woken")

    findings = await doctor.run(paper.host(), checks=(breaks, refuses, hangs), deadline_s=0.01)
    assert [found.status for found in findings] == [Status.FAIL] * 3
    assert "surprise" in findings[0].says
    assert findings[1].fix == DiskFull.default_hint
    assert "0.01 s" in findings[2].says


async def test_a_dead_engine_is_told_once(paper: Paper) -> None:
    findings = await doctor.run(paper.host(engine=engine_down, tenants=(tenant(),)))
    by_name = {found.name: found.status for found in findings}
    assert by_name["docker"] is Status.FAIL
    assert by_name["images"] is by_name["listening"] is Status.SKIP


async def test_every_check_names_itself_after_its_file(paper: Paper) -> None:
    findings = await doctor.run(paper.host(engine_version("28.1.1", "1.3.3")))
    assert [found.name for found in findings] == [check.__module__.rpartition(".")[2] for check in doctor.CHECKS]


async def test_the_engine_is_asked_over_its_socket(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        status, body = (200, {"Version": "28"}) if b"/version" in request else (404, {"message": "no such image"})
        text = json.dumps(body).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(text), text))
        await writer.drain()
        writer.close()

    socket = str(tmp_path / "engine.sock")
    async with await asyncio.start_unix_server(answer, socket):
        assert await engine_at(socket)("/version") == {"Version": "28"}
        assert await engine_at(socket)("/images/none/json") is None
    with pytest.raises(RuntimeUnavailable):
        await engine_at(str(tmp_path / "nobody.sock"))("/version")


async def test_the_real_machine_has_a_finding_for_everything(tmp_path: Path) -> None:
    host = Host(data=tmp_path, engine=engine_down, ntp_synchronised=clock.kernel_synchronised, ports=(EDGE,))
    for found in await doctor.run(host):
        assert found.says
        assert not found.says.startswith("the check itself broke"), found


@pytest.mark.parametrize(
    ("destroy", "borrow", "status", "words"),
    [
        (None, None, Status.OK, ["the kernel destroys them"]),
        (None, "it doesn't run", Status.OK, ["the kernel destroys them"]),
        ("Operation not supported", None, Status.OK, ["descriptors", "Operation not supported"]),
        ("Operation not permitted", "it doesn't run", Status.FAIL, ["stays open", "not permitted", "doesn't run"]),
    ],
)
async def test_a_revoked_keys_connections_can_be_ended(
    paper: Paper, destroy: str | None, borrow: str | None, status: Status, words: list[str]
) -> None:
    found = await revocation.check(paper.host(ways_to_sever=lambda: Ways(destroy=destroy, borrow=borrow)))
    assert found.status is status
    assert all(word in found.says for word in words)
    assert ("CAP_NET_ADMIN" in found.fix) is (status is Status.FAIL)


async def test_ways_to_sever_are_tried_for_real(paper: Paper) -> None:
    found = await revocation.check(paper.host(ways_to_sever=lambda: ways(os.getpid())))
    assert found.status is Status.OK
    assert (await revocation.check(paper.host())).status is Status.SKIP


# --- names and certificates -------------------------------------------------------------------------------------------

RECENT = datetime.fromtimestamp(RECENT_S, UTC)
DAY = timedelta(days=1)


def lasts(host: str, days: float, *, is_own: bool = False) -> Certificate:
    expires_at = RECENT + days * DAY
    return Certificate(host=host, begins_at=expires_at - 90 * DAY, expires_at=expires_at, is_own=is_own)


FAILED = CertificateFailure(host="alice.example.com", at=RECENT, says="connection refused")


@pytest.mark.parametrize(
    ("there", "status", "says"),
    [
        (Certificates(), Status.OK, "0 there"),
        (Certificates(found=(lasts("alice.example.com", 60), lasts("bob.example.com", 1))), Status.OK, "2 there, 1 of"),
        (Certificates(failures=(FAILED,)), Status.FAIL, "1 can't be got or renewed, last that of alice.example.com"),
        (Certificates(found=(lasts("alice.example.com", 9),), failures=(FAILED,)), Status.WARN, "1 can't be got"),
        (Certificates(found=(lasts("alice.example.com", -1),), failures=(FAILED,)), Status.FAIL, "1 can't be got"),
        (Certificates(found=(lasts("*.example.com", 60, is_own=True),)), Status.OK, "1 there"),
        (Certificates(found=(lasts("*.example.com", 9, is_own=True),)), Status.WARN, "your own ends at 2027-01-10"),
        (Certificates(found=(lasts("*.example.com", -1, is_own=True),)), Status.FAIL, "your own ends at 2026-12-31"),
    ],
)
async def test_certificates(paper: Paper, there: Certificates, status: Status, says: str) -> None:
    found = await certificates.check(paper.host(certificates=lambda: there))

    assert found.status is status
    assert found.says.startswith(says)
    assert bool(found.fix) is (status is not Status.OK)


async def test_without_tls_there_are_none(paper: Paper) -> None:
    assert (await certificates.check(paper.host())).status is Status.SKIP


async def test_a_tenant_called_like_the_console(paper: Paper) -> None:
    assert (await names.check(paper.host(tenants=(tenant(),)))).status is Status.OK
    found = await names.check(paper.host(tenants=(tenant(), tenant("console"))))
    assert found.status is Status.FAIL
    assert (await names.check(paper.host(tenants=None))).status is Status.SKIP


async def test_what_deleted_tenants_have_left_is_told(paper: Paper) -> None:
    nothing = await leftovers.check(paper.host(left_over=lambda: LeftOver(folders=[], keys=0)))
    assert (nothing.status, nothing.fix) == (Status.OK, "")
    some = await leftovers.check(paper.host(left_over=lambda: LeftOver(folders=list("abcdefg"), keys=2)))
    assert some.says.startswith("folders of a, b, c, d, e … and 2 data keys are kept")
    assert "--purge" in some.fix
    assert (await leftovers.check(paper.host())).status is Status.SKIP


# --- how old backups are ----------------------------------------------------------------------------------------------


async def test_backups_that_fail_or_are_late_are_named(tmp_path: Path) -> None:
    async def checked(ages: BackupAges | None) -> Finding:
        async def told() -> BackupAges | None:
            return ages

        return await backup_age.check(Host(data=tmp_path, engine=engine({}), backup_ages=told))

    assert (await backup_age.check(Host(data=tmp_path, engine=engine({})))).status is Status.SKIP
    assert (await checked(None)).status is Status.SKIP
    fine = await checked(BackupAges(oldest_h=7.2, never=1))
    assert (fine.status, fine.says) == (
        Status.OK,
        "none is late; the oldest good one is of 7 hours ago; 1 were never backed up, and aren't due yet",
    )
    failing = await checked(BackupAges(failing=dict.fromkeys("abcde", "It is full."), late=("a",)))
    assert (failing.status, failing.says) == (Status.FAIL, "backups of a, b, c and 2 more fail: It is full.")
    assert (await checked(BackupAges(late=("a", "the database")))).says == "backups of a, the database are late"


# --- backups ----------------------------------------------------------------------------------------------------------


def a_program(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


async def test_backups_say_what_is_missing_too_old_or_unreachable(tmp_path: Path) -> None:
    restic, bwrap = a_program(tmp_path / "restic", "restic 0.16.4 compiled with go"), a_program(tmp_path / "bwrap", "")
    old = a_program(tmp_path / "old", "restic 0.12.1 compiled with go")

    async def there() -> None:
        return None

    async def away() -> None:
        raise TargetUnreachable("s3:https://host/bucket doesn't answer.")

    async def found(**facts: Any) -> Finding:
        programs = facts.pop("programs", {"restic": restic, "bubblewrap": bwrap})
        room = os.statvfs_result((4096, 4096, 0, 0, facts.pop("free", 1 << 24), 0, 0, 0, 0, 0))
        told = BackupFacts(programs=programs, **facts)
        return await backups.check(Host(data=tmp_path, engine=engine({}), backups=told, statvfs=lambda _: room))

    near = {"folders": (tmp_path / "none/backups",)}
    assert (await found()).status is Status.WARN
    lacks = await found(programs={"restic": None, "bubblewrap": bwrap}, **near)
    assert (lacks.status, "restic isn't installed" in lacks.says) == (Status.FAIL, True)
    assert (await found(programs={"restic": old, "bubblewrap": bwrap}, **near)).status is Status.FAIL
    assert "only copy" in (await found(**near)).says
    both = await found(**near, far={"remote": there}, elsewhere=True)
    assert (both.status, str(tmp_path) in both.says, "remote" in both.says) == (Status.OK, True, True)
    gone = await found(**near, far={"remote": away}, elsewhere=True)
    assert (gone.status, gone.fix) == (Status.FAIL, TargetUnreachable.default_hint)
    assert (await found(**near, elsewhere=True, free=1000)).status is Status.WARN
    assert "by a control plane that runs" in (await found(elsewhere=True, unseen=True)).says
