"""Revocation: can what a credential opened be ended with it?"""

from __future__ import annotations

import asyncio

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host


async def check(host: Host) -> Finding:
    """Which of the two ways to end a connection of Caddy's works from this process; both are tried."""
    if host.ways_to_sever is None:
        return Finding(name="revocation", status=Status.SKIP, says="the edge is switched off here")
    ways = await asyncio.to_thread(host.ways_to_sever)
    if ways.destroy is None:
        return Finding(
            name="revocation", status=Status.OK, says="open connections can be ended (the kernel destroys them)"
        )
    if ways.borrow is None:
        return Finding(
            name="revocation",
            status=Status.OK,
            says="open connections can be ended (through Caddy's own descriptors; "
            f"the kernel doesn't destroy them: {ways.destroy})",
        )
    return Finding(
        name="revocation",
        status=Status.FAIL,
        says="what a revoked key has open stays open: "
        f"the kernel doesn't destroy it ({ways.destroy}), and Caddy's descriptors are out of reach ({ways.borrow})",
        fix="Run the control plane as root or with CAP_NET_ADMIN, or as the user that Caddy runs as with "
        "kernel.yama.ptrace_scope=0. Without either, restart Caddy after a revocation.",
    )
