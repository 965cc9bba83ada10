"""Disk: is there room for tenants, images and the database?"""

from __future__ import annotations

from pathlib import Path

from innkeeper.core.errors import RuntimeUnavailable
from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

FAIL_BELOW_MB = 1024
WARN_BELOW_MB = 5120
WARN_BELOW_INODES = 100_000
"""An OpenClaw image alone has some 40,000 files."""


async def check(host: Host) -> Finding:
    """Room under the data directory and under the Engine's."""
    rooms = [_room(host, folder) for folder in (host.data, await _engine_root(host))]
    folder, free_mb, free_inodes = min(rooms, key=lambda room: room[1])
    if free_mb < FAIL_BELOW_MB:
        status = Status.FAIL
    elif free_mb < WARN_BELOW_MB or 0 < free_inodes < WARN_BELOW_INODES:
        status = Status.WARN
    else:
        return Finding(name="disk", status=Status.OK, says=f"{free_mb} MB free under {folder}")
    return Finding(
        name="disk",
        status=status,
        says=f"{free_mb} MB and {free_inodes} inodes free under {folder}",
        fix="Remove images that no tenant uses (`innkeeper image list`), purge tenants, or enlarge the disk.",
    )


async def _engine_root(host: Host) -> Path:
    try:
        info = await host.engine("/info")
    except RuntimeUnavailable:
        info = None
    return Path((info or {}).get("DockerRootDir", "/var/lib/docker"))


def _room(host: Host, folder: Path) -> tuple[Path, int, int]:
    """The folder, or the nearest above it that there is, with its free MB and inodes (0: has no such count)."""
    while not folder.exists():
        folder = folder.parent
    seen = host.statvfs(folder)
    return folder, seen.f_bavail * seen.f_frsize // 2**20, seen.f_favail
