"""Ports: are those that Innkeeper needs free, or held by itself?"""

from __future__ import annotations

from pathlib import Path

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

LISTENING = "0A"  # the kernel's TCP_LISTEN


async def check(host: Host) -> Finding:
    """Every listener on one of our ports belongs to the control plane or to Caddy."""
    listeners = _listeners(host)
    ours = _our_sockets(host)
    taken = [port for port in host.ports if listeners.get(port.number, set()) - ours]
    if taken:
        port = taken[0]
        words = ", ".join(f"{port.number} ({port.purpose})" for port in taken)
        return Finding(
            name="ports",
            status=Status.FAIL,
            says=f"taken by another program: {words}",
            fix=f"Find it with `ss -ltnp 'sport = :{port.number}'` and stop it, or change {port.setting}.",
        )
    held = [str(port.number) for port in host.ports if port.number in listeners]
    free = [str(port.number) for port in host.ports if port.number not in listeners]
    parts = (f"{', '.join(numbers)} {word}" for numbers, word in ((held, "ours"), (free, "free")) if numbers)
    return Finding(name="ports", status=Status.OK, says="; ".join(parts))


def _listeners(host: Host) -> dict[int, set[str]]:
    """The inodes of the sockets that listen, by port."""
    found: dict[int, set[str]] = {}
    for table in ("net/tcp", "net/tcp6"):
        for line in (host.read(host.proc / table) or "").splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING:
                found.setdefault(int(fields[1].rpartition(":")[2], 16), set()).add(fields[9])
    return found


def _our_sockets(host: Host) -> set[str]:
    """The inodes of all sockets of the control plane and of Caddy."""
    inodes = set()
    for pid in _our_pids(host):
        for descriptor in (host.proc / pid / "fd").glob("*"):
            target = _target(descriptor)
            if target.startswith("socket:["):
                inodes.add(target.removeprefix("socket:[").rstrip("]"))
    return inodes


def _our_pids(host: Host) -> set[str]:
    """The control plane keeps its id in its lock file; Caddy is known by the configuration it was started with."""
    run = host.data / "run"
    pids = {(host.read(run / "serve.lock") or "").strip()}
    config = str(run / "Caddyfile")
    pids |= {
        cmdline.parent.name
        for cmdline in host.proc.glob("[0-9]*/cmdline")
        if config in (host.read(cmdline) or "").split("\0")
    }
    return {pid for pid in pids if pid.isdigit()}


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:  # closed meanwhile
        return ""
