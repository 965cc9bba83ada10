"""The program nft, run with our rules on its standard input."""

from __future__ import annotations

import asyncio
import os

from innkeeper.core.errors import IsolationBroken

DEADLINE_S = 15.0


class Refused(IsolationBroken):
    """nft ran, and said no."""


async def nft(*arguments: str, stdin: str = "") -> str:
    """What nft says; raises Refused when it says no, IsolationBroken when it can't be run."""
    try:
        running = await asyncio.create_subprocess_exec(
            "nft",
            *arguments,
            # Without input no pipe: nft may be gone before an empty one is written, which uvloop takes amiss.
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin", "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise IsolationBroken(
            "nft isn't there, so the tenants' firewall can't be set.", hint="Install it: `apt-get install nftables`."
        ) from error
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, complaint = await running.communicate(stdin.encode() if stdin else None)
    except TimeoutError as error:
        running.kill()
        raise IsolationBroken(f"nft didn't end within {DEADLINE_S:g} s.") from error
    if running.returncode != 0:
        words = complaint.decode(errors="replace").strip()
        raise Refused(
            f"nft refused ({running.returncode}): {words[:500]}",
            hint="The control plane sets firewall rules: run it as root, on a kernel with nf_tables.",
        )
    return output.decode(errors="replace")
