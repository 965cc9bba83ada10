"""Who listens on a TCP port of this host, told from /proc."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"
_PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A program that listens; its pid and name are None where we may not look."""

    pid: int | None
    program: str | None


def who_listens(host: str, port: int, *, proc: Path = _PROC) -> Listener | None:
    """Whoever keeps us from listening at `host:port`; None: it is free."""
    for inode in _inodes(host, port, proc):
        pid = _owner(inode, proc)
        return Listener(pid=pid, program=_program(pid, proc) if pid else None)
    return None


def _inodes(host: str, port: int, proc: Path) -> Iterator[str]:
    wanted = ipaddress.ip_address(host)
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue  # no IPv6 here
        for line in lines:
            _, local, _, state, *_, inode = line.split()[:10]
            address, _, port_hex = local.partition(":")
            if state == _LISTEN and int(port_hex, 16) == port and _collide(wanted, _address(address)):
                yield inode


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The kernel prints addresses as little-endian words of 32 bits."""
    raw = bytes.fromhex(text)
    packed = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
    address = ipaddress.ip_address(packed)
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _collide(
    one: ipaddress.IPv4Address | ipaddress.IPv6Address, other: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> bool:
    return one == other or one.is_unspecified or other.is_unspecified


def _owner(inode: str, proc: Path) -> int | None:
    wanted = f"socket:[{inode}]"
    for process in proc.iterdir():
        if not process.name.isdecimal():
            continue
        try:
            if any(str(fd.readlink()) == wanted for fd in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue  # ended meanwhile, or not ours to look at
    return None


def _program(pid: int, proc: Path) -> str | None:
    try:
        return (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return None
