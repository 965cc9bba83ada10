"""The switch that lets the firewall see traffic between two tenants on one bridge: without it nothing isolates them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from innkeeper.core.errors import IsolationBroken

SWITCHES = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")
FOLDER = Path("/proc/sys/net/bridge")


async def assert_bridge_netfilter(folder: Path = FOLDER) -> None:
    """Switch it on where it is off; IsolationBroken where that can't be done."""
    if not _is_loaded(folder):
        await _load_module()
    for name in SWITCHES:
        _switch_on(folder / name)


def _is_loaded(folder: Path) -> bool:
    return folder.exists()


async def _load_module() -> None:
    with suppress(FileNotFoundError):
        modprobe = await asyncio.create_subprocess_exec(
            "modprobe", "br_netfilter", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        await modprobe.wait()


def _switch_on(path: Path) -> None:
    try:
        if path.read_text().strip() != "1":
            path.write_text("1")
    except OSError as error:
        raise IsolationBroken(
            f"net.bridge.{path.name} isn't 1 and can't be set, so tenants on one network could reach each other: "
            f"{error.strerror}.",
            hint=f"Run `modprobe br_netfilter` and `sysctl -w net.bridge.{path.name}=1` as root.",
        ) from error
